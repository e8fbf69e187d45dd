import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import type pg from 'pg'
import { unit } from '../../src/postgres/index.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { awakeMs } from '../../../../tools/awake-clock.ts'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { failure, insertEffect, isQuiet, openWorld, watchProcess } from './world.ts'

watchProcess()
// A server of its own: it is frozen and killed.
const server = await startPostgres({ maxConnections: 20 })
const proxy = await startFaultProxy(server)
const world = await openWorld('kernel_outage', { url: server.url, via: proxy })

beforeEach(async () => {
  await world.clear()
})
afterEach(() => {
  server.thaw()
  proxy.pass()
})
afterAll(async () => {
  await proxy.close()
  await server.stop()
})

const commit = <T>(value: T, ...labels: string[]) => ({
  end: 'commit' as const,
  statements: labels.map(insertEffect),
  value,
})
/** For what must work: a machine that stands still is no outage. */
const PATIENT = { openTimeout: 30_000, acquireTimeout: 30_000 }
/** Far less than what a caller would wait for without a limit of its own. */
const IN_TIME_MS = 15_000
const quick = (pool: pg.Pool, o: { openTimeout?: number; acquireTimeout?: number } = {}): Promise<string> =>
  unit(pool, { open: [], work: async () => commit('done', 'a'), ...PATIENT, ...o })
const counts = (pool: pg.Pool): object => {
  const { totalCount, idleCount, waitingCount } = pool
  return { totalCount, idleCount, waitingCount }
}
/** The time in which this process could run: at most. What it took in all: at least. */
const timed = async <T>(promise: Promise<T>): Promise<[T, { atMostMs: number; inAllMs: number }]> => {
  const [awake, start] = [awakeMs(), performance.now()]
  const value = await promise
  return [value, { atMostMs: awakeMs() - awake, inAllMs: performance.now() - start }]
}
/** Opens all connections of a pool. */
async function fill(pool: pg.Pool, count: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()))
  for (const client of clients) client.release()
}
const unavailable = (reason: string): object => ({
  name: 'KernelError',
  code: 'STORE_UNAVAILABLE',
  retryable: true,
  details: { reason },
})

describe('a frozen server', () => {
  test('every caller is answered within openTimeout, and hung connections are destroyed', async () => {
    const pool = world.openPool({ max: 4, connectionTimeoutMillis: 20_000 })
    await fill(pool, 4)
    server.freeze()
    const [errors, took] = await timed(
      Promise.all(Array.from({ length: 4 }, () => failure(quick(pool, { openTimeout: 1_500 })))),
    )
    for (const error of errors) expect(error).toMatchObject(unavailable('timeout'))
    expect(took.inAllMs).toBeGreaterThan(1_400)
    expect(took.atMostMs).toBeLessThan(IN_TIME_MS)
    expect(pool.totalCount).toBe(0)

    server.thaw()
    expect(await Promise.all(Array.from({ length: 8 }, () => quick(pool)))).toEqual(Array(8).fill('done'))
    await isQuiet(pool)
    expect(counts(pool)).toEqual({ totalCount: 4, idleCount: 4, waitingCount: 0 })
  })

  test('new connections are given up in time too; those that come late go back', async () => {
    const pool = world.openPool({ max: 4 })
    server.freeze()
    const [errors, took] = await timed(
      Promise.all(Array.from({ length: 4 }, () => failure(quick(pool, { openTimeout: 100 })))),
    )
    for (const error of errors) {
      expect(error).toMatchObject({
        ...unavailable('timeout'),
        message: expect.stringMatching(/did not accept a connection/),
      })
    }
    expect(took.atMostMs).toBeLessThan(IN_TIME_MS)
    expect(counts(pool)).toEqual({ totalCount: 4, idleCount: 0, waitingCount: 0 })
    server.thaw()
    await isQuiet(pool)
    expect(counts(pool)).toEqual({ totalCount: 4, idleCount: 4, waitingCount: 0 })
    expect(await quick(pool)).toBe('done')
  })

  test('connectionTimeoutMillis frees the slots of a pool while the server is still silent', async () => {
    const pool = world.openPool({ max: 2, connectionTimeoutMillis: 100 })
    server.freeze()
    for (let i = 0; i < 3; i++) {
      const errors = await Promise.all([failure(quick(pool)), failure(quick(pool))])
      for (const error of errors) expect(error).toMatchObject(unavailable('timeout'))
      expect(pool.totalCount).toBe(0)
    }
  })
})

