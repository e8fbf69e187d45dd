import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createMetrics, kernelMetrics, type MetricFamily, type Metrics, type Sample } from '../../src/index.ts'
import { contentType, text } from '../../src/prometheus/index.ts'
import { parse } from './parse.ts'

const component = (metrics: Metrics): { metrics(): MetricFamily[] } => ({ metrics: metrics.families })
const source = (...families: MetricFamily[]): { metrics(): MetricFamily[] } => ({ metrics: () => families })

/** Two components of one package, as an app with two caches has. */
function cache(): {
  metrics: Metrics
  source: { metrics(): MetricFamily[] }
  read(outcome: string, took: number): void
} {
  const metrics = createMetrics('cache')
  const reads = metrics.counter('reads', 'Reads by what they found.', ['outcome'])
  const seconds = metrics.histogram('read', 'Time of reads.', { unit: 'seconds', buckets: [0.1, 1] })
  const entries = metrics.gauge('entries', 'Entries held.')
  return {
    metrics,
    source: component(metrics),
    read(outcome, took) {
      reads.inc({ outcome })
      seconds.observe(took)
      entries.add(1)
    },
  }
}

test('a page is the text that Prometheus reads', () => {
  const { read, source } = cache()
  read('hit', 0.05)
  read('miss', 0.5)
  read('hit', 20)
  expect(text(source)).toBe(`\
# HELP keelson_cache_reads_total Reads by what they found.
# TYPE keelson_cache_reads_total counter
keelson_cache_reads_total{outcome="hit"} 2
keelson_cache_reads_total{outcome="miss"} 1
# HELP keelson_cache_read_seconds Time of reads.
# TYPE keelson_cache_read_seconds histogram
keelson_cache_read_seconds_bucket{le="0.1"} 1
keelson_cache_read_seconds_bucket{le="1"} 2
keelson_cache_read_seconds_bucket{le="+Inf"} 3
keelson_cache_read_seconds_sum 20.55
keelson_cache_read_seconds_count 3
# HELP keelson_cache_entries Entries held.
# TYPE keelson_cache_entries gauge
keelson_cache_entries 3
`)
  expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(text()).toBe('')
})

test('components that count under one name are one family, added up', () => {
  const [first, second] = [cache(), cache()]
  first.read('hit', 0.05)
  second.read('hit', 0.05)
  second.read('miss', 0.5)
  const lines = text(first.source, second.source).split('\n')
  expect(lines.filter((line) => line.startsWith('# TYPE'))).toHaveLength(3)
  expect(lines).toContain('keelson_cache_reads_total{outcome="hit"} 2')
  expect(lines).toContain('keelson_cache_reads_total{outcome="miss"} 1')
  expect(lines).toContain('keelson_cache_read_seconds_bucket{le="0.1"} 2')
  expect(lines).toContain('keelson_cache_read_seconds_count 3')
  expect(lines).toContain('keelson_cache_entries 3')
})

test('label sets are equal in any order of their labels', () => {
  const family = (labels: Sample['labels']): MetricFamily => ({
    name: 'x_total',
    help: 'x',
    type: 'counter',
    samples: [{ name: 'x_total', labels, value: 1 }],
  })
  const page = text(source(family({ a: '1', b: '2' })), source(family({ b: '2', a: '1' }), family({ a: '2', b: '1' })))
  expect(page).toBe(`# HELP x_total x\n# TYPE x_total counter\nx_total{a="1",b="2"} 2\nx_total{a="2",b="1"} 1\n`)
})

