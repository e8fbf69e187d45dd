import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import type pg from 'pg'
import { afterAll, afterEach, expect, test } from 'vitest'
import type { Database } from '@keelson/kernel'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { until } from '../../../../tools/servers/until.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import type { RecordKey } from '../../src/store.ts'
import { openPostgres } from './open-postgres.ts'
import {
  aChange,
  aDelete,
  aDevice,
  aRecord,
  aScope,
  keyOf,
  pageOf,
  pullAll,
  putThem,
  writesOf,
  type Device,
} from './steps.ts'

const LONG = process.env['LONG'] === '1'
const PATIENCE_MS = 120_000

// Of our own: what is open here and there counts.
const server = await startPostgres({ maxConnections: 150, settings: { max_prepared_transactions: '10' } })
const opened = await openPostgres(server.url, { max: 120 })
const { store, pool, schema } = opened
afterAll(async () => {
  await opened[Symbol.asyncDispose]()
  await server.stop()
})

/** What a test that failed has left. */
const left = new Set<pg.PoolClient>()
afterEach(() => {
  for (const client of left) client.release(true)
  left.clear()
})

/** A transaction that stays open. */
async function begin(): Promise<pg.PoolClient> {
  const client = await pool.connect()
  left.add(client)
  await client.query('begin')
  return client
}

async function end(client: pg.PoolClient, how: 'commit' | 'rollback'): Promise<void> {
  await client.query(how)
  free(client)
}

function free(client: pg.PoolClient): void {
  if (left.delete(client)) client.release()
}

const put = (scope: string, ids: readonly string[], tx?: pg.PoolClient) =>
  store.change(
    ids.map((id) => aChange(scope, id)),
    'n1',
    tx === undefined ? {} : { tx },
  )

test('a writer that stays open delays nobody, and is told of when it commits', async () => {
  const scope = aScope()
  const device = aDevice()
  await put(scope, ['a'])
  const writer = await begin()
  await put(scope, ['early'], writer)
  await put(scope, ['b'])
  expect(await pullAll(store, device, [scope])).toEqual(['a', 'b'])
  for (const id of ['c', 'd']) {
    await put(scope, [id])
    expect(await pullAll(store, device, [scope])).toEqual([id])
  }
  await put(scope, ['late'], writer)
  const { token } = await store.changed(null, [scope])
  await end(writer, 'commit')
  expect((await store.changed(token, [scope])).scopes).toEqual([scope])
  expect(await pullAll(store, device, [scope], 1)).toEqual(['early', 'late'])
  expect(await pullAll(store, device, [scope])).toEqual([])
})

test('what was rolled back is not told, what a savepoint kept is', async () => {
  const scope = aScope()
  const device = aDevice()
  await put(scope, ['a'])
  await pullAll(store, device, [scope])
  const [kept, lost] = [await begin(), await begin()]
  await put(scope, ['lost'], lost)
  await kept.query('savepoint one')
  await put(scope, ['b'], kept)
  await kept.query('release one')
  await kept.query('savepoint two')
  await put(scope, ['c'], kept)
  await kept.query('rollback to two')
  await put(scope, ['d'], kept)
  expect(await pullAll(store, device, [scope])).toEqual([])
  await end(lost, 'rollback')
  await end(kept, 'commit')
  expect(await pullAll(store, device, [scope])).toEqual(['b', 'd'])
})

test('a prepared transaction is on its way until it is committed', async () => {
  const scope = aScope()
  const device = aDevice()
  const writer = await begin()
  await put(scope, ['a'], writer)
  await writer.query("prepare transaction 'sync'")
  free(writer)
  await put(scope, ['b'])
  expect(await pullAll(store, device, [scope])).toEqual(['b'])
  await put(scope, ['c'])
  expect(await pullAll(store, device, [scope])).toEqual(['c'])
  await pool.query("commit prepared 'sync'")
  expect(await pullAll(store, device, [scope])).toEqual(['a'])
})

