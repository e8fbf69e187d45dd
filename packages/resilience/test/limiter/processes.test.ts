import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { migrate } from '@keelson/kernel/postgres'
import { startWorker, type WorkerProcess } from '../../../../tools/crash/worker-process.ts'
import { fakeClock } from '../../../../tools/servers/fake-clock.ts'
import type { Quota } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import type { Done, Job } from './taker-worker.ts'

const NODES = 4
const TAKES = process.env['LONG'] === '1' ? 5_000 : 300
const WINDOW_MS = 400
const AHEAD_S = 3_600

type Worker = WorkerProcess<Job, Done>

/** Four processes; the clock of the first is an hour ahead. */
function startFour(env: Record<string, string>): Promise<Worker[]> {
  return Promise.all(
    Array.from({ length: NODES }, async (_, i) => {
      const clock = i === 0 ? await fakeClock(AHEAD_S) : {}
      return startWorker<Job, Done>(new URL('./taker-worker.ts', import.meta.url), { ...env, ...clock })
    }),
  )
}

/** One job in all of them at once. */
async function run(workers: readonly Worker[], quota: Quota, cost = 1): Promise<readonly Done[]> {
  const subject = { scope: 's', key: randomBytes(6).toString('hex'), cost }
  const done = workers.map((worker) => new Promise<Done>((resolve) => worker.onMessage(resolve)))
  for (const worker of workers) worker.send({ quotas: [quota], subject, takes: TAKES, atOnce: 4 })
  const all = await Promise.all(done)
  expect(all[0]!.wallMs - all[1]!.wallMs, 'one clock is an hour ahead').toBeGreaterThan((AHEAD_S - 60) * 1_000)
  expect(all.map(({ others }) => others)).toEqual([0, 0, 0, 0])
  return all
}

/** All that was granted, in the store's order, and the most of it in any window. */
function recount(all: readonly Done[], windowMs: number): { units: number; most: number; us: number } {
  const granted = all.flatMap((one) => one.granted).toSorted(([a], [b]) => a - b)
  let most = 0
  let within = 0
  let first = 0
  for (const [atUs, units] of granted) {
    within += units
    while (atUs - granted[first]![0] >= windowMs * 1_000) within -= granted[first++]![1]
    most = Math.max(most, within)
  }
  const units = granted.reduce((sum, [, one]) => sum + one, 0)
  return { units, most, us: (granted.at(-1)?.[0] ?? 0) - (granted[0]?.[0] ?? 0) }
}

describe.each(['Redis', 'Postgres'] as const)('four processes on one %s', (name) => {
  const PREFIX = `processes_${randomBytes(6).toString('hex')}`
  const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
  let workers: Worker[] = []
  beforeAll(async () => {
    if (name === 'Postgres') await migrate(pool, [postgresStore(pool, { schema: PREFIX })])
    const server = name === 'Redis' ? { REDIS_URL: inject('redisUrl') } : { DATABASE_URL: inject('databaseUrl') }
    workers = await startFour({ ...server, PREFIX })
  })
  afterAll(async () => {
    await Promise.all(workers.map((worker) => worker.kill()))
    await pool.query(`drop schema if exists ${PREFIX} cascade`)
    await pool.end()
  })

  // So few takes fit a window that a machine of a tenth of the speed still meets its limit.
  test.each<[name: string, quota: Quota, most: number, cost: number]>([
    ['a log', { name: 'q', limit: 20, per: WINDOW_MS }, 20, 1],
    ['buckets', { name: 'q', limit: 200, per: WINDOW_MS }, 200, 10],
    ['gcra', { name: 'q', limit: 40, per: WINDOW_MS, algorithm: 'gcra', burst: 10 }, 50, 2],
  ])('%s: never above the limit in any window of the store, and no less than fits', async (_, quota, most, cost) => {
    const all = await run(workers, quota, cost)
    const counted = recount(all, WINDOW_MS)
    console.log(`${name}, ${quota.name} of ${String(quota.limit)}: ${JSON.stringify(counted)}`)
    expect(counted.most).toBeLessThanOrEqual(most)
    expect(counted.most).toBeGreaterThanOrEqual(Math.min(most, counted.units) / 2)
    expect(all.reduce((sum, { refused }) => sum + refused, 0)).toBeGreaterThan(0)
  })

  test('an hour of the calendar is one, also for the process whose clock is an hour ahead', async () => {
    const all = await run(workers, { name: 'hour', limit: 100, calendar: 'hour', timeZone: 'Asia/Kathmandu' })
    const granted = all.flatMap((one) => one.granted)
    // Its hours begin at a quarter past of UTC.
    const hours = Map.groupBy(granted, ([atUs]) => Math.floor((atUs / 1_000_000 - 900) / 3_600))
    for (const [, takes] of hours) expect(takes.length).toBeLessThanOrEqual(100)
    expect(granted.length).toBeGreaterThanOrEqual(100)
  })
})
