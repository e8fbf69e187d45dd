import type { MetricFamily } from '@keelson/kernel'
import { text, type MetricSource } from '@keelson/kernel/prometheus'
import { family } from './family.ts'

/** What could be read, and of how many it could not. */
export interface MetricReading {
  readonly families: readonly (readonly MetricFamily[])[]
  readonly unreadable: number
}

/** Reads each source once. One that throws is counted, and takes nothing of the others away. */
export function readMetrics(sources: readonly MetricSource[]): MetricReading {
  const families: MetricFamily[][] = []
  for (const source of new Set(sources)) {
    const read = familiesOf(source)
    if (read !== undefined) families.push(read)
  }
  return { families, unreadable: new Set(sources).size - families.length }
}

/** The page in Prometheus' text format. A source that does not fit the ones before it is left out, and counted. */
export function metricPage({ families, unreadable }: MetricReading): string {
  const fitting = pageOf(families) === undefined ? thoseThatFit(families) : families
  return pageOf([...fitting, [unreadableFamily(unreadable + families.length - fitting.length)]])!
}

/** How many components could not be read: 0 is good. */
export function unreadableFamily(count: number): MetricFamily {
  return family('keelson_http_unreadable_components', 'gauge', 'Components whose metrics could not be read.', count)
}

function familiesOf(source: MetricSource): MetricFamily[] | undefined {
  try {
    return [...source.metrics()]
  } catch {
    return undefined
  }
}

function pageOf(families: readonly (readonly MetricFamily[])[]): string | undefined {
  try {
    return text({ metrics: () => families.flat() })
  } catch {
    return undefined
  }
}

/** One by one; only after a page did not work. */
function thoseThatFit(families: readonly (readonly MetricFamily[])[]): (readonly MetricFamily[])[] {
  const fitting: (readonly MetricFamily[])[] = []
  for (const each of families) {
    if (pageOf([...fitting, each]) !== undefined) fitting.push(each)
  }
  return fitting
}