test('more open transactions than a floor can name: what commits is told at once, nothing is missed', async () => {
  const scope = aScope()
  const device = aDevice()
  const writers: pg.PoolClient[] = []
  for (let i = 0; i < 80; i++) {
    const writer = await begin()
    await put(scope, [`w${i}`], writer)
    writers.push(writer)
  }
  await put(scope, ['a', 'b', 'c'])
  // Also what does not fit into one page.
  expect(await pullAll(store, device, [scope], 2)).toEqual(['a', 'b', 'c'])
  expect(device.floor!.split(',')).toHaveLength(64)
  await put(scope, ['d'])
  expect((await pullAll(store, device, [scope], 2)).slice(-1)).toEqual(['d'])
  // Those first that have no place in it.
  for (const [i, writer] of writers.toReversed().entries()) {
    await end(writer, 'commit')
    if (i % 9 === 0) expect(await pullAll(store, device, [scope], 7)).toContain(`w${79 - i}`)
  }
  await pullAll(store, device, [scope])
  expect(device.rows.size).toBe(84)
  expect(await pullAll(store, device, [scope])).toEqual([])
})

test('behind more open transactions than a floor can name a device hears that what it has is gone', async () => {
  const scope = aScope()
  const device = aDevice()
  await put(scope, ['old'])
  const writers: pg.PoolClient[] = []
  for (let i = 0; i < 66; i++) {
    const writer = await begin()
    await put(scope, [`w${i}`], writer)
    writers.push(writer)
  }
  // Of a version that its floor has no room to see.
  await put(scope, ['new'])
  expect(await pullAll(store, device, [scope])).toEqual(['old', 'new'])
  await store.change([aDelete(scope, 'old'), aDelete(scope, 'new')], 'n1')
  await pullAll(store, device, [scope])
  expect([...device.rows.keys()]).toEqual([])
  for (const writer of writers) await end(writer, 'rollback')
})

/** What is there, as a device that has all of it knows it. */
async function live(scopes: readonly string[]): Promise<Map<string, string>> {
  const { rows } = await pool.query<{ key: string; h: string }>(
    `select scope || ' ' || id as key, h from ${schema}.sync_record where gone is null and scope = any($1)`,
    [scopes],
  )
  return new Map(rows.map(({ key, h }) => [key, h]))
}

const known = (device: Device): Map<string, string> => new Map([...device.rows].map(([key, row]) => [key, row.state.h]))

test('whatever commits, rolls back or waits between whichever pages: a device has all in the end', async () => {
  const n = fc.nat(3)
  const step = fc.oneof(
    fc.record({ do: fc.constant('begin' as const), n }),
    { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('put' as const, 'delete' as const), n, id: fc.nat(5) }) },
    fc.record({ do: fc.constant('savepoint' as const), n, id: fc.nat(5), keeps: fc.boolean() }),
    { weight: 2, arbitrary: fc.record({ do: fc.constant('end' as const), n, commits: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant('page' as const), limit: fc.integer({ min: 1, max: 4 }) }) },
    fc.record({ do: fc.constant('gc' as const) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      const scopes = [aScope(), aScope()]
      const device = aDevice()
      const writers = new Map<number, pg.PoolClient>()
      let page: { target: string; after: string } | undefined
      const scopesOf = () => scopes.map((name) => ({ name, isKnown: device.floor !== null }))
      const onePage = async (limit: number): Promise<boolean> => {
        const q = { scopes: scopesOf(), collections: null, floor: device.floor, limit, ...page }
        const pulled = await store.pull(q)
        if (pulled.kind !== 'page') {
          expect(pulled.kind).toBe('expired')
          Object.assign(device, aDevice())
          page = undefined
          return true
        }
        for (const row of pulled.rows) {
          if (row.gone === undefined) device.rows.set(`${row.scope} ${row.id}`, row)
          else device.rows.delete(`${row.scope} ${row.id}`)
        }
        page = pulled.more ? { target: pulled.target, after: pulled.rows.at(-1)!.place } : undefined
        if (!pulled.more) device.floor = pulled.target
        return pulled.more
      }
      // Each writes records of its own: nobody waits for anybody.
      const write = async (one: { do: string; n: number; id: number }, tx: pg.PoolClient | undefined) => {
        const id = `${one.n}_${one.id}`
        const scope = scopes[one.id % 2]!
        const change = one.do === 'delete' ? aDelete(scope, id) : aChange(scope, id)
        await store.change([change], 'n1', tx === undefined ? {} : { tx })
      }
      try {
        for (const one of steps) {
          if (one.do === 'page') await onePage(one.limit)
          else if (one.do === 'gc') await store.gc({ tombstonesMs: 0, opsMs: 1e9, batch: 2 })
          else {
            const writer = writers.get(one.n)
            if (one.do === 'begin' && writer === undefined) writers.set(one.n, await begin())
            else if (one.do === 'put' || one.do === 'delete') await write(one, writer)
            else if (one.do === 'savepoint' && writer !== undefined) {
              await writer.query('savepoint s')
              await write({ ...one, do: 'put' }, writer)
              if (!one.keeps) await writer.query('rollback to s')
              await writer.query('release s')
            } else if (one.do === 'end' && writer !== undefined) {
              writers.delete(one.n)
              await end(writer, one.commits ? 'commit' : 'rollback')
            }
          }
        }
      } finally {
        for (const writer of writers.values()) await end(writer, 'commit')
      }
      while (await onePage(3));
      while (await onePage(3));
      expect(known(device)).toEqual(await live(scopes))
    }),
    { numRuns: LONG ? 1_000 : 60 },
  )
})