test('one name with two types, or with two lists of buckets, is refused by its name', () => {
  const [counter, gauge] = (['counter', 'gauge'] as const).map((type) =>
    source({ name: 'x', help: 'x', type, samples: [] }),
  )
  expect(() => text(counter!, gauge!)).toThrow(
    expect.objectContaining({ code: 'INPUT_INVALID', message: 'x is a counter and a gauge' }),
  )
  const [few, many] = [[1], [1, 2]].map((buckets) => {
    const metrics = createMetrics('x')
    metrics.histogram('y', 'z', { unit: 'seconds', buckets })
    return component(metrics)
  })
  expect(() => text(few!, many!)).toThrow(
    expect.objectContaining({ code: 'INPUT_INVALID', message: 'keelson_x_y_seconds has buckets 1 +Inf and 1 2 +Inf' }),
  )
  expect(parse(text(few!, few!))).toHaveLength(1)
})

test('numbers are written as Go reads them', () => {
  const metrics = createMetrics('x')
  const gauge = metrics.gauge('y', 'z', ['is'])
  const numbers = { big: 1e21, small: 1e-7, inf: Infinity, neg: -Infinity, nan: NaN, half: 0.5, minus: -3 }
  for (const [is, value] of Object.entries(numbers)) gauge.set(value, { is })
  expect(
    text(component(metrics))
      .match(/ \S+$/gm)
      ?.slice(2)
      .map((value) => value.trim()),
  ).toEqual(['1e+21', '1e-7', '+Inf', '-Inf', 'NaN', '0.5', '-3'])
})

test('whatever labels and help say, the page parses back to the same families', () => {
  const hostile = fc.oneof(
    fc.string({
      unit: fc.constantFrom('\\', '"', '\n', '\r', '{', '}', ',', '=', ' ', '#', 'n', 'a', '\0', '\ud800', '€'),
    }),
    fc.string({ unit: 'binary' }),
  )
  const counts = fc.array(fc.tuple(hostile, hostile, fc.double({ min: 0, max: 1e300, noNaN: true })), { maxLength: 20 })
  const values = fc.array(fc.tuple(hostile, fc.double()), { maxLength: 20 })
  const times = fc.array(fc.tuple(hostile, fc.double({ min: 0, max: 20, noNaN: true })), { maxLength: 20 })
  fc.assert(
    fc.property(hostile, counts, values, times, (help, counts, values, times) => {
      const metrics = createMetrics('x')
      const counter = metrics.counter('counter', `C${help}`, ['b', 'a'])
      const gauge = metrics.gauge('gauge', `G${help}`, ['a'])
      const histogram = metrics.histogram('histogram', `H${help}`, { unit: 'seconds', labels: ['a'] })
      for (const [a, b, by] of counts) counter.inc({ a, b }, by)
      for (const [a, value] of values) gauge.set(value, { a })
      for (const [a, value] of times) histogram.observe(value, { a })

      const read = parse(text(component(metrics)))
      // UTF-8 has no lone surrogates; those that become equal are added up.
      const wellFormed = metrics.families().map(({ samples, ...family }) => ({
        ...family,
        help: family.help.toWellFormed(),
        samples: summed(samples),
      }))
      expect(read).toEqual(wellFormed)
    }),
    { numRuns: 500 },
  )
})

function summed(samples: readonly Sample[]): Sample[] {
  const sums = new Map<string, Sample>()
  for (const { name, labels, value } of samples) {
    const well = Object.fromEntries(Object.entries(labels).map(([label, value]) => [label, value.toWellFormed()]))
    const key = JSON.stringify([name, Object.entries(well).sort()])
    sums.set(key, { name, labels: well, value: (sums.get(key)?.value ?? 0) + value })
  }
  return [...sums.values()]
}

test('what the kernel counts itself is a page too', () => {
  expect(parse(text(kernelMetrics)).map(({ name, type }) => [name, type])).toEqual([
    ['keelson_kernel_store_calls_total', 'counter'],
    ['keelson_kernel_store_open', 'gauge'],
    ['keelson_kernel_units_total', 'counter'],
    ['keelson_kernel_unit_seconds', 'histogram'],
    ['keelson_kernel_aftercommit_failures_total', 'counter'],
  ])
})
