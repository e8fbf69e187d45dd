import { afterAll, beforeAll, expect, test } from 'vitest'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import type { StoreKind } from './open-store.ts'
import { runSchedule } from './schedule.ts'

const kinds: StoreKind[] = ['ioredis 6', 'node-redis 6', 'Postgres']
const KEYS = process.env['LONG'] === '1' ? 2_000 : 120
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))

let ledger: PrivateServer
let lostOwners = 0
beforeAll(async () => {
  ledger = await startRedis()
})
afterAll(async () => {
  await ledger.stop()
  // Else nothing was harmed that mattered.
  expect(lostOwners).toBeGreaterThan(0)
})

test.concurrent.each(kinds)(
  `%s: under any schedule of deaths and outages at most once is at most once, and at least once ends with one answer: ${KEYS} keys`,
  async (kind) => {
    const startMs = performance.now()
    const report = await runSchedule(kind, ledger, { keys: KEYS, seed: SEED })
    const { faults, broken, ...numbers } = report
    console.log(
      `${kind}, SEED=${SEED}, ${Math.round(performance.now() - startMs)} ms: ${JSON.stringify({ ...numbers, ...faults })}`,
    )
    expect(broken).toEqual([])
    lostOwners += report.takeovers + report.unknown
  },
  3_600_000,
)
