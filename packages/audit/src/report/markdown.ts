import type { ComplianceReport, ControlReport, Finding, Sample } from './report.ts'

const FINDINGS = {
  evidence: 'evidence',
  partial: 'partial evidence',
  none: 'no evidence in this range',
  contradicted: '**CONTRADICTED**',
  beyond: 'beyond any log',
} as const satisfies Record<Finding, string>

const COMPLETENESS = {
  ok: 'ok',
  broken: '**BROKEN**',
  unwitnessed: 'unwitnessed: no checkpoint kept elsewhere says whether the end was cut off',
} as const

/** A report for people. What others have written into entries cannot become markup. */
export function markdownOf(report: ComplianceReport): string {
  const { framework, scope, log, entries, controls, proofs } = report
  return [
    `# ${framework.name}: what the audit log shows`,
    table([
      ['Scope', scope === '*' ? 'all' : code(scope)],
      ['Range', `${report.from} up to, not including, ${report.to}`],
      ['Entries in it', `${entries.count}, failures: ${entries.failures}`],
      ['First and last', `${entries.first ?? '-'}, ${entries.last ?? '-'}`],
    ]),
    '## The log',
    table([
      ['Integrity', log.integrity === 'ok' ? 'ok' : '**BROKEN**'],
      ['Completeness', COMPLETENESS[log.completeness]],
      ['Coverage', coverageOf(report)],
      ['Size', `${log.size} entries, ${Math.min(log.signed, log.size)} of them signed`],
      ['Root', code(log.root)],
    ]),
    ...problemsOf(report),
    ...(log.checkpoint === null ? ['Nothing of it is signed.'] : ['The newest checkpoint:', fenced(log.checkpoint)]),
    '## Controls',
    table(
      controls.map((control) => [control.id, control.title, FINDINGS[control.finding], counted(control)]),
      ['Control', '', 'Finding', 'Entries'],
    ),
    `Queries are KQL, each within \`${inCode(report.query)}\`.`,
    ...controls.map(controlOf),
    ...unclassifiedOf(report),
    ...(proofs.length === 0 ? [] : ['## Proofs', 'Of the samples (c2sp.org/tlog-proof@v1).']),
    ...proofs.map(({ id, proof }) => `### ${id}\n\n${fenced(proof)}`),
  ]
    .join('\n\n')
    .concat('\n')
}

function coverageOf({ log: { coverage }, entries: { oldest } }: ComplianceReport): string {
  const kept = oldest === null ? 'no entry of the scope is kept' : `the oldest entry of the scope is of ${oldest}`
  return `${coverage.gaps} gaps with ${coverage.lost} entries lost; ${coverage.pruned} entries dropped; ${kept}`
}

function problemsOf({ log: { problems }, entries: { unreadable } }: ComplianceReport): string[] {
  const told = problems.map(
    ({ code: name, index, detail }) => `- ${name}${index === undefined ? '' : ` at ${index}`}: ${plain(detail)}`,
  )
  const all = unreadable === 0 ? told : [...told, `- ${unreadable} lines of the range are no entries`]
  return all.length === 0 ? [] : [all.join('\n')]
}

function controlOf(control: ControlReport): string {
  const { id, title, finding, shows, limits, detail, query, count, failures, first, last, samples } = control
  const lines = [
    `### ${id} ${title}`,
    ...(finding === 'beyond' ? [] : [`Shows: ${shows}`]),
    `${finding === 'beyond' ? 'Beyond any log' : 'Limits'}: ${limits}`,
    ...(detail === null ? [] : [`Found: ${detail}.`]),
    ...(query === null ? [] : [`Query: \`${inCode(query)}\``]),
    ...(count === 0 ? [] : [`Entries: ${count}, failures: ${failures}, from ${first} to ${last}.`]),
    ...(samples.length === 0 ? [] : [samplesOf(samples)]),
  ]
  return lines.join('\n\n')
}

function samplesOf(samples: readonly Sample[]): string {
  return table(
    samples.map(({ index, id, at, action, outcome, actor }) => [
      index === null ? '?' : String(index),
      id,
      at,
      plain(action),
      plain(outcome),
      `${plain(actor.type)} ${code(actor.id)}`,
    ]),
    ['Index', 'Sample', 'At', 'Action', 'Outcome', 'Actor'],
  )
}

function unclassifiedOf({ entries: { unclassified } }: ComplianceReport): string[] {
  const { count, actions } = unclassified
  if (count === 0) return []
  return [
    '## Without a category',
    `Entries that say neither category nor type of their action, ${count} of them, count for no control that asks for one. The catalogue (\`actions\`) can say it.`,
    table(
      actions.map(({ action, count: times }) => [plain(action), String(times)]),
      ['Action', 'Entries'],
    ),
  ]
}

/** Of what is no entry there is no number. */
function counted({ query, count }: ControlReport): string {
  return query === null && count === 0 ? '-' : String(count)
}

function table(rows: readonly (readonly string[])[], head: readonly string[] = ['', '']): string {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`).join('\n')
}

/** Text without markup, in one line. */
function plain(text: string): string {
  return oneLine(text).replaceAll(/[\\`*_{}[\]()#+!|<>&~-]/g, String.raw`\$&`)
}

/** Text of others, between backticks. */
function code(text: string): string {
  return `\`${inCode(text).replaceAll('|', String.raw`\|`)}\``
}

function inCode(text: string): string {
  return oneLine(text).replaceAll('`', "'")
}

function oneLine(text: string): string {
  return text.replaceAll(/\p{C}|\s/gu, ' ')
}

function fenced(text: string): string {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\``
}
