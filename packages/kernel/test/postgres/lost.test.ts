import pg from 'pg'
import { afterAll, afterEach, beforeEach, describe, expect, inject, test } from 'vitest'
import { transact, unit } from '../../src/postgres/index.ts'
import type { Tx } from '../../src/index.ts'
import { awakeMs } from '../../../../tools/awake-clock.ts'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { effect, failure, insertEffect, isQuiet, nothing, openWorld, watchProcess } from './world.ts'

watchProcess()
const server = new URL(inject('databaseUrl'))
const proxy = await startFaultProxy({ host: server.hostname, port: Number(server.port || 5432) })
const world = await openWorld('kernel_lost', { via: proxy })
const pool = world.openPool({ max: 1 })
/** Beside the proxy, to act on the server. */
const admin = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })

afterAll(async () => {
  await admin.end()
  await proxy.close()
})
beforeEach(async () => {
  proxy.pass()
  await world.clear()
})
afterEach(async () => {
  proxy.pass()
  await isUsable()
})

/** Nothing is left of a failed unit: the one connection of the pool, or its successor, works. */
async function isUsable(): Promise<void> {
  await isQuiet(pool)
  expect(await unit(pool, { open: [], work: async () => commit('works') })).toBe('works')
  await isQuiet(pool)
  expect([pool.totalCount, pool.idleCount, pool.waitingCount]).toEqual([1, 1, 0])
}

const commit = <T>(value: T, ...labels: string[]) => ({
  end: 'commit' as const,
  statements: labels.map(insertEffect),
  value,
})
const add = (tx: Tx, sku: string): Promise<unknown> => tx.query('insert into items(sku) values ($1)', [sku])
const pidOf = (tx: Tx): number => (tx.raw as { processID: number }).processID
const terminate = async (tx: Tx): Promise<void> => {
  await admin.query('select pg_terminate_backend($1, 5000)', [pidOf(tx)])
}
const isGone = async (pid: number): Promise<void> => {
  while ((await admin.query('select 1 from pg_stat_activity where pid = $1', [pid])).rows.length > 0);
}
/** The time in which this process could run: at most. What it took in all: at least. */
const timed = async <T>(promise: Promise<T>): Promise<[T, { atMostMs: number; inAllMs: number }]> => {
  const [awake, start] = [awakeMs(), performance.now()]
  const value = await promise
  return [value, { atMostMs: awakeMs() - awake, inAllMs: performance.now() - start }]
}

/** Far less than what a caller would wait for without a limit of its own. */
const IN_TIME_MS = 20_000
const unavailable = { name: 'KernelError', code: 'STORE_UNAVAILABLE', retryable: true }
const unknown = { name: 'KernelError', code: 'COMMIT_UNKNOWN', retryable: true }

