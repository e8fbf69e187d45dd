import { expect, inject, test } from 'vitest'
import { crash } from '../../../../tools/crash/crash.ts'
import { linesOf } from '../../../../tools/crash/lines.ts'

const RUNS = process.env['LONG'] === '1' ? 10_000 : 300

const scenarios = {
  'Redis: other nodes are right once a relay has paid': new URL('./relay-scenario.ts', import.meta.url),
  'Redis: all nodes are right when the retry is answered': new URL('./retry-scenario.ts', import.meta.url),
  'Postgres: other nodes are right at once': new URL('./postgres-scenario.ts', import.meta.url),
}

// Most of the time they wait: for leases of the dead, and for processes.
test.concurrent.each(Object.entries(scenarios))(
  'a process is killed in the middle of writes that drop. %s',
  async (_, file) => {
    const urls = { databaseUrl: inject('databaseUrl'), redisUrl: inject('redisUrl') }
    const report = await crash(file, { runs: RUNS, ...urls })
    console.log(linesOf(report).join('\n'))
    expect(report.broken).toEqual([])
    expect(report.runs).toBeGreaterThanOrEqual(RUNS)
  },
  // Ten thousand runs of three scenarios take hours on two cores.
  6 * 3_600_000,
)