test('a mute network is no different', async () => {
  const pool = world.openPool({ max: 2 })
  await fill(pool, 2)
  proxy.freeze()
  const errors = await Promise.all([1, 2].map(() => failure(quick(pool, { openTimeout: 1_500 }))))
  for (const error of errors) expect(error).toMatchObject(unavailable('timeout'))
  expect(pool.totalCount).toBe(0)
})

test('a server that refuses: an answer at once, with what it said', async () => {
  const pool = world.openPool({ max: 2 })
  await fill(pool, 2)
  proxy.refuse()
  for (let i = 0; i < 3; i++) {
    const [error, took] = await timed(failure(quick(pool)))
    expect(error).toMatchObject({
      ...unavailable('refused'),
      message: expect.stringMatching(/ECONNRESET|Connection terminated/),
    })
    expect(took.atMostMs).toBeLessThan(IN_TIME_MS)
  }
  proxy.pass()
  expect(await quick(pool)).toBe('done')
})

test('a wrong password or database is the driver’s error: waiting does not cure it', async () => {
  const pool = world.openPool({ database: 'missing', connectionString: server.url.replace(/\/postgres$/, '/missing') })
  expect(await failure(quick(pool))).toMatchObject({ code: '3D000' })
})

test('too many connections for the server are a failure of the store', async () => {
  const greedy = world.openPool({ max: 40 })
  const held = await Promise.allSettled(Array.from({ length: 40 }, () => greedy.connect()))
  expect(await failure(quick(world.openPool()))).toMatchObject({ ...unavailable('refused'), cause: { code: '53300' } })
  for (const one of held) if (one.status === 'fulfilled') one.value.release(true)
})

test('an ended pool is STORE_UNAVAILABLE', async () => {
  const pool = world.openPool()
  void pool.end()
  pool.end = async () => {}
  expect(await failure(quick(pool))).toMatchObject(unavailable('refused'))
})

test('a killed and restarted server: dead connections are replaced without the caller’s knowledge', async () => {
  const pool = world.openPool({ max: 4 })
  await fill(pool, 4)
  await server.kill()
  await server.restart()
  expect(await Promise.all(Array.from({ length: 4 }, () => quick(pool)))).toEqual(Array(4).fill('done'))
})

describe('a full pool', () => {
  /** Takes all connections; gives them back on call. */
  async function hold(pool: pg.Pool, count: number): Promise<() => void> {
    const clients = await Promise.all(Array.from({ length: count }, () => pool.connect()))
    return () => clients.forEach((client) => client.release())
  }

  test('is overload after acquireTimeout, and the late connection goes back', async () => {
    const pool = world.openPool({ max: 2 })
    const giveBack = await hold(pool, 2)
    const [error, took] = await timed(failure(quick(pool, { acquireTimeout: 100 })))
    expect(error).toMatchObject({
      ...unavailable('overload'),
      message: expect.stringMatching(/pool is full: no connection in \d{3,} ms/),
    })
    expect(took.inAllMs).toBeGreaterThan(90)
    expect(took.atMostMs).toBeLessThan(IN_TIME_MS)
    // The pool still has the place in its queue.
    expect(counts(pool)).toEqual({ totalCount: 2, idleCount: 0, waitingCount: 1 })
    giveBack()
    await isQuiet(pool)
    expect(counts(pool)).toEqual({ totalCount: 2, idleCount: 2, waitingCount: 0 })
    expect(await quick(pool)).toBe('done')
  })

  test('is overload too when the pool itself gives up queueing', async () => {
    const pool = world.openPool({ max: 1 })
    const giveBack = await hold(pool, 1)
    // From here on: nobody waits longer in its queue.
    pool.options.connectionTimeoutMillis = 50
    expect(await failure(quick(pool))).toMatchObject(unavailable('overload'))
    giveBack()
    expect(await quick(pool)).toBe('done')
  })

  test('a burst over idle connections queues, however long each takes, and nobody blames the server', async () => {
    const pool = world.openPool({ max: 2 })
    await fill(pool, 2)
    // Seven rounds of 1 s behind each connection, and 5 s for the server to answer an opening flight.
    const slow = (): Promise<string> =>
      unit(pool, {
        open: [],
        openTimeout: 5_000,
        acquireTimeout: 30_000,
        async work(tx) {
          await tx.query('select pg_sleep(1)')
          return commit('done')
        },
      })
    expect(await Promise.all(Array.from({ length: 14 }, slow))).toEqual(Array(14).fill('done'))
    await isQuiet(pool)
    expect(counts(pool)).toEqual({ totalCount: 2, idleCount: 2, waitingCount: 0 })
  })
})
