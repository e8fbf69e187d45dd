import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createMetrics, type Metrics, type Sample } from '../src/index.ts'

/** The samples of the only family. */
const samplesOf = (metrics: Metrics): readonly Sample[] => metrics.families()[0]!.samples
const valuesOf = (metrics: Metrics): Record<string, number> =>
  Object.fromEntries(samplesOf(metrics).map(({ labels, value }) => [Object.values(labels).join(), value]))

describe('a counter', () => {
  test('is named by package, what it counts and _total, and begins at 0', () => {
    const metrics = createMetrics('cache')
    const evictions = metrics.counter('evictions', 'Entries put out.')
    const name = 'keelson_cache_evictions_total'
    expect(metrics.families()).toEqual([
      { name, help: 'Entries put out.', type: 'counter', samples: [{ name, labels: {}, value: 0 }] },
    ])
    evictions.inc()
    evictions.inc(undefined, 2)
    evictions.inc({}, 0.5)
    expect(samplesOf(metrics)).toEqual([{ name, labels: {}, value: 3.5 }])
  })

  test('has a number for each label set, from its first call on', () => {
    const metrics = createMetrics('cache')
    const reads = metrics.counter('reads', 'Reads.', ['cache', 'outcome'])
    expect(samplesOf(metrics)).toEqual([])
    reads.inc({ cache: 'users', outcome: 'hit' })
    reads.inc({ outcome: 'miss', cache: 'users' }, 2)
    reads.inc({ cache: 'hit', outcome: 'users' })
    reads.inc({ cache: 'users', outcome: 'hit' })
    expect(samplesOf(metrics).map(({ labels, value }) => [labels, value])).toEqual([
      [{ cache: 'users', outcome: 'hit' }, 2],
      [{ cache: 'users', outcome: 'miss' }, 2],
      [{ cache: 'hit', outcome: 'users' }, 1],
    ])
  })

  test.each([-1, -Infinity, NaN, Infinity])('never goes back: %d is not added', (by) => {
    const metrics = createMetrics('cache')
    const reads = metrics.counter('reads', 'Reads.')
    reads.inc({}, 1)
    reads.inc({}, by)
    expect(samplesOf(metrics)[0]!.value).toBe(1)
  })

  test('what was read stays as it was', () => {
    const metrics = createMetrics('cache')
    const reads = metrics.counter('reads', 'Reads.')
    const before = metrics.families()
    reads.inc()
    expect(before[0]!.samples[0]!.value).toBe(0)
  })
})

describe('a gauge', () => {
  test('is set, added to, or read on demand; the last of them counts', () => {
    const metrics = createMetrics('sync')
    const lag = metrics.gauge('lag_seconds', 'Behind the log.', ['log'])
    expect(samplesOf(metrics)).toEqual([])
    lag.set(3, { log: 'a' })
    lag.add(-1, { log: 'a' })
    lag.add(5, { log: 'b' })
    expect(metrics.families()[0]!.name).toBe('keelson_sync_lag_seconds')
    expect(valuesOf(metrics)).toEqual({ a: 2, b: 5 })

    let now = 10
    lag.read(() => now, { log: 'a' })
    expect(valuesOf(metrics)).toEqual({ a: 10, b: 5 })
    now = 11
    expect(valuesOf(metrics)).toEqual({ a: 11, b: 5 })
    lag.set(-1, { log: 'a' })
    expect(valuesOf(metrics)).toEqual({ a: -1, b: 5 })
  })

  test('one whose function throws, or answers no number, has no sample and harms no other', () => {
    const metrics = createMetrics('sync')
    const lag = metrics.gauge('lag_seconds', 'Behind the log.', ['log'])
    lag.read(
      () => {
        throw new Error('closed')
      },
      { log: 'a' },
    )
    lag.read(() => undefined as never, { log: 'b' })
    lag.set(1, { log: 'c' })
    expect(valuesOf(metrics)).toEqual({ c: 1 })
  })
})

