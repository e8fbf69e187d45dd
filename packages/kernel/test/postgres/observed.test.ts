import { tracingChannel } from 'node:diagnostics_channel'
import { afterAll, beforeEach, expect, inject, onTestFinished, test } from 'vitest'
import { kernelMetrics } from '../../src/index.ts'
import { runAfterCommit, transact, unit } from '../../src/postgres/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { effect, failure, insertEffect, openWorld, watchProcess } from './world.ts'

watchProcess()
const server = new URL(inject('databaseUrl'))
const proxy = await startFaultProxy({ host: server.hostname, port: Number(server.port || 5432) })
afterAll(() => proxy.close())
const world = await openWorld('kernel_observed', { via: proxy })
const pool = world.openPool({ max: 2 })
beforeEach(() => world.clear())

/** A counter's numbers by its label, less what they were before. */
function since(name: string): () => Record<string, number> {
  const read = (): Record<string, number> => {
    const { samples } = kernelMetrics.metrics().find((family) => family.name === `keelson_kernel_${name}`)!
    return Object.fromEntries(
      samples.map((sample) => [Object.values(sample.labels).join() || sample.name, sample.value]),
    )
  }
  const before = read()
  return () =>
    Object.fromEntries(
      Object.entries(read())
        .map(([label, value]) => [label, value - (before[label] ?? 0)] as const)
        .filter(([, value]) => value > 0),
    )
}

test('units are counted by how they ended, and timed with all their restarts', async () => {
  const ends = since('units_total')
  const took = since('unit_seconds')
  const startMs = performance.now()
  const commit = (value: number) => ({ end: 'commit' as const, statements: [insertEffect('a')], value })
  expect(await unit(pool, { open: [], work: async () => commit(1) })).toBe(1)
  expect(await unit(pool, { open: [], work: async () => ({ end: 'rollback', value: 2 }) })).toBe(2)
  await failure(unit(pool, { open: [], work: () => Promise.reject(new Error('own')) }))
  await failure(unit(pool, { open: [], work: async (tx) => commit((await tx.query('select nothing')).rows.length) }))
  expect(ends()).toEqual({ commit: 1, rollback: 1, failed: 2 })

  let runs = 0
  await unit(pool, {
    open: [],
    async work(tx) {
      if (++runs < 3) await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
      return commit(3)
    },
  })
  expect(ends()).toEqual({ commit: 2, rollback: 1, failed: 2 })
  expect(took()).toMatchObject({ keelson_kernel_unit_seconds_count: 5, '+Inf': 5 })
  const { keelson_kernel_unit_seconds_sum: seconds } = took()
  // Two restarts, of at least 5 ms each; a timer may ring a part of a ms early.
  expect(seconds).toBeGreaterThan(0.008)
  expect(seconds).toBeLessThan((performance.now() - startMs) / 1_000)
})

test('a lost COMMIT is unknown, a database that is away is unavailable; a wrong option is no unit', async () => {
  const ends = since('units_total')
  const lost = proxy.loseReplyAfter((bytes) => bytes.includes('COMMIT'))
  const unknown = unit(pool, { open: [], work: async () => ({ end: 'commit', statements: [], value: 1 }) })
  expect(await failure(unknown)).toMatchObject({ code: 'COMMIT_UNKNOWN' })
  expect(await lost).toBe(true)
  proxy.refuse()
  onTestFinished(() => proxy.pass())
  const away = unit(pool, { open: [], work: async () => ({ end: 'rollback', value: 1 }) })
  expect(await failure(away)).toMatchObject({ code: 'STORE_UNAVAILABLE' })
  await failure(unit(pool, { open: [], work: async () => ({ end: 'rollback', value: 1 }), retries: -1 }))
  expect(ends()).toEqual({ unknown: 1, unavailable: 1 })
})

test('afterCommit hooks that throw or hang are counted by kind, each once', async () => {
  const failures = since('aftercommit_failures_total')
  const clock = virtualClock()
  const slow = Promise.withResolvers<void>()
  const own = (): Promise<void> => Promise.reject(new Error('own'))
  const effects = [
    effect('a', { kind: 'cache.purge', afterCommit: own }),
    effect('b', { kind: 'cache.purge', afterCommit: own }),
    effect('c', { kind: 'webhook.ring', afterCommit: () => slow.promise }),
    effect('d', { kind: 'good', afterCommit() {} }),
  ]
  const done = runAfterCommit(effects, { operationId: 'op', now: 0 }, { clock })
  await clock.advance('2s')
  await done
  expect(failures()).toEqual({ 'cache.purge': 2, 'webhook.ring': 1 })
  slow.reject(new Error('late'))
  await clock.advance(0)
  expect(failures()).toEqual({ 'cache.purge': 2, 'webhook.ring': 1 })
})

test('who listens to keelson:kernel:unit hears how each ended, after how many restarts', async () => {
  const heard: unknown[] = []
  const tracing = tracingChannel<unknown, object>('keelson:kernel:unit')
  const hear = (event: string) => (message: object) => void heard.push([event, { ...message }])
  const subscribers = { start: hear('start'), end() {}, asyncStart() {}, asyncEnd: hear('asyncEnd'), error() {} }
  tracing.subscribe(subscribers)
  onTestFinished(() => tracing.unsubscribe(subscribers))
  let runs = 0
  const value = await transact(pool, async (tx) => {
    if (++runs === 1) await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
    return { value: 'ok', effects: [effect('a')] }
  })
  expect(value).toBe('ok')
  const own = new Error('own')
  expect(await failure(transact(pool, () => Promise.reject(own)))).toBe(own)
  expect(heard).toEqual([
    ['start', { restarts: 0 }],
    ['asyncEnd', { restarts: 1, end: 'commit', result: expect.objectContaining({ value: 'ok' }) }],
    ['start', { restarts: 0 }],
    ['asyncEnd', { restarts: 0, end: 'failed', error: own }],
  ])
})
