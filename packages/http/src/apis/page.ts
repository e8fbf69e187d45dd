import { createHash } from 'node:crypto'
import type { Status } from '@keelson/kernel'
import type { BreakerRow } from './breakers.ts'
import type { HealthReport } from './health-api.ts'
import { durationOf, long, pairs, stateMark, table, timeOf } from './ops/elements.ts'
import { Html, html, type Content } from './ops/html.ts'
import { STYLE } from './ops/style.ts'
import type { SystemReading } from './system-metrics.ts'

/** What the page shows. */
export interface PageContent {
  readonly state: Status['state']
  readonly components: readonly Status[]
  readonly breakers: readonly BreakerRow[]
  readonly ready: HealthReport | undefined
  readonly system: SystemReading
  readonly paths: readonly string[]
  /** What people ask and act on; undefined for a page that is only watched. */
  readonly sections: readonly Html[] | undefined
  /** What came of an action. */
  readonly notice?: { readonly ok: boolean; readonly text: string } | undefined
}

const styleHash = createHash('sha256').update(STYLE).digest('base64')

/** Nothing is loaded, run or framed, and forms go nowhere else: a name or message of an attacker has no way out. */
export const pagePolicy: string = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`

/** Nobody writes into a page that reads itself again. */
const REFRESH = html`<meta http-equiv="refresh" content="10">`

/** The whole state of a process on one page. */
export function statusPage({
  state,
  components,
  breakers,
  ready,
  system,
  paths,
  sections,
  notice,
}: PageContent): string {
  const isWatched = sections === undefined
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">${isWatched ? REFRESH : undefined}<title>Keelson: ${state}</title><style>${new Html(STYLE)}</style></head>
<body><header><h1>Keelson: ${stateMark(state)}</h1>
<p>${isWatched ? html`It reads itself again every 10 s. <a href="?">Stop</a>` : html`<a href="?watch">Watch it</a>`}</p></header>
<main>${notice && html`<p role="${notice.ok ? 'status' : 'alert'}" class="notice ${notice.ok ? 'ok' : 'down'}">${notice.text}</p>`}
<h2>Components</h2>
${table(
  ['component', 'state', 'counts', 'oldest', 'lag', 'last error'],
  components.map((one) => [
    one.name,
    stateMark(one.state),
    countsOf(one),
    durationOf(one.oldestMs),
    durationOf(one.lagMs),
    one.lastError && long(`${one.lastError.code}: ${one.lastError.message} (${timeOf(one.lastError.at)})`),
  ]),
)}
${titled('Sinks', table(['sink', 'state', 'pending', 'oldest', 'dead', 'last error'], components.flatMap(sinkRows)))}
${titled(
  'Breakers',
  table(
    ['breaker', 'state', 'counts'],
    breakers.map(({ name, state, status }) => [name, stateMark(state), status && pairs(status.counts)]),
  ),
)}
${sections}
${titled(
  `Readiness: ${ready?.reason ?? ready?.status ?? ''}`,
  table(
    ['check', 'state', 'critical', 'ms', 'error'],
    Object.entries(ready?.checks ?? {}).map(([name, { ok, critical, ms, error }]) => [
      name,
      stateMark(ok ? 'ok' : 'down'),
      critical ? 'yes' : 'no',
      Math.round(ms),
      error,
    ]),
  ),
)}
<h2>Process</h2>
${table(
  ['', 'now'],
  [
    ['uptime', durationOf(system.uptimeSeconds * 1_000)],
    ['versions', Object.entries(system.versions).flat().join(' ')],
    ['memory, MiB', pairs(system.memoryBytes, 2 ** 20)],
    ['processor, s', pairs(system.cpuSeconds)],
    ['event loop, s', pairs({ ...system.eventLoopSeconds, lag: system.eventLoopLagSeconds })],
    ['handles', pairs(system.handles)],
  ],
)}
<p>More, below this path: ${paths.map((path) => html`<code>${path}</code> `)}</p></main>
</body></html>
`.markup
}

/** A part of the page; nothing when there is nothing in it. */
function titled(title: string, content: Content): Content {
  return content === undefined ? undefined : html`<h2>${title}</h2>\n${content}`
}

/** Its counts, and what else it counts under names of its own, such as records by state. */
function countsOf({ counts, ...more }: Status): string {
  const own = Object.entries<unknown>(more).flatMap(([name, values]) =>
    isCounts(values) ? [`${name}: ${pairs(values)}`] : [],
  )
  return [pairs(counts), ...own].filter((text) => text !== '').join('; ')
}

function isCounts(given: unknown): given is Record<string, number> {
  const values = isObject(given) ? Object.values(given) : []
  return values.length > 0 && values.every((value) => typeof value === 'number')
}

/** Of a component that ships to somewhere, as audit does: how far behind each is. */
function sinkRows(component: Status & { readonly sinks?: unknown }): Content[][] {
  if (!isObject(component.sinks)) return []
  return Object.entries(component.sinks).map(([name, sink]) => {
    const { state, pending, oldestMs, dead, lastError } = isObject(sink) ? sink : {}
    return [
      `${component.name} ${name}`,
      stateMark(String(state)),
      numberOf(pending),
      durationOf(numberOf(oldestMs)),
      numberOf(dead),
      typeof lastError === 'string' ? long(lastError) : undefined,
    ]
  })
}

function isObject(given: unknown): given is Record<string, unknown> {
  return typeof given === 'object' && given !== null && !Array.isArray(given)
}

function numberOf(given: unknown): number | undefined {
  return typeof given === 'number' ? given : undefined
}
