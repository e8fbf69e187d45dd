import { mergeFamilies, type MetricSource } from './merge.ts'

/** What a page of {@link text} is sent as. */
export const contentType = 'text/plain; version=0.0.4; charset=utf-8'

/**
 * The metrics of all components in Prometheus' text format 0.0.4, for an app without prom-client. A name that several
 * components count under is one family: equal label sets are added up.
 *
 * ```ts
 * res.setHeader('Content-Type', contentType).end(text(kernelMetrics, idempotency))
 * ```
 *
 * @throws KernelError INPUT_INVALID for one name with two types, or with two lists of buckets.
 */
export function text(...components: readonly MetricSource[]): string {
  const lines: string[] = []
  for (const { name, help, type, samples } of mergeFamilies(components).values()) {
    lines.push(`# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`)
    for (const [series, { value }] of samples) lines.push(`${series} ${numberText(value)}\n`)
  }
  return lines.join('')
}

function escapeHelp(help: string): string {
  return help
    .toWellFormed()
    .replaceAll('\\', String.raw`\\`)
    .replaceAll('\n', String.raw`\n`)
}

/** Go reads them. */
function numberText(value: number): string {
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}
