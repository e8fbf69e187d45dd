import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { context } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { afterEach, describe, expect, test } from 'vitest'
import {
  createAudit,
  generateKey,
  memoryStore,
  personal,
  type Audit,
  type AuditOptions,
  type AuditStore,
  type Entry,
  type Sink,
} from '../src/index.ts'
import { openCheckpoint, verifyConsistency, verifyProof, verifyTiles } from '../src/verify/index.ts'

const key = generateKey('test.example/audit')
const privacy = { secrets: [secret()], pseudonym: secret() }
const open: Audit[] = []
afterEach(async () => {
  for (const audit of open.splice(0)) await audit.close()
})

function secret(): string {
  return randomBytes(32).toString('base64')
}

function audit(more: Partial<AuditOptions> = {}): Audit {
  const made = createAudit({ store: memoryStore(), key: key.signer, privacy, ...more })
  open.push(made)
  return made
}

async function exported(log: Audit): Promise<Entry[]> {
  const entries: Entry[] = []
  for await (const one of log.exportSubject('acme', 'u_9')) entries.push(one)
  return entries
}

const entry = {
  scope: 'acme',
  action: 'user.update',
  actor: { type: 'user', id: 'u_17' },
  target: { type: 'user', id: 'u_9' },
}

describe('an entry', () => {
  test('is sealed, found, and proved to others', async () => {
    const log = audit()
    await log.start()
    const receipt = await log.record({ ...entry, old: { name: 'Ann' }, new: { name: 'Bea' } })
    expect(receipt).toMatchObject({ durability: 'memory', spooled: false })
    await log.flush()

    const found = await log.get(receipt.id)
    expect(found).toMatchObject({ ...entry, index: 0, changes: [{ path: '/name', old: 'Ann', new: 'Bea' }] })
    expect(found?.leaf).toBe(receipt.leaf)

    const note = await log.checkpoint()
    expect(openCheckpoint(note, [key.verifier])).toMatchObject({ origin: 'test.example/audit', size: 1 })
    verifyProof(await log.proof(receipt.id), found!.bytes, [key.verifier])
    expect(() => verifyProof(note, found!.bytes, [key.verifier])).toThrow()
  })

  test('has the principal and the correlation id of its context', async () => {
    const log = audit()
    const { actor: _, ...rest } = entry
    const { id } = await context.run({ principal: { id: 'u_5' }, correlationId: 'c-1' }, () => log.record(rest))
    await log.flush()
    expect(await log.get(id)).toMatchObject({ actor: { type: 'user', id: 'u_5' }, correlationId: 'c-1' })
    expect(await log.trace!('c-1')).toMatchObject([{ kind: 'audit.entry', text: expect.stringContaining(id) }])
  })

  test('of one id and the same bytes counts once, and with others is refused', async () => {
    const log = audit()
    const { id } = await log.record({ ...entry, at: 1_000 })
    await log.record({ ...entry, at: 1_000, id })
    await expect(log.record({ ...entry, at: 2_000, id })).rejects.toMatchObject({ code: 'ENTRY_INVALID' })
    await log.flush()
    expect((await log.query({ scope: 'acme' })).entries).toHaveLength(1)
  })

  test('without a store that knows transactions has no part in one', async () => {
    const tx = { query: async () => ({ rows: [] }) }
    await expect(audit().record(entry, { tx })).rejects.toMatchObject({ code: 'STORE_NOT_TRANSACTIONAL' })
  })
})

