import { expect, inject, test } from 'vitest'
import { crash } from '../../../../tools/crash/crash.ts'
import { linesOf } from '../../../../tools/crash/lines.ts'

const RUNS = process.env['LONG'] === '1' ? 10_000 : 300

test('transaction() on Postgres: a process killed in the middle of its writes leaves each of them whole or not at all', async () => {
  const urls = { databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl') }
  const report = await crash(new URL('./postgres-scenario.ts', import.meta.url), { runs: RUNS, ...urls })
  console.log(linesOf(report).join('\n'))
  expect(report.broken).toEqual([])
  expect(report.runs).toBeGreaterThanOrEqual(RUNS)
}, 900_000)
