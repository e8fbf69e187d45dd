import type { MetricFamily } from '../metrics.ts'
import { mergeFamilies, type MergedFamily, type MetricSource } from './merge.ts'

/** A prom-client `Registry`. */
export interface PromRegisterLike {
  // prom-client types its metrics as its own classes, but only reads what PromMetric has.
  registerMetric(metric: any): void
  removeSingleMetric(name: string): void
}

/** What prom-client reads of a metric. */
interface PromMetric {
  /** Without `_total` after an OpenMetrics page: prom-client takes it off. */
  name: string
  readonly help: string
  readonly type: MetricFamily['type']
  /** Of the workers of a cluster. */
  readonly aggregator: 'sum'
  get(): Promise<Omit<PromMetric, 'get' | 'reset'> & { readonly values: PromValue[] }>
  /** Ours are read, not kept: there is nothing to reset. */
  reset(): void
}

interface PromValue {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
  /** Of a histogram's series. */
  readonly metricName?: string
}

/**
 * Adds the metrics of all components to a prom-client register, read whenever it is; the answer takes them out again.
 * The names are those of now: give all components in one call, after they were made.
 *
 * @throws KernelError INPUT_INVALID for one name with two types, or with two lists of buckets; what the register throws
 * for a name that it has.
 */
export function collect(register: PromRegisterLike, ...components: readonly MetricSource[]): () => void {
  let page: Map<string, MergedFamily> | undefined
  // A register asks all its metrics in one go: they are read once, and fit each other.
  const read = (name: string): MergedFamily | undefined => {
    if (page === undefined) {
      page = mergeFamilies(components)
      queueMicrotask(() => (page = undefined))
    }
    return page.get(name)
  }
  const registered: string[] = []
  const remove = (): void => registered.forEach((name) => register.removeSingleMetric(name))
  try {
    for (const { name, help, type } of mergeFamilies(components).values()) {
      const metric: PromMetric = {
        name,
        help,
        type,
        aggregator: 'sum',
        async get() {
          const values = [...(read(name)?.samples.values() ?? [])].map((sample) => ({
            labels: sample.labels,
            value: sample.value,
            ...(sample.name === name ? {} : { metricName: sample.name }),
          }))
          return { name: metric.name, help, type, aggregator: 'sum', values }
        },
        reset() {},
      }
      register.registerMetric(metric)
      registered.push(name)
    }
  } catch (error) {
    remove()
    throw error
  }
  return remove
}