describe('pages', () => {
  test('follow each other in both orders, and a cursor fits its query only', async () => {
    const log = audit()
    for (let i = 0; i < 5; i++) await log.record({ ...entry, data: { i } })
    await log.flush()
    for (const order of ['asc', 'desc'] as const) {
      const indexes: number[] = []
      let after: string | undefined
      do {
        const page: Awaited<ReturnType<Audit['query']>> = await log.query({
          scope: 'acme',
          order,
          limit: 2,
          ...(after === undefined ? {} : { after }),
        })
        indexes.push(...page.entries.map(({ index }) => index))
        after = page.next
      } while (after !== undefined)
      expect(indexes).toEqual(order === 'asc' ? [0, 1, 2, 3, 4] : [4, 3, 2, 1, 0])
    }
    const { next } = await log.query({ scope: 'acme', limit: 2 })
    await expect(log.query({ scope: 'other', limit: 2, after: next! })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })

  test('ask for what they name', async () => {
    const log = audit()
    await log.record(entry)
    await log.record({ ...entry, action: 'user.delete', outcome: 'failure' })
    await log.record({ ...entry, scope: 'other', action: 'parcel.create', target: { type: 'parcel', id: 'p1' } })
    await log.flush()
    const actions = async (q: Parameters<Audit['query']>[0]) =>
      (await log.query({ order: 'asc', ...q })).entries.map(({ action }) => action)
    expect(await actions({ scope: '*', action: 'user.*' })).toEqual(['user.update', 'user.delete'])
    expect(await actions({ scope: 'acme', outcome: 'failure' })).toEqual(['user.delete'])
    expect(await actions({ scope: '*', target: { type: 'parcel' } })).toEqual(['parcel.create'])
    expect(await actions({ scope: '*', actor: { type: 'user', id: 'u_17' }, to: new Date(0) })).toEqual([])
  })
})

describe('persons', () => {
  test('are opened for an export, and noise once they are erased; the log still verifies', async () => {
    const log = audit()
    await log.record({ ...entry, data: { mail: personal('u_9', 'ann@example.org') } })
    await log.record({ ...entry, data: { mail: personal('u_8', 'bob@example.org') } })
    await log.flush()
    const opened = await exported(log)
    expect(opened.map(({ data }) => data)).toEqual([{ mail: 'ann@example.org' }])

    const hold = await log.hold({ scope: 'acme', reason: 'a lawsuit' })
    await expect(log.eraseSubject('acme', 'u_9', { reason: 'asked' })).rejects.toMatchObject({ code: 'HELD' })
    await log.release(hold)
    expect(await log.eraseSubject('acme', 'u_9', { reason: 'asked' })).toEqual({ entries: 1, keys: 1, unreached: [] })
    await log.flush()
    const after = await exported(log)
    expect(after[0]!.sealed).toEqual(['/audit/data/mail'])
    const told = await log.query({ scope: 'acme', action: 'audit.*', order: 'asc' })
    expect(told.entries.map(({ action }) => action)).toEqual([
      'audit.subject.exported',
      'audit.hold.placed',
      'audit.hold.released',
      'audit.subject.erased',
    ])
    expect(await log.verify()).toMatchObject({ ok: true, completeness: 'unwitnessed' })
  })

  test('who asks for them leaves no name in the log that no erasure could take out of it', async () => {
    const log = audit({ auditReads: 'all' })
    const about = { scope: 'acme', subject: 'ann@example.org' }
    const { id } = await log.record({ ...entry, data: { mail: personal(about.subject, about.subject) } })
    await log.flush()
    const [, ref] = /"v1:([^:]+):/.exec(Buffer.from((await log.get(id))!.bytes).toString())!
    await log.query({ ...about, order: 'asc' })
    for await (const line of log.export(about)) expect(line).not.toContain(about.subject)
    await log.flush()
    const told = await log.query({ scope: 'acme', action: 'audit.log.*', order: 'asc' })
    expect(told.entries.map(({ data }) => data['query'])).toEqual([
      JSON.stringify({ scope: 'acme', order: 'asc', ref }),
      JSON.stringify({ scope: 'acme', ref }),
    ])
  })

  test('a hold that cannot be told holds nothing', async () => {
    const clock = virtualClock({ now: Date.now() })
    const log = audit({ store: memoryStore({ clock }), clock, retention: { keep: '1d' } })
    const scope = '4111111111111111'
    await expect(log.hold({ scope, reason: 'a lawsuit' })).rejects.toMatchObject({ code: 'ENTRY_INVALID' })
    expect(await log.applyRetention()).toEqual({ entries: 0, upTo: 0 })
  })
})

describe('others can check it', () => {
  test('consistency between two checkpoints, and a static tree', async () => {
    const log = audit()
    await log.record(entry)
    await log.flush()
    const old = openCheckpoint(await log.checkpoint(), [key.verifier])
    for (let i = 0; i < 300; i++) await log.record(entry)
    await log.flush()
    const note = await log.checkpoint()
    const now = openCheckpoint(note, [key.verifier])
    expect(now.size).toBe(301)
    verifyConsistency(await log.consistency(old.size, now.size), old, now)

    const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
    try {
      expect(await log.exportTiles(dir)).toEqual({ size: 301 })
      await verifyTiles(dir, { keys: [key.verifier], against: [note] })
      for (const path of ['tile/0/000', 'tile/0/001.p/45', 'tile/1/000.p/1', 'tile/entries/001.p/45']) {
        expect(await log.tile(path), path).toBeDefined()
      }
      expect(await log.tile('tile/0/002')).toBeUndefined()
      expect(await log.tile('../secret')).toBeUndefined()
    } finally {
      await rm(dir, { recursive: true })
    }
    expect(await log.verify({ keys: [key.verifier], against: [note] })).toMatchObject({
      ok: true,
      completeness: 'ok',
      size: 301,
    })
  })

  test('a key that nobody knows is told, and so is a log that was cut', async () => {
    const log = audit()
    await log.record(entry)
    await log.flush()
    const other = generateKey('test.example/audit')
    expect((await log.verify({ keys: [other.verifier] })).problems).toMatchObject([{ code: 'KEY_UNKNOWN' }])

    const longer = audit()
    await longer.record(entry)
    await longer.record(entry)
    await longer.flush()
    const kept = await longer.checkpoint()
    const verdict = await log.verify({ against: [kept] })
    expect(verdict).toMatchObject({ ok: false, completeness: 'broken', problems: [{ code: 'TRUNCATED', index: 1 }] })
  })

  test('keys are rotated by signing with both for a while', async () => {
    const second = generateKey('test.example/audit')
    let keys = [key.signer]
    const log = audit({ key: () => keys })
    await log.record(entry)
    await log.flush()
    keys = [key.signer, second.signer]
    await log.record(entry)
    await log.flush()
    const note = await log.checkpoint()
    expect(openCheckpoint(note, [key.verifier]).size).toBe(2)
    expect(openCheckpoint(note, [second.verifier]).size).toBe(2)
  })
})

describe('emit', () => {
  test('never throws; what is lost becomes one gap entry', async () => {
    const log = audit({ emitBuffer: 2 })
    await log.start()
    for (let i = 0; i < 5; i++) log.emit(entry)
    log.emit({ ...entry, action: 'not an action' })
    await expect.poll(async () => (await log.inspect()).gaps, { timeout: 60_000 }).toBe(1)
    await log.flush()
    const { entries } = await log.query({ scope: 'keelson', action: 'audit.gap' })
    expect(entries[0]!.data).toMatchObject({ count: 4, reasons: ['EMIT_OVERLOAD', 'ENTRY_INVALID'] })
    expect(await log.inspect()).toMatchObject({ state: 'degraded', dropped: 4 })
    expect((await log.verify()).coverage).toEqual({ gaps: 1, lost: 4, pruned: 0 })
  })

  test('a loss is told however small entries must be, and keeps none from its way', async () => {
    const log = audit({ emitBuffer: 1, maxEntryBytes: 512 })
    for (let i = 0; i < 200; i++) log.emit(entry)
    await log.record(entry)
    await log.flush()
    expect((await log.verify()).coverage).toEqual({ gaps: 1, lost: 199, pruned: 0 })
  })
})

test('old entries are dropped as the retention says, and the tree still verifies', async () => {
  const clock = virtualClock({ now: Date.now() })
  const log = audit({ store: memoryStore({ clock }), clock, retention: { keep: '1d' } })
  const { id } = await log.record(entry)
  await log.flush()
  await clock.advance(2 * 86_400_000)
  expect(await log.applyRetention()).toEqual({ entries: 1, upTo: 1 })
  await log.flush()
  await expect(log.get(id)).rejects.toMatchObject({ code: 'PRUNED' })
  expect(await log.verify()).toMatchObject({ ok: true, coverage: { pruned: 1 } })
})

test('runOnce seals and ships what is there', async () => {
  const log = audit()
  await log.record(entry)
  expect(await log.runOnce()).toEqual({ done: true })
  expect((await log.inspect()).sealed.size).toBe(1)
})

test.each(['flush', 'runOnce'] as const)('what was emitted before %s is sealed', async (how) => {
  const log = audit()
  for (let i = 0; i < 1_000; i++) log.emit(entry)
  await log[how]()
  expect((await log.inspect()).sealed.size).toBe(1_000)
})

test('what was flushed has its proof, however long signing takes', async () => {
  const store = memoryStore()
  const late: AuditStore = {
    ...store,
    async publish(...args) {
      await delay(100)
      return store.publish(...args)
    },
  }
  const log = audit({ store: late })
  await log.start()
  for (let i = 0; i < 3; i++) {
    const { id } = await log.record(entry)
    await log.flush()
    verifyProof(await log.proof(id), (await log.get(id))!.bytes, [key.verifier])
  }
})

describe('without start()', () => {
  const sink = (deliver: Sink['deliver']): Sink => ({
    name: 'siem',
    ordered: false,
    maxBatchBytes: 100_000,
    maxBatchEntries: 10,
    flushMs: 0,
    timeoutMs: 60_000,
    deliver,
  })

  test('flush seals and ships by itself', async () => {
    const shipped: number[] = []
    const log = audit({
      sinks: [
        sink(async ({ entries }) => {
          shipped.push(...entries.map(({ index }) => index))
          return entries.map(() => 'ok')
        }),
      ],
    })
    for (let i = 0; i < 25; i++) await log.record(entry)
    await log.flush({ to: 'shipped' })
    expect(shipped).toEqual(Array.from({ length: 25 }, (_, i) => i))
  })

  test('a stop ends runOnce, which says that it is not done', async () => {
    const began = Promise.withResolvers<void>()
    const log = audit({
      sinks: [
        sink(async ({ entries }) => {
          began.resolve()
          return entries.map(() => ({ retry: 'busy', after: 10 }))
        }),
      ],
    })
    await log.record(entry)
    const run = log.runOnce({ budget: '10m' })
    await began.promise
    await log.stop()
    expect(await run).toEqual({ done: false })
  })
})

test('what is closed says so', async () => {
  const log = audit()
  await log.close()
  expect(() => log.entry(entry)).toThrow(expect.objectContaining({ code: 'CLOSED' }))
  await expect(log.record(entry)).rejects.toMatchObject({ code: 'CLOSED' })
  await expect(log.query({ scope: 'acme' })).rejects.toMatchObject({ code: 'CLOSED' })
})
