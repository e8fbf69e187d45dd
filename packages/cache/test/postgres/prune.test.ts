import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CacheTier } from '@keelson/cache'
import { postgresStore } from '@keelson/cache/postgres'
import { database, type KnownDatabase } from '@keelson/kernel/postgres'
import { startPostgres, type PostgresServer } from '../../../../tools/servers/postgres.ts'
import { databases, openPostgres, type OpenDatabase } from './databases.ts'
import { drop, LIMITS, load, LONG_MS, NAME, read, refOf } from './steps.ts'

/** Of its own: pruning stops at whatever is open on a server. */
let server: PostgresServer
beforeAll(async () => {
  server = await startPostgres()
})
afterAll(() => server.stop())

const kinds = { Postgres: () => openPostgres(server.url), PGlite: databases.PGlite }

describe.each(Object.keys(kinds) as (keyof typeof kinds)[])('%s', (kind) => {
  let opened: OpenDatabase
  let db: KnownDatabase
  let store: ReturnType<typeof postgresStore>
  let tier: CacheTier
  beforeAll(async () => {
    opened = await kinds[kind]()
    db = database(opened.db)
    store = postgresStore(opened.db, { schema: opened.schema })
  })
  afterAll(() => opened[Symbol.asyncDispose]())
  beforeEach(async () => {
    tier = store.open(NAME, LIMITS)
    await db.query(`truncate ${opened.schema}.cache_drop, ${opened.schema}.cache_state, ${opened.schema}.cache_entry`)
  })

  /** As if so many hours had passed since each drop. */
  const age = (): Promise<unknown> =>
    db.query(`update ${opened.schema}.cache_drop set at = at - interval '1 ms' * ${2 * LONG_MS + 1}`)
  const drops = async (): Promise<number> =>
    ((await db.query(`select count(*)::int as n from ${opened.schema}.cache_drop`)).rows[0] as { n: number }).n

  test('drops that are older than any entry and load are deleted, and the floor keeps what is older invalid', async () => {
    const [early, other, late] = [refOf('early'), refOf('other'), refOf('late')]
    const running = await load(tier, other)
    expect(await (await load(tier, early)).fill()).toBe(true)
    await tier.bump([{ scope: early.scope, tags: early.declared }], 'n0')
    expect((await read(tier, early)).kind).toBe('miss')
    await age()
    await tier.bump([{ scope: early.scope, tags: ['young'] }], 'n0')
    const after = await load(tier, late)
    expect(await tier.purge()).toBe(1)
    expect(await drops()).toBe(1)
    expect((await read(tier, early)).kind).toBe('miss')
    expect(await running.fill()).toBe(false)
    expect(await after.fill()).toBe(true)
    expect((await read(tier, late)).kind).toBe('hit')
  })

  test('an entry whose invalidation was pruned stays invalid also when it was not purged', async () => {
    const ref = refOf('a')
    expect(await (await load(tier, ref)).fill()).toBe(true)
    const { rows } = await db.query(`select * from ${opened.schema}.cache_entry`)
    await tier.bump([{ scope: ref.scope, tags: ref.declared }], 'n0')
    await age()
    // A purge deletes it first: it is put back.
    await tier.purge()
    const row = rows[0] as Record<string, unknown>
    const columns = Object.keys(row)
    await db.query(
      `insert into ${opened.schema}.cache_entry (${columns}) values (${columns.map((_, i) => `$${i + 1}`)})`,
      columns.map((column) => row[column]),
    )
    expect(await drops()).toBe(0)
    expect((await read(tier, ref)).kind).toBe('miss')
  })

  test('what is young stays', async () => {
    await tier.bump([{ scope: 'acme', tags: ['a', 'b'] }], 'n0')
    await read(tier, refOf('a'))
    await tier.purge()
    expect(await drops()).toBe(2)
  })

  test('drops of another name stay, whose entries may live longer', async () => {
    await tier.bump([{ scope: 'acme', tags: ['a'] }], 'n0')
    await age()
    const other = store.open('other', LIMITS)
    await read(other, refOf('a'))
    await other.purge()
    expect(await drops()).toBe(1)
  })

  test('entries and locks whose time is over are deleted', async () => {
    const ref = refOf('a')
    expect(await (await load(tier, ref)).fill('x', { ttlMs: 1 })).toBe(true)
    await db.query(`update ${opened.schema}.cache_entry set gone_at = gone_at - interval '1 hour'`)
    await read(tier, refOf('b'), 1)
    await db.query(`update ${opened.schema}.cache_lock set held_until = held_until - interval '1 hour'`)
    await tier.purge()
    const { rows } = await db.query(
      `select (select count(*)::int from ${opened.schema}.cache_entry) as entries,
       (select count(*)::int from ${opened.schema}.cache_lock) as locks`,
    )
    expect(rows).toEqual([{ entries: 0, locks: 0 }])
  })
})

test('pruning stops below the oldest open transaction: its drop comes later', async () => {
  await using opened = await openPostgres(server.url)
  const { pool, schema } = opened
  const store = postgresStore(pool, { schema })
  const tier = store.open(NAME, LIMITS)
  const ref = refOf('a', ['hot'])
  const session = await pool.connect()
  try {
    await session.query('begin')
    await drop(session, store, 'hot')
    await tier.bump([{ scope: ref.scope, tags: ['other'] }], 'n0')
    await pool.query(`update ${schema}.cache_drop set at = at - interval '3 hours'`)
    expect(await (await load(tier, ref)).fill()).toBe(true)
    await tier.purge()
    const { rows } = await pool.query(`select tag from ${schema}.cache_drop`)
    expect(rows).toEqual([{ tag: 'other' }])
    expect((await read(tier, ref)).kind).toBe('hit')
    await session.query('commit')
    expect((await read(tier, ref)).kind).toBe('miss')
  } finally {
    session.release()
  }
})
