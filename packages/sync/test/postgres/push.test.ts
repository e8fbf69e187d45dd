import { afterAll, describe, expect, test } from 'vitest'
import { database, transact } from '@keelson/kernel/postgres'
import type { ConflictRow, PushState } from '../../src/store.ts'
import { servers } from './open-postgres.ts'
import { aChange, aDelete, aRecord, aScope, keyOf, pageOf, putThem, writesOf } from './steps.ts'

describe.each(Object.entries(servers))('%s', (_, open) => {
  const opening = open()
  afterAll(async () => (await opening)[Symbol.asyncDispose]())

  const aConflict = (scope: string, id: string): Omit<ConflictRow, 'status'> => ({
    id,
    scope,
    c: 'task',
    record: 'r1',
    code: 'gone',
    op: { op: 'o2', c: 'task', id: 'r1', t: 'patch', h: '000000000-0000-dev', set: { text: 'a\\u0000"' } },
    current: { n: 1 },
    principal: 'u\0\\1',
    client: `d ${scope}`,
    atMs: 17,
  })

  test('what is written is there the next time, all of it', async () => {
    const { store } = await opening
    const scope = aScope()
    const client = `d ${scope}`
    const q = { client, keys: [keyOf(scope, 'r1'), keyOf(scope, 'r2')], ops: ['o1', 'o2'] }
    const states: PushState[] = []
    const result = JSON.stringify({ op: 'o1', status: 'rejected', detail: 'a \0 "\\ \ud800' })
    const record = aRecord(q.keys[0]!, 5)
    await store.push(q, async ({ state }) => {
      states.push(state)
      const device = { client, principal: 'u\0', top: 'a', topHere: 'b', pushed: 3, offsetMs: -1.5 }
      const writes = writesOf(client, [record], {
        client: device,
        results: [{ op: 'o1', fp: 'f1', result }],
        conflicts: [aConflict(scope, `c ${scope}`)],
        correlationId: `corr ${scope}\0`,
      })
      return { writes, value: 1 }
    })
    expect(states[0]).toMatchObject({ client: undefined, records: [], busy: [] })
    expect(states[0]!.results.size).toBe(0)
    await store.push(q, async ({ state }) => {
      states.push(state)
      return { writes: writesOf(client, [], { resolved: [`c ${scope}`] }), value: 1 }
    })
    expect(states[1]!.records).toEqual([record])
    expect([...states[1]!.results.values()]).toEqual([{ op: 'o1', fp: 'f1', result }])
    expect(states[1]!.client).toMatchObject({
      client,
      principal: 'u\0',
      top: 'a',
      topHere: 'b',
      pushed: 3,
      offsetMs: -1.5,
      pulledAtMs: null,
    })
    expect(await store.conflict(`c ${scope}`)).toEqual({ ...aConflict(scope, `c ${scope}`), status: 'resolved' })
    expect(await store.trace(`corr ${scope}\0`)).toMatchObject([{ client, op: 'o1', result }])
  })

  test('work that rejects leaves nothing, an attempt that rejects leaves what was before it', async () => {
    const { store, query, schema } = await opening
    const scope = aScope()
    const table = `${schema}.own_${scope.slice(-1)}`
    await query(`create table ${table} (id text primary key)`)
    const q = { client: 'd1', keys: [keyOf(scope, 'r1')], ops: [] }
    const failed = store.push(q, async ({ tx }) => {
      await tx!.query(`insert into ${table} values ('lost')`)
      throw new Error('no')
    })
    await expect(failed).rejects.toThrow('no')
    await store.push(q, async ({ tx, attempt }) => {
      const own = (id: string) => tx!.query(`insert into ${table} values ('${id}')`)
      await own('kept')
      await attempt(async () => {
        await attempt(() => own('inner'))
        await own('kept')
      }).catch(() => {})
      await attempt(() => own('good'))
      await expect(attempt(() => own('kept'))).rejects.toMatchObject({ code: '23505' })
      return { writes: writesOf('d1', [aRecord(q.keys[0]!, 1)]), value: 1 }
    })
    expect((await query(`select id from ${table} order by id`)).rows).toEqual([{ id: 'good' }, { id: 'kept' }])
    expect((await pageOf(store, { scopes: [{ name: scope, isKnown: false }] })).rows).toHaveLength(1)
  })

  test('within a transaction of the caller all is part of it, and a push that fails takes back its own alone', async () => {
    const { store, db } = await opening
    const scope = aScope()
    const scopes = [{ name: scope, isKnown: false }]
    const give = (id: string) => async () => ({ writes: writesOf('d2', [aRecord(keyOf(scope, id), 1)]), value: id })
    const q = { client: 'd2', keys: [], ops: [] }
    const gaveUp = database(db).transaction(async (tx) => {
      await store.push(q, give('r0'), { tx })
      await store.change([aChange(scope, 'r00')], 'n1', { tx })
      throw new Error('given up')
    })
    await expect(gaveUp).rejects.toThrow('given up')
    expect((await pageOf(store, { scopes })).rows).toEqual([])
    await transact(db, async (tx) => {
      await store.push(q, give('r1'), { tx })
      const failed = store.push(
        q,
        async () => {
          await tx.query('select 1 / 0')
          throw new Error('never')
        },
        { tx },
      )
      await expect(failed).rejects.toMatchObject({ code: '22012' })
      const effect = { kind: 'sync.change', statements: () => store.changeStatements!([aChange(scope, 'r2')], 'n1') }
      return { value: 1, effects: [effect] }
    })
    expect((await pageOf(store, { scopes })).rows.map(({ id }) => id)).toEqual(['r1', 'r2'])
  })

  test('a record that another device creates meanwhile is met, not written over', async () => {
    const { store } = await opening
    const scope = aScope()
    const key = keyOf(scope, 'r1')
    let runs = 0
    await store.push({ client: 'd3', keys: [key], ops: [] }, async ({ state, tx }) => {
      // On the same connection, where there is but one.
      if (++runs === 1) await store.change([aChange(scope, 'r1', { by: 'server' })], 'n1', { tx: tx! })
      const met = state.records.map(({ state: { registers } }) => registers['by']?.[0])
      return { writes: writesOf('d3', runs === 1 ? [aRecord(key, 1)] : []), value: met }
    })
    expect(runs).toBe(2)
  })

  test('writes of the server win over what they meet, and say what they changed', async () => {
    const { store } = await opening
    const scope = aScope()
    const far = Date.now() + 86_400_000
    await putThem(store, 'd4', [aRecord(keyOf(scope, 'r1'), far, { a: 1, b: 2 })])
    const patch = { ...aChange(scope, 'r1', { a: 2 }), t: 'patch' as const, unset: ['b'] }
    const missing = { ...patch, id: 'none' }
    const [stamp, none] = await store.change([patch, missing, aDelete(scope, 'none')], 'n1')
    expect(none).toBeNull()
    const before = aRecord(keyOf(scope, 'r1'), far).state.h
    expect([stamp! > before, stamp!.slice(0, 14)]).toEqual([true, `${before.slice(0, 13)}1`])
    const rows = async (name: string) => (await pageOf(store, { scopes: [{ name, isKnown: false }] })).rows
    expect((await rows(scope))[0]!.state).toEqual({
      registers: { a: [2, stamp], b: [stamp] },
      h: stamp,
      isDeleted: false,
    })

    const to = aScope()
    const [moved] = await store.change([{ ...aChange(scope, 'r1', {}), t: 'move', to }], 'n1')
    expect(await rows(scope)).toEqual([])
    expect((await rows(to))[0]!.state).toEqual({ registers: { a: [2, moved] }, h: moved, isDeleted: false })
    const [deleted] = await store.change([aDelete(to, 'r1')], 'n1')
    const [again] = await store.change([aChange(to, 'r1', { c: 3 })], 'n1')
    expect((await rows(to))[0]!.state).toEqual({
      registers: { a: [moved], c: [3, again] },
      h: again,
      deletedAt: deleted,
      isDeleted: false,
    })
  })
})
