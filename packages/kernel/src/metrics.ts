import { show } from './duration.ts'
import { KernelError } from './kernel-error.ts'

/** One number, as Prometheus models it. */
export interface Sample {
  /** The family's name; of a histogram with `_bucket` (label `le`: the upper bound, counts add up), `_sum` or `_count`. */
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** What is counted under one name, read at one moment. */
export interface MetricFamily {
  readonly name: string
  readonly help: string
  readonly type: 'counter' | 'gauge' | 'histogram'
  readonly samples: readonly Sample[]
}

/** A value for each declared label. Values are few and known: an outcome, a store, a route; never a key or a tenant. */
export type Labels<L extends string> = [L] extends [never]
  ? Readonly<Record<string, never>>
  : Readonly<Record<L, string>>

/** A family with labels is never touched without them. */
export type LabelArgs<L extends string> = [L] extends [never] ? [labels?: Labels<L>] : [labels: Labels<L>]

/** A number that grows. */
export interface Counter<L extends string = never> {
  /** Adds `by` (1). Counting never throws: what is negative or not finite is not added. */
  inc(...args: [...LabelArgs<L>, by?: number]): void
}

/** A number that goes up and down. */
export interface Gauge<L extends string = never> {
  set(value: number, ...labels: LabelArgs<L>): void
  add(by: number, ...labels: LabelArgs<L>): void
  /** `fn` is asked at each reading. While it throws, this label set has no sample. */
  read(fn: () => number, ...labels: LabelArgs<L>): void
}

/** How long things took, or how big they were. */
export interface Histogram<L extends string = never> {
  /** In the unit of the histogram. What is negative or not finite is not observed. */
  observe(value: number, ...labels: LabelArgs<L>): void
}

/** What a histogram is made of. */
export interface HistogramOptions<L extends string = never> {
  /** Ends the name. */
  readonly unit: 'seconds' | 'bytes'
  /** Upper bounds, growing; default 0.5 ms to 10 s, or 256 B to 16 MiB. */
  readonly buckets?: readonly number[]
  readonly labels?: readonly L[]
}

/** The metrics of one package or one component of it. */
export interface Metrics {
  /** `keelson_<package>_<what>_total`. */
  counter<const L extends string = never>(what: string, help: string, labels?: readonly L[]): Counter<L>
  /** `keelson_<package>_<what>`; a unit is the end of `what`, in seconds or bytes. */
  gauge<const L extends string = never>(what: string, help: string, labels?: readonly L[]): Gauge<L>
  /** `keelson_<package>_<what>_<unit>`. */
  histogram<const L extends string = never>(what: string, help: string, options: HistogramOptions<L>): Histogram<L>
  /** All families as they are now, in the order of their making. */
  families(): MetricFamily[]
}

/** Label sets of one family; what comes after them is counted under `other`, so a wrong label cannot fill the memory. */
const MAX_SERIES = 200
const OTHER = 'other'

const BUCKETS = {
  seconds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  bytes: Array.from({ length: 9 }, (_, i) => 256 * 4 ** i),
}

const WORDS = /^[a-z][a-z0-9]*(_[a-z0-9]+)*$/
/** Endings that we add, or that Prometheus reads as a part of a histogram. */
const TAKEN_ENDING = /_(total|bucket|sum|count)$/
/** Labels of Prometheus itself, and what has no bound or names a person. */
const REFUSED_LABEL = /^(le|quantile)$|(^|_)(id|key|path|url|tenant|scope|principal)$/

/**
 * Metrics as plain numbers that are read on demand: no timer, no registry, no allocation after a label set's first
 * call. A family has at most 200 label sets; the values of further ones become `other`.
 *
 * ```ts
 * const metrics = createMetrics('cache')
 * const reads = metrics.counter('reads', 'Reads by what they found.', ['outcome'])
 * reads.inc({ outcome: 'hit' }) // keelson_cache_reads_total{outcome="hit"} 1
 * ```
 *
 * @throws KernelError OPTION_INVALID for a wrong name, label or bucket, when the family is made; counting never throws.
 */
export function createMetrics(pkg: string): Metrics {
  const families = new Map<string, () => MetricFamily>()

  function add<C>(
    type: MetricFamily['type'],
    what: string,
    ending: string,
    help: string,
    series: Series<C>,
    samplesOf: (name: string, labels: Sample['labels'], cell: C) => readonly Sample[],
  ): void {
    const base = `keelson_${pkg}_${what}`
    const name = base + ending
    const fits = WORDS.test(base) && !TAKEN_ENDING.test(base) && !families.has(name)
    check('name', name, fits, 'new, and words joined by _ that do not end in total, bucket, sum or count')
    check('help', help, typeof help === 'string' && help !== '', 'a sentence')
    families.set(name, () => ({
      name,
      help,
      type,
      samples: series.all().flatMap(([labels, cell]) => samplesOf(name, labels, cell)),
    }))
  }

  return {
    counter(what, help, labels = []) {
      const series = seriesOf(labels, numbers)
      add('counter', what, '_total', help, series, (name, labels, [value = 0]) => [{ name, labels, value }])
      if (labels.length === 0) series.cell(undefined)
      return {
        inc(labels?: Given, by = 1) {
          if (by >= 0 && by < Infinity) series.cell(labels)[0]! += by
        },
      } as Counter<any>
    },
    gauge(what, help, labels = []) {
      const series = seriesOf(labels, (): GaugeCell => ({ value: numbers(), read: undefined }))
      add('gauge', what, '', help, series, (name, labels, cell) => {
        const value = cell.read === undefined ? cell.value[0] : readingOf(cell.read)
        return value === undefined ? [] : [{ name, labels, value }]
      })
      return {
        set(value: number, labels?: Given) {
          const cell = series.cell(labels)
          cell.read = undefined
          cell.value[0] = value
        },
        add(by: number, labels?: Given) {
          series.cell(labels).value[0]! += by
        },
        read(fn: () => number, labels?: Given) {
          series.cell(labels).read = fn
        },
      }
    },
    histogram(what, help, options) {
      const { unit, buckets, labels = [] } = options
      check('unit', unit, Object.hasOwn(BUCKETS, unit), "'seconds' or 'bytes'")
      const bounds = checkBuckets(buckets ?? BUCKETS[unit])
      const series = seriesOf(labels, () => ({
        // The last one counts what is over all bounds.
        counts: numbers(bounds.length + 1),
        sum: numbers(),
      }))
      add('histogram', what, `_${unit}`, help, series, (name, labels, cell) =>
        histogramSamples(name, labels, bounds, cell),
      )
      if (labels.length === 0) series.cell(undefined)
      return {
        observe(value: number, labels?: Given) {
          if (!(value >= 0 && value < Infinity)) return
          const cell = series.cell(labels)
          let at = 0
          while (at < bounds.length && value > bounds[at]!) at++
          cell.counts[at]!++
          cell.sum[0]! += value
        },
      }
    },
    families: () => [...families.values()].map((read) => read()),
  }
}

/** Labels as they come at run time. */
type Given = Readonly<Record<string, string | number | boolean | undefined>> | undefined

/** A number in an object's field would be made anew at each change, where it has fractions. */
function numbers(length = 1): Float64Array {
  return new Float64Array(length)
}

interface GaugeCell {
  readonly value: Float64Array
  read: (() => number) | undefined
}

function readingOf(read: () => number): number | undefined {
  try {
    const value: unknown = read()
    return typeof value === 'number' ? value : undefined
  } catch {
    // One broken gauge must not take the whole page away.
    return undefined
  }
}

function histogramSamples(
  name: string,
  labels: Sample['labels'],
  bounds: readonly number[],
  { counts, sum }: { readonly counts: Float64Array; readonly sum: Float64Array },
): Sample[] {
  let count = 0
  const buckets = [...bounds, Infinity].map((bound, at) => {
    count += counts[at]!
    const le = bound === Infinity ? '+Inf' : String(bound)
    return { name: `${name}_bucket`, labels: { ...labels, le }, value: count }
  })
  return [...buckets, { name: `${name}_sum`, labels, value: sum[0]! }, { name: `${name}_count`, labels, value: count }]
}

/** The label sets of one family, each with its cell. */
interface Series<C> {
  /** Made at its first use. */
  cell(given: Given): C
  all(): readonly (readonly [labels: Sample['labels'], cell: C])[]
}

/** A level for each label, values as keys: a known label set is found without making anything. */
type Level<C> = Map<unknown, Level<C> | C>

function seriesOf<C>(names: readonly string[], make: () => C): Series<C> {
  const fit = (name: unknown): boolean => typeof name === 'string' && WORDS.test(name) && !REFUSED_LABEL.test(name)
  check(
    'labels',
    names,
    Array.isArray(names) && names.every(fit) && new Set(names).size === names.length,
    'different words, none of them id, key, path, url, tenant, scope, principal, le, quantile',
  )
  const entries: [Sample['labels'], C][] = []
  const root: Level<C> = new Map()
  // Without labels there is one level all the same.
  const path = names.length === 0 ? [''] : names
  const labelsOf = (valueOf: (name: string) => string): Sample['labels'] =>
    Object.freeze(Object.fromEntries(names.map((name) => [name, valueOf(name)])))
  const others = labelsOf(() => OTHER)

  function find(given: Given): C | undefined {
    let at: Level<C> | C | undefined = root
    for (const name of path) at = (at as Level<C> | undefined)?.get(given?.[name])
    return at as C | undefined
  }

  function add(labels: Sample['labels']): C {
    let level = root
    for (const name of path.slice(0, -1)) {
      const next = (level.get(labels[name]) as Level<C> | undefined) ?? new Map<unknown, Level<C> | C>()
      level.set(labels[name], next)
      level = next
    }
    const cell = make()
    level.set(labels[path.at(-1)!], cell)
    entries.push([labels, cell])
    return cell
  }

  /** A label set not seen in this form. */
  function meet(given: Given): C {
    const labels = labelsOf((name) => String(given?.[name] ?? ''))
    // One place is kept for the others.
    const kept = entries.length < MAX_SERIES - 1 ? labels : others
    return find(labels) ?? find(kept) ?? add(kept)
  }

  return { cell: (given) => find(given) ?? meet(given), all: () => entries }
}

function checkBuckets(buckets: readonly number[]): readonly number[] {
  const grows =
    Array.isArray(buckets) &&
    buckets.length > 0 &&
    buckets.every((bound, i) => Number.isFinite(bound) && bound > (buckets[i - 1] ?? 0))
  check('buckets', buckets, grows, 'growing finite numbers over 0')
  return [...buckets]
}

function check(option: string, given: unknown, fits: boolean, allowed: string): void {
  if (!fits)
    throw new KernelError('OPTION_INVALID', `createMetrics: "${option}" must be ${allowed} (got ${show(given)})`)
}
