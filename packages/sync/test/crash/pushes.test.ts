import { expect, inject, test } from 'vitest'
import { crash } from '../../../../tools/crash/crash.ts'
import { linesOf } from '../../../../tools/crash/lines.ts'

const LONG = process.env['LONG'] === '1'
const RUNS = LONG ? 4_000 : 120

test(
  'a server is killed at every await of a push and at random: each operation is applied once, or not yet',
  async () => {
    const urls = { databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl') }
    const report = await crash(new URL('./pushes-scenario.ts', import.meta.url), { runs: RUNS, ...urls })
    console.log(linesOf(report).join('\n'))
    expect(report.broken).toEqual([])
    expect(report.runs).toBeGreaterThanOrEqual(RUNS)
  },
  LONG ? 6 * 3_600_000 : 900_000,
)