describe('before the tail was sent: STORE_UNAVAILABLE, nothing happened', () => {
  test('the backend ends while the work does something else', async () => {
    const failing = unit(pool, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        await terminate(tx)
        await new Promise(() => {})
        return commit(1, 'a')
      },
    })
    expect(await failure(failing)).toMatchObject({ ...unavailable, details: { reason: 'refused' } })
    expect(await world.committed()).toEqual(nothing)
  })

  test('the backend ends during a statement', async () => {
    const failing = unit(pool, {
      open: [],
      async work(tx) {
        const sleeping = tx.query('select pg_sleep(60)')
        await terminate(tx)
        await sleeping
        return commit(1, 'a')
      },
    })
    expect(await failure(failing)).toMatchObject(unavailable)
  })

  test('work that goes on is refused: its connection is given back', async () => {
    const heard = Promise.withResolvers<unknown>()
    const failing = unit(pool, {
      open: [],
      async work(tx) {
        await terminate(tx)
        heard.resolve(await failure(add(tx, 'tea')))
        return commit(1, 'a')
      },
    })
    expect(await failure(failing)).toMatchObject(unavailable)
    // The statement may be on its way when the server says goodbye: then that is its answer.
    expect(['TX_ENDED', '57P01']).toContain(((await heard.promise) as { code: string }).code)
    expect(await world.committed()).toEqual(nothing)
  })

  test('what the work throws by itself stays its own', async () => {
    const own = new Error('own')
    const failing = unit(pool, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        proxy.resetAll()
        throw own
      },
    })
    expect(await failure(failing)).toBe(own)
    expect(await world.committed()).toEqual(nothing)
  })

  test('a reset connection', async () => {
    const failing = unit(pool, {
      open: [],
      async work(tx) {
        proxy.resetAll()
        await add(tx, 'tea')
        return commit(1, 'a')
      },
    })
    expect(await failure(failing)).toMatchObject(unavailable)
  })

  test('an idle connection that died unnoticed is replaced, and the caller never hears of it', async () => {
    const client = await pool.connect()
    const pid = (client as unknown as { processID: number }).processID
    client.release()
    // In the same tick: the pool still hands it out.
    proxy.resetAll()
    expect(await unit(pool, { open: [], work: async (tx) => commit(pidOf(tx) === pid) })).toBe(false)
  })
})

describe('after the tail was sent: COMMIT_UNKNOWN, the work is not repeated', () => {
  const hasCommit = (bytes: Buffer): boolean => bytes.includes('COMMIT')

  test('a COMMIT whose reply got lost has happened, and is called neither success nor failure', async () => {
    let runs = 0
    const lost = proxy.loseReplyAfter(hasCommit, hasCommit)
    const failing = unit(pool, {
      open: [],
      retries: 5,
      async work(tx) {
        runs++
        await add(tx, 'tea')
        return commit(1, 'a')
      },
    })
    const error = await failure(failing)
    expect(error).toMatchObject(unknown)
    expect((error as Error).cause).toBeInstanceOf(Error)
    expect(await lost).toBe(true)
    expect(runs).toBe(1)
    expect(await world.committed()).toEqual({ items: ['tea'], effects: ['a'] })
  })

  test('also by transact(), and its afterCommit hooks do not run', async () => {
    const lost = proxy.loseReplyAfter(hasCommit, hasCommit)
    let hooks = 0
    const effects = [effect('a', { afterCommit: () => void hooks++ })]
    expect(await failure(transact(pool, async () => ({ value: 1, effects })))).toMatchObject(unknown)
    expect(await lost).toBe(true)
    expect(hooks).toBe(0)
    expect((await world.committed()).effects).toEqual(['a'])
  })

  test('a half-open connection: nobody answers, the caller hears it after stall', async () => {
    const failing = unit(pool, {
      open: [],
      stall: 5_000,
      async work(tx) {
        await add(tx, 'tea')
        proxy.halfOpen()
        return commit(1, 'a')
      },
    })
    const [error, took] = await timed(failure(failing))
    expect(error).toMatchObject(unknown)
    expect(took.inAllMs).toBeGreaterThan(4_900)
    expect(took.atMostMs).toBeLessThan(IN_TIME_MS)
    // Here it has happened; a network that ate the COMMIT would say the same.
    while ((await world.committed()).effects.length === 0);
  })

  test('query_timeout in the closing flight is no clean failure', async () => {
    const impatient = world.openPool({ max: 1 })
    const failing = unit(impatient, {
      open: [],
      async work(tx) {
        await add(tx, 'tea')
        // Only the closing flight takes longer, however busy the machine is.
        ;(tx.raw as { connectionParameters: object }).connectionParameters = { query_timeout: 200 }
        proxy.freeze()
        return commit(1, 'a')
      },
    })
    expect(await failure(failing)).toMatchObject({ ...unknown, cause: { code: 'STORE_UNAVAILABLE' } })
    proxy.pass()
    expect(impatient.totalCount).toBe(0)
  })
})