describe('a histogram', () => {
  test('has the buckets, sum and count of Prometheus', () => {
    const metrics = createMetrics('kernel')
    const took = metrics.histogram('unit', 'Time.', { unit: 'seconds', buckets: [0.1, 1], labels: ['end'] })
    for (const value of [0.1, 0.2, 1, 7]) took.observe(value, { end: 'commit' })
    const name = 'keelson_kernel_unit_seconds'
    const end = 'commit'
    expect(metrics.families()).toEqual([
      {
        name,
        help: 'Time.',
        type: 'histogram',
        samples: [
          { name: `${name}_bucket`, labels: { end, le: '0.1' }, value: 1 },
          { name: `${name}_bucket`, labels: { end, le: '1' }, value: 3 },
          { name: `${name}_bucket`, labels: { end, le: '+Inf' }, value: 4 },
          { name: `${name}_sum`, labels: { end }, value: 8.3 },
          { name: `${name}_count`, labels: { end }, value: 4 },
        ],
      },
    ])
  })

  test('has buckets from 0.5 ms to 10 s, or to 16 MiB, and is empty at first', () => {
    const metrics = createMetrics('kernel')
    metrics.histogram('unit', 'Time.', { unit: 'seconds' })
    metrics.histogram('body', 'Size.', { unit: 'bytes' })
    const [seconds, bytes] = metrics.families().map(({ samples }) => samples)
    const bounds = (samples: readonly Sample[] = []) => samples.flatMap(({ labels }) => labels['le'] ?? [])
    expect([bounds(seconds).at(0), bounds(seconds).at(-2), bounds(seconds).length]).toEqual(['0.0005', '10', 15])
    expect([bounds(bytes).at(0), bounds(bytes).at(-2), bounds(bytes).length]).toEqual(['256', '16777216', 10])
    expect(seconds!.every(({ value }) => value === 0)).toBe(true)
  })

  test('each bucket counts what is not over its bound', () => {
    const bound = fc.double({ min: 0.001, max: 100, noNaN: true })
    const bounds = fc.uniqueArray(bound, { minLength: 1, maxLength: 10 }).map((list) => list.toSorted((a, b) => a - b))
    const value = fc.oneof(fc.double({ min: 0, max: 120, noNaN: true }), fc.constantFrom(0, NaN, -1, Infinity))
    fc.assert(
      fc.property(bounds, fc.array(value), (buckets, values) => {
        const metrics = createMetrics('x')
        const took = metrics.histogram('y', 'z', { unit: 'seconds', buckets })
        // Values on a bound belong to it.
        const observed = [...values, ...buckets]
        for (const each of observed) took.observe(each)
        const valid = observed.filter((each) => each >= 0 && Number.isFinite(each))
        const samples = samplesOf(metrics).map(({ value }) => value)
        expect(samples).toEqual([
          ...buckets.map((le) => valid.filter((each) => each <= le).length),
          valid.length,
          valid.reduce((sum, each) => sum + each, 0),
          valid.length,
        ])
      }),
    )
  })
})

describe('label sets', () => {
  test('are at most 200; of further ones every value becomes other, and nothing is lost', () => {
    const label = fc.integer({ min: 0, max: 40 }).map((n) => (n === 40 ? 'other' : `v${n}`))
    const calls = fc.array(fc.tuple(label, label, fc.integer({ min: 0, max: 9 })), { minLength: 300, maxLength: 900 })
    fc.assert(
      fc.property(calls, (calls) => {
        const metrics = createMetrics('x')
        const counter = metrics.counter('y', 'z', ['a', 'b'])
        const known = new Map<string, number>()
        for (const [a, b, by] of calls) {
          counter.inc({ a, b }, by)
          const at = known.has(`${a},${b}`) || known.size < 199 ? `${a},${b}` : 'other,other'
          known.set(at, (known.get(at) ?? 0) + by)
        }
        expect(valuesOf(metrics)).toEqual(Object.fromEntries(known))
        expect(samplesOf(metrics).length).toBeLessThanOrEqual(200)
      }),
      { numRuns: 50 },
    )
  })

  test('the 200th is other', () => {
    const metrics = createMetrics('x')
    const gauge = metrics.gauge('y', 'z', ['a'])
    for (let i = 0; i < 1_000; i++) gauge.add(1, { a: `v${i}` })
    expect(samplesOf(metrics).length).toBe(200)
    expect(valuesOf(metrics)).toMatchObject({ v0: 1, v198: 1, other: 801 })
    const untyped = gauge as { add(by: number, labels: unknown): void }
    untyped.add(1, { a: { toString: () => 'v0' } })
    expect(valuesOf(metrics)).toMatchObject({ v0: 2, other: 801 })
  })

  test('whatever comes past the types: unknown labels are not read, missing ones are empty, nothing throws', () => {
    const metrics = createMetrics('x')
    const counter = metrics.counter('y', 'z', ['a', 'b']) as { inc(labels?: unknown): void }
    for (const labels of [
      { a: 'x', c: 'y' },
      { a: 'x', b: undefined },
      { a: 'x', b: '' },
    ])
      counter.inc(labels)
    for (const labels of [undefined, null, 5, { a: 404, b: true }, { a: '404', b: 'true' }]) counter.inc(labels)
    expect(samplesOf(metrics).map(({ labels, value }) => [labels, value])).toEqual([
      [{ a: 'x', b: '' }, 3],
      [{ a: '', b: '' }, 3],
      [{ a: '404', b: 'true' }, 2],
    ])
  })

  test('names of Object.prototype are values like others', () => {
    const metrics = createMetrics('x')
    const counter = metrics.counter('y', 'z', ['a'])
    for (const a of ['constructor', '__proto__', 'toString']) counter.inc({ a })
    expect(samplesOf(metrics).map(({ labels }) => labels['a'])).toEqual(['constructor', '__proto__', 'toString'])
  })
})