test('writers that commit, roll back and nest while a device pulls: not one row is missed', async () => {
  const scopes = [aScope(), aScope(), aScope()]
  const device = aDevice()
  const over = new AbortController()
  const writer = async (w: number): Promise<void> => {
    for (let i = 0; i < (LONG ? 200 : 20); i++) {
      const client = await begin()
      await put(scopes[i % 3]!, [`${w}_${i}`, `${w}_all`], client)
      await client.query('savepoint s')
      await put(scopes[(i + 1) % 3]!, [`${w}_${i}_s`], client)
      if (i % 4 === 0) await client.query('rollback to s')
      await end(client, i % 5 === 0 ? 'rollback' : 'commit')
    }
  }
  const pulls = (async () => {
    while (!over.signal.aborted) await pullAll(store, device, scopes, 5)
  })()
  await Promise.all(Array.from({ length: LONG ? 64 : 12 }, (_, w) => writer(w)))
  over.abort()
  await pulls
  await pullAll(store, device, scopes, 5)
  expect(known(device)).toEqual(await live(scopes))
})

/** How many wait for a lock. */
const waiting = async (): Promise<number> => {
  const { rows } = await pool.query<{ n: number }>('select count(*)::float8 as n from pg_locks where not granted')
  return rows[0]!.n
}

test('of two devices that create the same record, the one that comes late meets the first', async () => {
  const scope = aScope()
  const key = keyOf(scope, 'r1')
  const met: unknown[] = []
  let both = 0
  let open!: () => void
  const gate = new Promise<void>((resolve) => (open = resolve))
  const push = (client: string) =>
    store.push({ client, keys: [key], ops: [] }, async ({ state }) => {
      met.push(state.records.length)
      if (++both === 2) open()
      await gate
      const ms = Date.now() + met.length
      return { writes: writesOf(client, [aRecord(key, ms)]), value: 1 }
    })
  await Promise.all([push(`a ${scope}`), push(`b ${scope}`)])
  expect(met).toEqual([0, 0, 1])
})

test('pushes that touch the same records in any order all end', async () => {
  const scope = aScope()
  const ids = Array.from({ length: 12 }, (_, i) => `r${i}`)
  const push = (n: number) => {
    const mine = ids.toSorted(
      (a, b) => ((a.length * 7 + Number(a.slice(1)) * n) % 11) - ((Number(b.slice(1)) * n) % 11),
    )
    return putThem(
      store,
      `d${n} ${scope}`,
      mine.map((id) => aRecord(keyOf(scope, id), Date.now())),
    )
  }
  await Promise.all([
    ...Array.from({ length: 8 }, (_, n) => push(n + 1)),
    ...Array.from({ length: 8 }, (_, n) => put(scope, n % 2 === 0 ? ids : ids.toReversed())),
  ])
  expect((await live([scope])).size).toBe(12)
})

test('what others hold is busy, the rest can be written', async () => {
  const scope = aScope()
  await put(scope, ['held', 'free'])
  const holder = await begin()
  await put(scope, ['held', 'coming'], holder)
  const impatient = postgresStore(pool, { schema, storeTimeout: 5_000 })
  const keys = ['held', 'free', 'coming', 'none'].map((id) => keyOf(scope, id))
  const runs: (readonly RecordKey[])[] = []
  const busy = await impatient.push({ client: `d ${scope}`, keys, ops: [] }, async ({ state }) => {
    runs.push(state.busy)
    const isFree = ({ id }: RecordKey) => !state.busy.some((key) => key.id === id)
    const records = keys.filter(isFree).map((key) => aRecord(key, Date.now()))
    return { writes: writesOf(`d ${scope}`, records), value: state.busy.map(({ id }) => id) }
  })
  expect(busy).toEqual(['held', 'coming'])
  expect(runs).toHaveLength(1)
  await end(holder, 'commit')
  expect([...(await live([scope])).keys()].map((key) => key.split(' ')[1]).toSorted()).toEqual([
    'coming',
    'free',
    'held',
    'none',
  ])
})