test('query_timeout in the work: swallowed or not, nothing is committed behind it', async () => {
  const impatient = world.openPool({ max: 1, query_timeout: 100 })
  for (const swallows of [false, true]) {
    const failing = unit(impatient, {
      open: [],
      async work(tx) {
        const slow = tx.query(`insert into items(sku) select 'tea' from pg_sleep(0.3)`)
        await (swallows ? slow.catch(() => {}) : slow)
        return commit(1, 'a')
      },
    })
    expect(await failure(failing)).toMatchObject(unavailable)
    expect(impatient.totalCount).toBe(0)
  }
  await admin.query('select pg_sleep(0.3)')
  expect(await world.committed()).toEqual(nothing)
})

test('query_timeout in the opening flight is STORE_UNAVAILABLE, and tried once', async () => {
  const impatient = world.openPool({ max: 1, query_timeout: 100 })
  ;(await impatient.connect()).release()
  let ran = false
  proxy.freeze()
  const failing = unit(impatient, {
    open: [],
    work: async () => {
      ran = true
      return commit(1)
    },
  })
  const [error, took] = await timed(failure(failing))
  expect(error).toMatchObject({ ...unavailable, details: { reason: 'timeout' } })
  expect(took.atMostMs).toBeLessThan(IN_TIME_MS)
  expect(ran).toBe(false)
})

describe('a process that stands still', () => {
  test('work that hangs for ever is given up by the server, and the caller hears it', async () => {
    let pid = 0
    const failing = unit(pool, {
      open: [],
      stall: 200,
      async work(tx) {
        await add(tx, 'tea')
        pid = pidOf(tx)
        await new Promise(() => {})
        return commit(1, 'a')
      },
    })
    const [error, took] = await timed(failure(failing))
    expect(error).toMatchObject(unavailable)
    expect(took.inAllMs).toBeGreaterThan(190)
    expect(took.atMostMs).toBeLessThan(IN_TIME_MS)
    await isGone(pid)
    expect(await world.committed()).toEqual(nothing)
  })

  test('a statement that takes longer is given up too', async () => {
    const failing = unit(pool, {
      open: [],
      stall: 5_000,
      work: async (tx) => commit(await tx.query('select pg_sleep(60)'), 'a'),
    })
    const [error, took] = await timed(failure(failing))
    expect(error).toMatchObject({ ...unavailable, message: expect.stringMatching(/a statement took over 5000 ms/) })
    expect(took.atMostMs).toBeLessThan(IN_TIME_MS)
  })

  test('a process that was stopped commits nothing late: the server had ended the transaction', async () => {
    let pid = 0
    const failing = unit(pool, {
      open: [],
      stall: 100,
      async work(tx) {
        await add(tx, 'tea')
        pid = pidOf(tx)
        // The whole thread stands still: no timer and no socket is served.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 400)
        return commit(1, 'a')
      },
    })
    expect(await failure(failing)).toMatchObject(unavailable)
    await isGone(pid)
    expect(await world.committed()).toEqual(nothing)
  })

  test('work that takes long but moves is left alone', async () => {
    const value = await unit(pool, {
      open: [],
      stall: 5_000,
      async work(tx) {
        // More than `stall` in all, and each far less.
        for (let i = 0; i < 6; i++) await tx.query('select pg_sleep(1)')
        return commit('slow', 'a')
      },
    })
    expect(value).toBe('slow')
  })

  test('no timer is left after a unit, however it ended', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length
    await isUsable()
    const before = timers()
    const hanging = { open: [], stall: 50, work: () => new Promise<never>(() => {}) }
    await Promise.all([failure(unit(pool, hanging)), unit(world.pool, { open: [], work: async () => commit(1) })])
    await isQuiet(world.pool)
    // Idle connections have a timer of pg's.
    expect(timers()).toBeLessThanOrEqual(before + world.pool.idleCount)
  })
})
