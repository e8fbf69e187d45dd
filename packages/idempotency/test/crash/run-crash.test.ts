import { expect, inject, test } from 'vitest'
import { crash } from '../../../../tools/crash/crash.ts'
import { linesOf } from '../../../../tools/crash/lines.ts'

const RUNS = process.env['LONG'] === '1' ? 10_000 : 300

test('run() on Redis: a call outside is repeated or not as its guarantee says, and one answer is stored', async () => {
  const urls = { databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl') }
  const report = await crash(new URL('./run-scenario.ts', import.meta.url), { runs: RUNS, ...urls })
  console.log(linesOf(report).join('\n'))
  expect(report.broken).toEqual([])
  expect(report.runs).toBeGreaterThanOrEqual(RUNS)
}, 900_000)
