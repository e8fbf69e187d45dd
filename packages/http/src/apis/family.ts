import type { MetricFamily } from '@keelson/kernel'

/** Values of one name, by their label's value; without a label one value. */
type Values = number | Readonly<Record<string, number>>

/** A family with at most one label. */
export function family(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  values: Values,
  label = 'kind',
): MetricFamily {
  const samples =
    typeof values === 'number'
      ? [{ name, labels: {}, value: values }]
      : Object.entries(values).map(([key, value]) => ({ name, labels: { [label]: key }, value }))
  return { name, type, help, samples }
}
