import { expect, test } from 'vitest'
import { crash } from '../../../../tools/crash/crash.ts'
import { linesOf } from '../../../../tools/crash/lines.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'

const LONG = process.env['LONG'] === '1'

/** 792 runs, which meet each boundary of each scenario. */
const scenarios = {
  'Express, Postgres and Redis': { file: new URL('./express-scenario.ts', import.meta.url), runs: LONG ? 33_400 : 184 },
  'Fastify, Postgres': { file: new URL('./fastify-scenario.ts', import.meta.url), runs: LONG ? 33_400 : 304 },
  'Nest, Postgres': { file: new URL('./nest-scenario.ts', import.meta.url), runs: LONG ? 33_400 : 304 },
}

// One after the other: each starts dozens of processes.
test.each(Object.entries(scenarios))(
  'a node is killed in the middle of its bookings: each is whole or not there, and a retry has the same answer. %s',
  async (_, { file, runs }) => {
    // Tables, keys and workers that no other test has.
    await using postgres = await startPostgres()
    await using redis = await startRedis()
    const urls = { databaseUrl: postgres.url, redisUrl: redis.url }
    const report = await crash(file, { runs, ...urls, answerMs: LONG ? 3_600_000 : 300_000 })
    console.log(linesOf(report).join('\n'))
    expect(report.broken).toEqual([])
    expect(report.boundaries.met).toBe(report.boundaries.all)
    expect(report.runs).toBeGreaterThanOrEqual(runs)
  },
  LONG ? 24 * 3_600_000 : 900_000,
)
