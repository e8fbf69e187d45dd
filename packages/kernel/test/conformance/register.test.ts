import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, expect, it, test } from 'vitest'
import { register } from '../../src/conformance/index.ts'
import { counter, counterSuite } from './counter.ts'

register(counterSuite, counter(1, { has: ['reset'] }), { describe, it })
register(counterSuite, counter(1), { describe, it: it.concurrent })

test('vitest is given one test a case that applies', () => {
  const told: string[] = []
  const runner = {
    describe(name: string, define: () => void) {
      told.push(name)
      define()
    },
    it: (name: string) => told.push(name),
  }
  register(counterSuite, counter(), runner)
  expect(told).toEqual(['counter', 'counts from 1', 'gives each of many callers another number'])
})

test('node:test runs it the same, and sees what is broken', () => {
  // Set, it says that node:test runs this process already.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const run = (mode: string): { status: number | null; stdout: string } =>
    spawnSync(process.execPath, ['--test', '--test-reporter=tap', join(import.meta.dirname, 'node-test-worker.ts')], {
      encoding: 'utf8',
      env: { ...env, COUNTER: mode },
    })
  const good = run('good')
  expect(good.stdout).toContain('# pass 3')
  expect([good.status, good.stdout.match(/# fail \d+/)?.[0]]).toEqual([0, '# fail 0'])
  const broken = run('broken')
  expect(broken.stdout).toContain('# fail 2')
  expect(broken.status).toBe(1)
})
