import { expect, test } from 'vitest'
import { createMetrics, type Metrics } from '../../src/index.ts'
import { collect } from '../../src/prometheus/index.ts'

interface Registered {
  readonly name: string
  get(): Promise<{ values: { labels: object; value: number; metricName?: string }[] }>
}

/** A register that does what the port asks for; one name once, as prom-client's. */
function openRegister(taken: readonly string[] = []) {
  const metrics = new Map<string, Registered | undefined>(taken.map((name) => [name, undefined]))
  return {
    metrics,
    registerMetric(metric: Registered): void {
      if (metrics.has(metric.name)) throw new Error(`${metric.name} has already been registered`)
      metrics.set(metric.name, metric)
    },
    removeSingleMetric: (name: string): void => void metrics.delete(name),
    valuesOf: async (name: string) => (await metrics.get(name)!.get()).values,
  }
}

function cache(): {
  metrics: Metrics
  read(outcome: string): void
  component: { metrics(): ReturnType<Metrics['families']> }
} {
  const metrics = createMetrics('cache')
  const reads = metrics.counter('reads', 'Reads.', ['outcome'])
  metrics.histogram('read', 'Time.', { unit: 'seconds', buckets: [1] })
  return { metrics, read: (outcome) => reads.inc({ outcome }), component: { metrics: metrics.families } }
}

test('families are in the register until they are taken out, with the numbers of each reading', async () => {
  const { read, component } = cache()
  const other = cache()
  const register = openRegister(['theirs'])
  const remove = collect(register, component, other.component)
  expect([...register.metrics.keys()]).toEqual(['theirs', 'keelson_cache_reads_total', 'keelson_cache_read_seconds'])
  expect(await register.valuesOf('keelson_cache_reads_total')).toEqual([])
  read('hit')
  other.read('hit')
  expect(await register.valuesOf('keelson_cache_reads_total')).toEqual([{ labels: { outcome: 'hit' }, value: 2 }])
  expect(await register.valuesOf('keelson_cache_read_seconds')).toEqual([
    { metricName: 'keelson_cache_read_seconds_bucket', labels: { le: '1' }, value: 0 },
    { metricName: 'keelson_cache_read_seconds_bucket', labels: { le: '+Inf' }, value: 0 },
    { metricName: 'keelson_cache_read_seconds_sum', labels: {}, value: 0 },
    { metricName: 'keelson_cache_read_seconds_count', labels: {}, value: 0 },
  ])
  remove()
  remove()
  expect([...register.metrics.keys()]).toEqual(['theirs'])
})

test('a page reads its components once, the next page again', async () => {
  const { component } = cache()
  let reads = 0
  const counted = { metrics: () => (reads++, component.metrics()) }
  const register = openRegister()
  collect(register, counted)
  reads = 0
  const page = (): Promise<unknown> => Promise.all([...register.metrics.keys()].map((name) => register.valuesOf(name)))
  await page()
  expect(reads).toBe(1)
  await page()
  expect(reads).toBe(2)
})

test('a name that the register has is its error, and nothing of ours stays', () => {
  const { component } = cache()
  const register = openRegister(['keelson_cache_read_seconds'])
  expect(() => collect(register, component)).toThrow('keelson_cache_read_seconds has already been registered')
  expect([...register.metrics.keys()]).toEqual(['keelson_cache_read_seconds'])
})
