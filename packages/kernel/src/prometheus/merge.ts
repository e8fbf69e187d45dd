import type { Component } from '../component.ts'
import { KernelError } from '../kernel-error.ts'
import type { MetricFamily, Sample } from '../metrics.ts'

/** Whatever has metrics: a component, or `kernelMetrics`. */
export type MetricSource = Pick<Component, 'metrics'>

/** A family of several sources. Its samples are named as the exposition names them, so none is there twice. */
export interface MergedFamily extends Omit<MetricFamily, 'samples'> {
  readonly samples: ReadonlyMap<string, Sample>
}

/**
 * The families of all sources, by name. What two sources count under one name and label set is added up, gauges too.
 * @throws KernelError INPUT_INVALID for one name with two types, or with two lists of buckets.
 */
export function mergeFamilies(sources: readonly MetricSource[]): Map<string, MergedFamily> {
  const merged = new Map<string, MergedFamily & { samples: Map<string, Sample>; buckets: string }>()
  for (const family of sources.flatMap((source) => source.metrics())) {
    const buckets = bucketsOf(family)
    const known = merged.get(family.name) ?? { ...family, samples: new Map<string, Sample>(), buckets }
    if (known.type !== family.type) {
      throw new KernelError('INPUT_INVALID', `${family.name} is a ${known.type} and a ${family.type}`)
    }
    // Counts up to different bounds cannot be added.
    if (known.buckets !== '' && buckets !== '' && known.buckets !== buckets) {
      throw new KernelError('INPUT_INVALID', `${family.name} has buckets ${known.buckets} and ${buckets}`)
    }
    for (const sample of family.samples) {
      const series = seriesOf(sample)
      const value = (known.samples.get(series)?.value ?? 0) + sample.value
      known.samples.set(series, { name: sample.name, labels: sample.labels, value })
    }
    merged.set(family.name, { ...known, buckets: known.buckets || buckets })
  }
  return merged
}

function bucketsOf({ type, samples }: MetricFamily): string {
  if (type !== 'histogram') return ''
  return [...new Set(samples.flatMap(({ labels }) => labels['le'] ?? []))].join(' ')
}

/** Name and labels as the exposition writes them: `name{a="1",b="2"}`. */
function seriesOf({ name, labels }: Sample): string {
  const pairs = Object.keys(labels)
    .sort()
    .map((label) => `${label}="${escapeLabel(labels[label]!)}"`)
  return pairs.length === 0 ? name : `${name}{${pairs.join(',')}}`
}

function escapeLabel(value: string): string {
  return value
    .toWellFormed()
    .replace(/[\\"]/g, String.raw`\$&`)
    .replaceAll('\n', String.raw`\n`)
}