test('a push that is sent again waits for no record, but where it told of one', async () => {
  const scope = aScope()
  const client = `d ${scope}`
  const key = keyOf(scope, 'held')
  const first = { op: 'plain', fp: 'f', result: 'a stamp' }
  const telling = { op: 'telling', fp: 'f', result: JSON.stringify({ status: 'superseded', rec: {} }) }
  await store.push({ client, keys: [key], ops: ['plain', 'telling'] }, async () => {
    return { writes: writesOf(client, [aRecord(key, 1)], { results: [first, telling] }), value: undefined }
  })
  const holder = await begin()
  await put(scope, ['held'], holder)
  const impatient = postgresStore(pool, { schema, storeTimeout: 5_000 })
  const again = (...ops: string[]) =>
    impatient.push({ client, keys: [key], ops }, async ({ state: { records, busy, results } }) => {
      return {
        writes: writesOf(client, []),
        value: { records: records.length, busy: busy.length, results: [...results] },
      }
    })
  expect(await again('plain')).toEqual({ records: 0, busy: 0, results: [['plain', first]] })
  expect(await again('plain', 'telling')).toMatchObject({ records: 0, busy: 1 })
  expect(await again('plain', 'new')).toMatchObject({ records: 0, busy: 1 })
  await end(holder, 'rollback')
  expect(await again('plain', 'telling')).toMatchObject({ records: 1, busy: 0 })
})

test('a record that somebody else is about to create is busy when it is met', async () => {
  const scope = aScope()
  const holder = await begin()
  await put(scope, ['coming'], holder)
  const impatient = postgresStore(pool, { schema, storeTimeout: 5_000 })
  const keys = [keyOf(scope, 'coming')]
  const runs: number[] = []
  await impatient.push({ client: `d ${scope}`, keys, ops: [] }, async ({ state }) => {
    runs.push(state.busy.length)
    return { writes: writesOf(`d ${scope}`, state.busy.length > 0 ? [] : [aRecord(keys[0]!, 1)]), value: 1 }
  })
  expect(runs).toEqual([0, 1])
  await end(holder, 'rollback')
})