describe('what is wrong is refused when the family is made', () => {
  const metrics = createMetrics('x')
  metrics.counter('taken', 'Taken.')
  test.each<[string, () => unknown, RegExp]>([
    [
      'a package',
      () => createMetrics('adapters-express').counter('y', 'z'),
      /"name" must be .*keelson_adapters-express_/,
    ],
    ['a name', () => metrics.counter('Reads', 'z'), /^createMetrics: "name" must be .*'keelson_x_Reads_total'/],
    ['no name', () => metrics.counter('', 'z'), /"name" must be/],
    ['an ending that is added', () => metrics.counter('reads_total', 'z'), /"name" must be .* not end in total/],
    ['a part of a histogram', () => metrics.gauge('reads_bucket', 'z'), /"name" must be/],
    ['a name twice', () => metrics.counter('taken', 'z'), /"name" must be new, .*'keelson_x_taken_total'/],
    ['no help', () => metrics.gauge('y', ''), /"help" must be a sentence \(got ''\)/],
    ['a label with a dash', () => metrics.counter('y', 'z', ['a-b']), /"labels" must be different words/],
    ['a label twice', () => metrics.counter('y', 'z', ['a', 'a']), /"labels" must be different words/],
    ['a label of Prometheus', () => metrics.counter('y', 'z', ['le']), /"labels"/],
    ['a label with no bound', () => metrics.counter('y', 'z', ['tenant']), /"labels" .*none of them id, key/],
    ['an id', () => metrics.gauge('y', 'z', ['operation_id']), /"labels"/],
    ['labels as text', () => metrics.counter('y', 'z', 'a' as never), /"labels"/],
    ['a unit', () => metrics.histogram('y', 'z', { unit: 'ms' as never }), /"unit" must be 'seconds' or 'bytes'/],
    [
      'buckets that fall',
      () => metrics.histogram('y', 'z', { unit: 'bytes', buckets: [2, 1] }),
      /"buckets" must be growing/,
    ],
    ['buckets twice', () => metrics.histogram('y', 'z', { unit: 'bytes', buckets: [1, 1] }), /"buckets"/],
    ['no buckets', () => metrics.histogram('y', 'z', { unit: 'bytes', buckets: [] }), /"buckets"/],
    ['an endless bucket', () => metrics.histogram('y', 'z', { unit: 'bytes', buckets: [Infinity] }), /"buckets"/],
  ])('%s', (_, make, message) => {
    expect(make).toThrow(expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(message) }))
    expect(metrics.families().length).toBe(1)
  })
})

test('after the first call of a label set nothing is allocated', async () => {
  // A new space of 1 MB: a million calls that made 16 bytes each would fill it over and over.
  const flags = ['--max-semi-space-size=1', '--trace-gc', '--conditions=@keelson/source', '--no-warnings']
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...flags,
    join(import.meta.dirname, 'metrics-worker.ts'),
  ])
  const rounds = stdout.split('begin\n').slice(1)
  const collections = rounds.map((round) => round.split('\n').filter((line) => line.includes('Scavenge')).length)
  expect([rounds.length, stdout.trimEnd().endsWith('end')]).toEqual([5, true])
  // The best of five: on a busy machine the compiler is late, and what it has not compiled yet does allocate.
  expect(Math.min(...collections)).toBeLessThanOrEqual(2)
})
