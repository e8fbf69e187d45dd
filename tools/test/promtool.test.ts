import { expect, it } from 'vitest'
import { promtoolFaults } from '../servers/promtool.ts'

// The first one may have to install it.
it('accepts a page that is right', { timeout: 300_000 }, async () => {
  const page = '# HELP jobs_total Jobs that ended.\n# TYPE jobs_total counter\njobs_total{end="ok"} 3\n'
  expect(await promtoolFaults(page)).toEqual([])
})

it('tells a page that cannot be read from one that breaks a custom', async () => {
  expect(await promtoolFaults('# TYPE jobs counter\njobs{ 3\n')).toEqual([expect.stringMatching(/error while linting/)])
  const page = '# HELP jobs Jobs that ended.\n# TYPE jobs counter\njobs 3\n'
  expect(await promtoolFaults(page)).toEqual([
    expect.stringMatching(/jobs counter metrics should have "_total" suffix/),
  ])
})
