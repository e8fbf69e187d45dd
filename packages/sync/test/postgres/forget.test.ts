import { afterAll, describe, expect, test } from 'vitest'
import type { ConflictRow, RecordKey } from '../../src/store.ts'
import { servers } from './open-postgres.ts'
import { aChange, aRecord, aScope, keyOf, pageOf, writesOf } from './steps.ts'

describe.each(Object.entries(servers))('%s', (_, open) => {
  const opening = open()
  afterAll(async () => (await opening)[Symbol.asyncDispose]())

  /** A record of which a conflict tells too. */
  async function aSecret(scope: string, id: string, subject?: string): Promise<RecordKey> {
    const { store } = await opening
    const key = keyOf(scope, id)
    const client = `d ${scope} ${id}`
    const conflict: Omit<ConflictRow, 'status'> = {
      id: `c ${scope} ${id}`,
      scope,
      c: 'task',
      record: id,
      code: 'gone',
      op: { op: 'o2', c: 'task', id, t: 'patch', h: 'x', set: { secret: 'meant' } },
      current: { secret: 'met' },
      principal: 'u1',
      client,
      atMs: 1,
    }
    await store.push({ client, keys: [key], ops: [] }, async () => {
      const subjects = new Map(subject === undefined ? [] : [[0, subject]])
      const records = [aRecord(key, 1, { secret: 'kept' })]
      return { writes: writesOf(client, records, { subjects, conflicts: [conflict] }), value: 1 }
    })
    return key
  }

  /** Every text of the schema. */
  async function dump(): Promise<string> {
    const { query, schema } = await opening
    const tables = ['sync_record', 'sync_op', 'sync_conflict', 'sync_client']
    const rows = await Promise.all(
      tables.map((table) => query(`select row_to_json(t)::text as row from ${schema}.${table} t`)),
    )
    return JSON.stringify(rows.map(({ rows }) => rows))
  }

  test('of a record that is erased nothing is left but that it was there', async () => {
    const { store } = await opening
    const scope = aScope()
    const key = await aSecret(scope, 'r1')
    const device = `d ${scope} r1`
    const { target: floor } = await pageOf(store, { scopes: [{ name: scope, isKnown: false }] })
    expect((await dump()).split('secret').length).toBeGreaterThan(3)
    expect(await store.forget(key, 'n1')).toEqual({ records: 1, clients: [device] })
    expect(await dump()).not.toContain('secret')
    const { rows } = await pageOf(store, { scopes: [{ name: scope, isKnown: true }], floor })
    expect(
      rows.map(({ id, gone, state: { registers, h } }) => [id, gone, registers, h > aRecord(key, 1).state.h]),
    ).toEqual([['r1', 'erased', {}, true]])
    expect(await store.openConflicts(device)).toBe(0)
    expect(await store.forget(key, 'n1')).toEqual({ records: 0, clients: [device] })
  })

  test('a person, a scope: others stay', async () => {
    const { store } = await opening
    const [scope, other] = [aScope(), aScope()]
    await aSecret(scope, 'r1', 'ann')
    await aSecret(scope, 'r2', 'bob')
    await aSecret(scope, 'r3', 'ann')
    await aSecret(other, 'r1', 'ann')
    expect((await store.ofSubject(scope, 'ann', undefined, 1)).map(({ id }) => id)).toEqual(['r1'])
    expect((await store.ofSubject(scope, 'ann', keyOf(scope, 'r1'), 9)).map(({ id }) => id)).toEqual(['r3'])
    // About whom it was is known of what was deleted, too.
    await store.change([{ ...aChange(scope, 'r3', {}), t: 'delete' }], 'n1')
    expect(await store.ofSubject(scope, 'ann', keyOf(scope, 'r1'), 9)).toEqual([])
    expect((await store.forget({ scope, subject: 'ann' }, 'n1')).records).toBe(2)
    expect((await pageOf(store, { scopes: [{ name: scope, isKnown: false }] })).rows.map(({ id }) => id)).toEqual([
      'r2',
    ])
    expect((await store.forget({ scope }, 'n1')).records).toBe(1)
    expect(await store.conflicts({ scopes: [scope, other], status: 'open', limit: 9 })).toMatchObject([
      { scope: other },
    ])
    expect((await pageOf(store, { scopes: [{ name: other, isKnown: false }] })).rows).toHaveLength(1)
  })

  test('a device is known by its pulls, and what it pushed stays', async () => {
    const { store } = await opening
    const client = `p ${aScope()}`
    expect(await store.client(client)).toBeUndefined()
    await store.pulled(client, 'u\0')
    expect(await store.client(client)).toMatchObject({ principal: 'u\0', pushed: 0, pushedAtMs: null })
    await store.push({ client, keys: [], ops: [] }, async () => ({ writes: writesOf(client, []), value: 1 }))
    await store.pulled(client, 'u2')
    const row = await store.client(client)
    expect(row).toMatchObject({ principal: 'u1', pushedAtMs: expect.any(Number), pulledAtMs: expect.any(Number) })
  })
})
