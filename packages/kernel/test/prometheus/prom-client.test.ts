import { AggregatorRegistry, Counter, Registry } from 'prom-client'
import { expect, test } from 'vitest'
import { createMetrics } from '../../src/index.ts'
import { collect, text } from '../../src/prometheus/index.ts'
import { parse } from './parse.ts'

function component() {
  const metrics = createMetrics('cache')
  const reads = metrics.counter('reads', 'Reads\\ by\n"outcome".', ['outcome'])
  const seconds = metrics.histogram('read', 'Time of reads.', { unit: 'seconds', labels: ['outcome'] })
  const entries = metrics.gauge('entries', 'Entries held.')
  for (const outcome of ['hit', 'mi"ss', 'back\\slash', 'line\nbreak']) {
    reads.inc({ outcome }, 2)
    seconds.observe(0.02, { outcome })
  }
  entries.set(-0.5)
  return { metrics: metrics.families, reads }
}

test('a register of prom-client gives the same families as text(), beside its own', async () => {
  const cache = component()
  const register = new Registry()
  const own = new Counter({ name: 'own_total', help: 'Own.', registers: [register] })
  own.inc()
  const remove = collect(register, cache)
  // It puts an empty line between families.
  const page = async () => parse((await register.metrics()).replaceAll('\n\n', '\n'))
  expect((await page()).slice(1)).toEqual(parse(text(cache)))
  cache.reads.inc({ outcome: 'hit' })
  expect((await page()).slice(1)).toEqual(parse(text(cache)))
  remove()
  expect((await page()).map(({ name }) => name)).toEqual(['own_total'])
})

test('default labels, a reset and a second collect are as prom-client has them', async () => {
  const cache = component()
  const register = new Registry()
  register.setDefaultLabels({ app: 'shop' })
  const remove = collect(register, cache)
  expect(await register.metrics()).toContain('keelson_cache_entries{app="shop"} -0.5')
  expect((await register.getMetricsAsJSON())[0]).toMatchObject({ values: [{ labels: { app: 'shop' } }, {}, {}, {}] })
  expect(text(cache)).not.toContain('shop')
  register.resetMetrics()
  expect(await register.getSingleMetricAsString('keelson_cache_entries')).toContain('-0.5')
  expect(() => collect(register, cache)).toThrow('already been registered')
  expect(await register.metrics()).toContain('keelson_cache_entries')
  remove()
  expect(await register.metrics()).toBe('\n')
})

test('an OpenMetrics page names counters once, and may be followed by a plain one', async () => {
  const register = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>()
  register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const remove = collect(register, component())
  for (let i = 0; i < 2; i++) {
    const page = await register.metrics()
    expect(page).toContain('# TYPE keelson_cache_reads counter\n')
    expect(page).toContain('\nkeelson_cache_reads_total{outcome="hit"} 2\n')
    expect(page).toContain('\nkeelson_cache_read_seconds_count{outcome="hit"} 1\n')
  }
  remove()
  expect(register.getMetricsAsArray()).toEqual([])
})

test('the workers of a cluster are added up', async () => {
  const pages = await Promise.all(
    [component(), component()].map((cache) => {
      const register = new Registry()
      collect(register, cache)
      return register.getMetricsAsJSON()
    }),
  )
  const total = await AggregatorRegistry.aggregate(pages).metrics()
  expect(total).toContain('keelson_cache_reads_total{outcome="hit"} 4\n')
  expect(total).toContain('keelson_cache_read_seconds_bucket{outcome="hit",le="0.025"} 2\n')
})
