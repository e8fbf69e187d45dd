import { describe, expect, test } from 'vitest'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, generateKey, memoryStore } from '../../src/index.ts'
import { entry, folder, key, open, sinkOf } from './stage.ts'

const invalid = (what: string) =>
  expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(what) })
const make = (more: object) => () => createAudit({ store: memoryStore(), ...more })

describe('a sink of somebody else is looked at before it is used', () => {
  test.each([
    ['nothing', null, '"sinks[0]" must be a sink'],
    ['only what a sink does', { name: 'siem', deliver: async () => [] }, '"sinks[0]" must have "ordered"'],
    ['no bound of bytes', { ...sinkOf(), maxBatchBytes: undefined }, '"maxBatchBytes"'],
    ['no bound of entries', { ...sinkOf(), maxBatchEntries: 0 }, '"maxBatchEntries"'],
    ['no time', { ...sinkOf(), timeoutMs: Infinity }, '"timeoutMs"'],
    ['a text as time', { ...sinkOf(), flushMs: '1s' }, '"flushMs"'],
    ['a name that is none', { ...sinkOf(), name: '__proto__' }, '"name"'],
    ['a filter that is none', { ...sinkOf(), only: { scopes: 'acme' } }, '"only"'],
    ['an end that is none', { ...sinkOf(), close: true }, '"close"'],
  ])('%s', (_, sink, what) => {
    expect(make({ sinks: [sink] })).toThrow(invalid(what))
  })

  test('two of one name would move one cursor', () => {
    expect(make({ sinks: [sinkOf(), sinkOf()] })).toThrow(invalid(`"sinks[1]" has the name 'siem' of another one`))
  })
})

test('a store is no spool of itself: it would forget what it moved there', async () => {
  const store = fileStore({ dir: await folder() })
  expect(make({ store, spool: store, key: key.signer })).toThrow(invalid('"spool" must be another store'))
  await store.close()
})

test('a busy disk is no outage: files have a time of their own', async () => {
  expect(fileStore({ dir: await folder(), appendTimeout: '7s' }).timeoutMs).toBe(7_000)
})

test('a schema is an object', () => {
  for (const data of [null, 5, {}]) expect(make({ actions: { 'a.b': { data } } })).toThrow(invalid('"actions"'))
})

test('signers of one log have one name', () => {
  const other = generateKey('other.example/audit')
  expect(make({ key: [key.signer, other.signer] })).toThrow(invalid('of one name'))
})

describe('what is passed to a call', () => {
  const refused = (what: string) => ({ code: 'INPUT_INVALID', message: expect.stringContaining(what) })

  test('no transaction is no null: the entry would outlive a rollback', async () => {
    for (const tx of [null, {}, 5]) {
      await expect(open().record(entry, { tx } as object)).rejects.toMatchObject(refused('"tx"'))
    }
  })

  test('nothing where something is needed is an error of ours', async () => {
    const log = open()
    const nothing = null as never
    await expect(log.logModification(entry.actor, nothing, 'order.create', 1, 2)).rejects.toMatchObject(
      refused('target'),
    )
    await expect(log.stop(nothing)).rejects.toMatchObject(refused('stop'))
    await expect(log.runOnce(nothing)).rejects.toMatchObject(refused('runOnce'))
    await expect(log.export(nothing)[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'SCOPE_INVALID' })
    await expect(log.flush({ until: 'sealed' } as object)).rejects.toMatchObject(refused('until'))
    for (const by of [null, 'u_1'] as never[]) {
      await expect(log.eraseSubject('acme', 'u_9', { reason: 'asked', by })).rejects.toMatchObject(refused('"by"'))
    }
  })
})
