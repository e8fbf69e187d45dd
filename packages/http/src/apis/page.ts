import { createHash } from 'node:crypto'
import type { Status } from '@keelson/kernel'
import type { BreakerRow } from './breakers.ts'
import type { HealthReport } from './health-api.ts'
import type { SystemReading } from './system-metrics.ts'

/** What the page shows. */
export interface PageContent {
  readonly state: Status['state']
  readonly components: readonly Status[]
  readonly breakers: readonly BreakerRow[]
  readonly ready: HealthReport | undefined
  readonly system: SystemReading
  readonly paths: readonly string[]
}

const STYLE = `
:root { color-scheme: light dark; font: 14px/1.5 system-ui, sans-serif }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; width: 100%; margin: 0 0 2rem }
th, td { text-align: left; vertical-align: top; padding: .3rem 1rem .3rem 0; border-bottom: 1px solid #8884 }
code { font: 13px ui-monospace, monospace }
.ok, .closed { color: #1a7f37 } .degraded, .half-open, .ramp { color: #9a6700 } .down, .open, .unknown { color: #cf222e }
`

const styleHash = createHash('sha256').update(STYLE).digest('base64')

/** Nothing is loaded, run, sent or framed: a name or message of an attacker has no way out. */
export const pagePolicy: string = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

/** Markup; everything else that comes into a page is text. */
class Html {
  readonly markup: string

  constructor(markup: string) {
    this.markup = markup
  }
}

type Content = string | number | Html | readonly Html[] | undefined

/** The whole state of a process on one page, which reads itself again every ten seconds. */
export function statusPage({ state, components, breakers, ready, system, paths }: PageContent): string {
  return html`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="10"><title>Keelson: ${state}</title><style>${new Html(STYLE)}</style></head>
<body><h1>Keelson: ${stateMark(state)}</h1>
${table(
  ['component', 'state', 'counts', 'oldest, ms', 'lag, ms', 'last error'],
  components.map((one) => [
    one.name,
    stateMark(one.state),
    pairs(one.counts),
    one.oldestMs,
    one.lagMs,
    one.lastError && `${one.lastError.code}: ${one.lastError.message} (${timeOf(one.lastError.at)})`,
  ]),
)}
${table(
  ['breaker', 'state'],
  breakers.map(({ name, state }) => [name, stateMark(state)]),
)}
${table(
  [`readiness: ${ready?.reason ?? ready?.status ?? ''}`, 'state', 'critical', 'ms', 'error'],
  Object.entries(ready?.checks ?? {}).map(([name, { ok, critical, ms, error }]) => [
    name,
    stateMark(ok ? 'ok' : 'down'),
    critical ? 'yes' : 'no',
    Math.round(ms),
    error,
  ]),
)}
${table(
  ['process', ''],
  [
    ['uptime, s', Math.round(system.uptimeSeconds)],
    ['versions', Object.entries(system.versions).flat().join(' ')],
    ['memory, MiB', pairs(system.memoryBytes, 2 ** 20)],
    ['processor, s', pairs(system.cpuSeconds)],
    ['event loop, s', pairs({ ...system.eventLoopSeconds, lag: system.eventLoopLagSeconds })],
    ['handles', pairs(system.handles)],
  ],
)}
<p>More, below this path: ${paths.map((path) => html`<code>${path}</code> `)}</p>
</body></html>
`.markup
}

/** A table; nothing when it has no rows. */
function table(head: readonly string[], rows: readonly (readonly Content[])[]): Content {
  if (rows.length === 0) return undefined
  const cells = (row: readonly Content[]): Html[] => row.map((cell) => html`<td>${cell}</td>`)
  return html`<table><thead><tr>${head.map((name) => html`<th>${name}</th>`)}</tr></thead><tbody>${rows.map((row) => html`<tr>${cells(row)}</tr>`)}</tbody></table>`
}

function stateMark(state: string): Html {
  return html`<strong class="${state}">${state}</strong>`
}

function pairs(values: Readonly<Record<string, number>>, unit = 1): string {
  return Object.entries(values)
    .map(([name, value]) => `${name} ${Math.round((value / unit) * 1000) / 1000}`)
    .join(', ')
}

function timeOf(atMs: number): string {
  const time = new Date(atMs)
  return Number.isNaN(time.getTime()) ? '' : time.toISOString()
}

function html(parts: TemplateStringsArray, ...contents: readonly Content[]): Html {
  return new Html(String.raw({ raw: parts }, ...contents.map(markupOf)))
}

function markupOf(content: Content): string {
  if (content === undefined) return ''
  if (content instanceof Html) return content.markup
  if (typeof content === 'object') return content.map(markupOf).join('')
  return String(content).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
