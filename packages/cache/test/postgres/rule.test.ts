import type { PoolClient } from 'pg'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { CacheTier } from '@keelson/cache'
import { postgresStore } from '@keelson/cache/postgres'
import { openPostgres } from './databases.ts'
import { drop, LIMITS, load, NAME, read, refOf } from './steps.ts'

let opened: Awaited<ReturnType<typeof openPostgres>>
let store: ReturnType<typeof postgresStore>
let tier: CacheTier
const sessions: PoolClient[] = []
beforeAll(async () => {
  opened = await openPostgres()
  store = postgresStore(opened.pool, { schema: opened.schema })
})
afterAll(() => opened[Symbol.asyncDispose]())
let cases = 0
beforeEach(async () => {
  tier = store.open(NAME, LIMITS)
  await tier.bump([{ tags: [], epoch: true }], 'n0')
  ref = refOf(`case ${cases++}`, ['hot'])
  return () => {
    for (const session of sessions.splice(0)) session.release(true)
  }
})
let ref: ReturnType<typeof refOf>

/** An open transaction that has written something, so that it has a number. */
async function begin(): Promise<PoolClient> {
  const session = await opened.pool.connect()
  // It ends with the test, whatever is open in it.
  session.on('error', () => {})
  sessions.push(session)
  await session.query('begin')
  await session.query('select pg_current_xact_id()')
  return session
}

const kindOf = async (): Promise<string> => (await read(tier, ref)).kind

describe('a transaction that is open when the load begins', () => {
  test('and commits its drop after the fill makes the entry invalid, whatever its number', async () => {
    const older = await begin()
    const younger = await begin()
    await drop(younger, store, 'hot')
    await younger.query('commit')
    const mine = await load(tier, ref)
    expect(await mine.fill()).toBe(true)
    expect(await kindOf()).toBe('hit')
    await drop(older, store, 'hot')
    expect(await kindOf()).toBe('hit')
    await older.query('commit')
    expect(await kindOf()).toBe('miss')
  })

  test('and has dropped before it makes the entry invalid by its commit', async () => {
    const session = await begin()
    await drop(session, store, 'hot')
    expect(await (await load(tier, ref)).fill()).toBe(true)
    expect(await kindOf()).toBe('hit')
    await session.query('commit')
    expect(await kindOf()).toBe('miss')
  })

  test('and drops in a savepoint is known by the number of the whole', async () => {
    const session = await begin()
    await session.query('savepoint s')
    await drop(session, store, 'hot')
    expect(await (await load(tier, ref)).fill()).toBe(true)
    await session.query('release savepoint s')
    await session.query('commit')
    expect(await kindOf()).toBe('miss')
  })

  test('and rolls back changes nothing', async () => {
    const session = await begin()
    await drop(session, store, 'hot')
    const mine = await load(tier, ref)
    expect(await mine.fill()).toBe(true)
    await session.query('rollback')
    expect(await kindOf()).toBe('hit')
  })

  test('and commits its drop before the fill has it refused', async () => {
    const session = await begin()
    const mine = await load(tier, ref)
    await drop(session, store, 'hot')
    await session.query('commit')
    expect(await mine.fill()).toBe(false)
    expect(await kindOf()).toBe('miss')
  })

  test('and ends before the fill is no longer asked for by reads', async () => {
    const ends = await begin()
    const { rows: numbers } = await ends.query<{ xid: string }>('select pg_current_xact_id()::text as xid')
    const endsXid = numbers[0]!.xid
    const stays = await begin()
    // A snapshot lists what is older than the last that has ended.
    await opened.pool.query('select pg_current_xact_id()')
    const mine = await load(tier, ref)
    await ends.query('commit')
    expect(await mine.fill()).toBe(true)
    const { rows } = await stays.query<{ open: string; mine: string }>(
      `select array_to_string(open, ' ') as open, pg_current_xact_id()::text as mine
       from ${opened.schema}.cache_entry where key = $1`,
      [ref.key],
    )
    const open = rows[0]!.open.split(' ')
    expect([open.includes(rows[0]!.mine), open.includes(endsXid)]).toEqual([true, false])
    expect(await kindOf()).toBe('hit')
    await drop(stays, store, 'hot')
    await stays.query('commit')
    expect(await kindOf()).toBe('miss')
  })
})

test('a transaction that begins during the load makes the entry invalid, before and after the fill', async () => {
  const early = await load(tier, ref)
  const first = await begin()
  await drop(first, store, 'other', 'hot')
  await first.query('commit')
  expect(await early.fill()).toBe(false)
  const late = await load(tier, ref)
  const second = await begin()
  await drop(second, store, 'hot')
  expect(await late.fill()).toBe(true)
  await second.query('commit')
  expect(await kindOf()).toBe('miss')
})

test('what was committed before the load began is known to it, under a transaction that stays open for ever', async () => {
  const long = await begin()
  for (let i = 0; i < 5; i++) {
    const session = await begin()
    await drop(session, store, 'hot')
    await session.query('commit')
    expect(await (await load(tier, ref)).fill()).toBe(true)
    expect(await kindOf()).toBe('hit')
  }
  await long.query('rollback')
  expect(await kindOf()).toBe('hit')
})

test('the lock that a miss takes is no invalidation to its own lease', async () => {
  const mine = await load(tier, ref)
  expect((await read(tier, ref, 1_000, 'n1')) as unknown).toMatchObject({ kind: 'miss', lock: 'held' })
  expect(await mine.fill()).toBe(true)
  expect(await kindOf()).toBe('hit')
})

test('a load is taken over when a drop behind its lease is committed, not before', async () => {
  await load(tier, ref, 'n1')
  const session = await begin()
  await drop(session, store, 'hot')
  expect((await read(tier, ref, 1_000, 'n2')) as unknown).toMatchObject({ lock: 'held' })
  await session.query('commit')
  expect((await read(tier, ref, 1_000, 'n2')) as unknown).toMatchObject({ lock: 'yours' })
})

test('a crash of the server that takes the entries takes the epoch', async () => {
  const before = await tier.epoch()
  const mine = await load(tier, ref)
  await opened.pool.query(`truncate ${opened.schema}.cache_state, ${opened.schema}.cache_entry`)
  expect(await tier.epoch()).toBe(undefined)
  expect(await mine.fill()).toBe(false)
  expect(await kindOf()).toBe('miss')
  expect(await tier.epoch()).not.toBe(before)
})