test('pushes of one device come one after the other; who waits too long is told to come again', async () => {
  const client = `d ${aScope()}`
  const impatient = postgresStore(pool, { schema, storeTimeout: 5_000 })
  let open!: () => void
  const gate = new Promise<void>((resolve) => (open = resolve))
  const order: string[] = []
  const push = (name: string, of = store) =>
    of.push({ client, keys: [], ops: [] }, async () => {
      order.push(name)
      if (name === 'first') await gate
      return { writes: writesOf(client, []), value: name }
    })
  const first = push('first')
  await until('the first one runs', PATIENCE_MS, async () => (order.length === 1 ? true : undefined))
  await expect(push('hasty', impatient)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
  const second = push('second')
  await until('the second one waits', PATIENCE_MS, async () => ((await waiting()) > 0 ? true : undefined))
  open()
  await Promise.all([first, second])
  expect(order).toEqual(['first', 'second'])
})

test('the lock time of the caller stays as it was', async () => {
  const scope = aScope()
  const client = await begin()
  await client.query("set local lock_timeout = '77s'")
  const q = { client: `d ${scope}`, keys: [keyOf(scope, 'a')], ops: [] }
  await store.push(q, async () => ({ writes: writesOf(q.client, [aRecord(q.keys[0]!, 1)]), value: 1 }), { tx: client })
  expect((await client.query('show lock_timeout')).rows).toEqual([{ lock_timeout: '77s' }])
  await end(client, 'rollback')
})

test('within a transaction that has written nothing is pulled', async () => {
  const scope = aScope()
  const client = await begin()
  const theirs: Database = {
    query: (...args) => client.query(...(args as [string])),
    transaction: (work) => work(client),
  }
  const inside = postgresStore(theirs, { schema })
  const q = { scopes: [{ name: scope, isKnown: false }], collections: null, floor: null, limit: 1 }
  expect((await inside.pull(q)).kind).toBe('page')
  await put(scope, ['a'], client)
  await expect(inside.pull(q)).rejects.toMatchObject({ code: 'PULL_IN_WRITING_TX' })
  await end(client, 'rollback')
})

test('tombstones go when their time has come, and who has not heard of them starts over', async () => {
  const scope = aScope()
  const [early, late] = [aDevice(), aDevice()]
  await put(scope, ['a', 'b'])
  await pullAll(store, early, [scope])
  // What is open since then was not told of, but nothing of it is gone either.
  const writer = await begin()
  await put(scope, ['open'], writer)
  await store.change([aDelete(scope, 'a')], 'n1')
  await pullAll(store, late, [scope])
  let rounds = 0
  while (++rounds < 1_000 && (await store.gc({ tombstonesMs: 0, opsMs: 0, batch: 1 })).tombstones > 0);
  const q = { scopes: [{ name: scope, isKnown: true }], collections: null, limit: 9 }
  expect((await store.pull({ ...q, floor: early.floor })).kind).toBe('expired')
  expect((await store.pull({ ...q, floor: late.floor })).kind).toBe('page')
  const status = await store.inspect()
  expect(status).toMatchObject({ tombstones: 0, ops: 0 })
  expect(status.horizonAgeMs).toBeGreaterThanOrEqual(0)
  await store.change([aDelete(scope, 'open')], 'n1', { tx: writer })
  await end(writer, 'commit')
  await store.gc({ tombstonesMs: 0, opsMs: 0, batch: 10 })
  expect((await store.pull({ ...q, floor: late.floor })).kind).toBe('expired')
})

test('on another server, with the same rows, every snapshot is of another era, and nothing is invisible', async () => {
  const scope = aScope()
  const device = aDevice()
  // Numbers of transactions that the other server will not reach.
  for (let i = 0; i < 50; i++) await put(scope, [`r${i % 10}`])
  await pullAll(store, device, [scope])
  await using other = await startPostgres()
  await using copy = await openPostgres(other.url)
  const { rows } = await pool.query<{ row: string }>(
    `select row_to_json(r)::text as row from ${schema}.sync_record r where scope = $1`,
    [scope],
  )
  for (const { row } of rows) {
    await copy.pool.query(
      `insert into ${copy.schema}.sync_record
        select (json_populate_record(null::${copy.schema}.sync_record, ($1::text)::json)).*`,
      [row],
    )
  }
  // Test servers are copies of one: they have the same identifier.
  await copy.pool.query(`update ${copy.schema}.sync_meta set here = 'another:' || here`)
  const q = { scopes: [{ name: scope, isKnown: true }], collections: null, limit: 100 }
  const told = await Promise.all([1, 2, 3].map(async () => copy.store.pull({ ...q, floor: device.floor })))
  expect(told.map(({ kind }) => kind)).toEqual(['other-era', 'other-era', 'other-era'])
  const again = aDevice()
  expect((await pullAll(copy.store, again, [scope], 3)).length).toBe(10)
  expect((await copy.store.inspect()).era).toBe(2)
  await copy.store.change([aDelete(scope, 'r1')], 'n1')
  expect(await pullAll(copy.store, again, [scope])).toEqual(['r1'])
  expect(await copy.store.rebase()).toBe(3)
  expect((await copy.store.pull({ ...q, floor: again.floor })).kind).toBe('other-era')
  const ahead = device.floor!.replace(/^\d+:\d+:\d+/, '3:99999999:99999999')
  expect((await copy.store.pull({ ...q, floor: ahead })).kind).toBe('other-era')
})

test('a replica is not asked', async () => {
  await using replica = await startPostgres()
  await using there = await openPostgres(replica.url)
  const folder = (await there.pool.query('show data_directory')).rows[0].data_directory as string
  await there.pool.query('checkpoint')
  await writeFile(join(folder, 'standby.signal'), '')
  await replica.restart()
  const q = { scopes: [{ name: 'a', isKnown: false }] }
  await expect(pageOf(there.store, q)).rejects.toMatchObject({ code: 'REPLICA_READ' })
  await expect(there.store.changed(null, ['a'])).rejects.toMatchObject({ code: 'REPLICA_READ' })
  await there.pool.query('select pg_promote()')
  expect((await pageOf(there.store, q)).target).toMatch(/^2:/)
})
