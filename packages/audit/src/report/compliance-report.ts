import { isKeelsonError } from '@keelson/kernel'
import type { Query, Verdict } from '../audit.ts'
import { parseCheckpoint } from '../note/checkpoint.ts'
import { noteText } from '../note/note.ts'
import type { Control, LogFact } from './control.ts'
import { FRAMEWORKS } from './frameworks.ts'
import { checkReportOptions, type ComplianceReportOptions, type Reported } from './options.ts'
import type { ComplianceReport, ControlReport, Finding, Sample } from './report.ts'
import { holds, queryOf } from './rule.ts'
import { seenOf, type Seen } from './seen.ts'
import { createCounter, type Counter, type Tally } from './tally.ts'

/** Distinct actions that are told of; an application has fewer. */
const MAX_ACTIONS = 100
const MAX_PROBLEMS = 100
/** Entries that are passed by at a time, if they were dropped. */
const OLDEST_STEP = 1_000

/**
 * What a log can show of the controls of a framework: entries of a scope and a range are counted, some of them with their
 * proofs, and the whole log is verified. The same log makes the same report.
 * @throws AuditError INPUT_INVALID, SCOPE_INVALID, STORE_UNAVAILABLE
 */
export async function complianceReport(audit: Reported, options: ComplianceReportOptions): Promise<ComplianceReport> {
  const o = checkReportOptions(options)
  const { scope, from, to, by, kinds } = o
  const framework = FRAMEWORKS[o.framework]
  const counted: { readonly control: Control; readonly counter: Counter }[] = framework.controls.map((control) => {
    return { control, counter: createCounter() }
  })
  const all = createCounter()
  const unclassified = new Map<string, number>()
  let unreadable = 0

  function count(entry: Seen): void {
    all.add(entry)
    if (entry.isUnclassified) unclassified.set(entry.action, (unclassified.get(entry.action) ?? 0) + 1)
    for (const { control, counter } of counted) if (isOf(control, entry)) counter.add(entry)
  }

  const oldest = (await unlessMissing(() => oldestOf(audit, scope, by))) ?? null
  const query: Query = { scope, from, to, order: 'asc' }
  for await (const line of audit.export(query, { by })) {
    const entry = seenOf(line, kinds)
    if (entry === undefined) unreadable += 1
    else count(entry)
  }
  // Behind the reading: the verdict is of all that was counted.
  const verdict = await audit.verify({ ...(o.keys && { keys: o.keys }), ...(o.against && { against: o.against }) })
  const checkpoint = await unlessMissing(() => audit.checkpoint())

  const proven = new Map<string, { readonly index: number | null; readonly proof: string | null }>()
  for (const { counter } of counted) {
    for (const { id } of counter.samples) if (!proven.has(id)) proven.set(id, await prove(audit, id))
  }
  const sampleOf = ({ leaf, id, at, action, outcome, actor }: Seen): Sample => {
    return { id, index: proven.get(id)!.index, at, action, outcome, actor, leaf: leaf.toString('base64') }
  }

  return {
    format: 1,
    framework: { id: o.framework, name: framework.name },
    scope,
    from: from.toISOString(),
    to: to.toISOString(),
    log: {
      size: verdict.size,
      root: verdict.root,
      integrity: verdict.integrity,
      completeness: verdict.completeness,
      coverage: verdict.coverage,
      problems: verdict.problems.slice(0, MAX_PROBLEMS),
      checkpoint: checkpoint ?? null,
      signed: checkpoint === undefined ? 0 : sizeOf(checkpoint),
    },
    entries: {
      count: all.count,
      failures: all.failures,
      first: all.first,
      last: all.last,
      oldest,
      unreadable,
      unclassified: {
        count: sum(unclassified.values()),
        actions: [...unclassified]
          .map(([action, count]) => ({ action, count }))
          .sort((a, b) => b.count - a.count || (a.action < b.action ? -1 : 1))
          .slice(0, MAX_ACTIONS),
      },
    },
    query: rangeQuery(scope, from, to),
    controls: counted.map(({ control, counter }): ControlReport => {
      const { id, title, shows, limits, evidence } = control
      const { finding, detail } = judge(control, { tally: counter, all, verdict, oldest })
      const { count, failures, first, last, samples } = counter
      return {
        id,
        title,
        finding,
        shows,
        limits,
        detail,
        query: evidence.kind === 'entries' ? queryOf(evidence.any, kinds) : null,
        count,
        failures,
        first,
        last,
        samples: samples.map(sampleOf),
      }
    }),
    proofs: [...proven]
      .flatMap(([id, { index, proof }]) => (index === null || proof === null ? [] : [{ id, index, proof }]))
      .sort((a, b) => a.index - b.index)
      .map(({ id, proof }) => ({ id, proof })),
  }
}

function isOf({ evidence }: Control, entry: Seen): boolean {
  if (evidence.kind === 'entries') return evidence.any.some((rule) => holds(rule, entry))
  return evidence.kind === 'details' && entry.isDetailed
}

interface Known {
  readonly tally: Tally
  readonly all: Tally
  readonly verdict: Verdict
  readonly oldest: string | null
}

function judge({ evidence }: Control, known: Known): { readonly finding: Finding; readonly detail: string | null } {
  const { tally, all } = known
  switch (evidence.kind) {
    case 'beyond':
      return { finding: 'beyond', detail: null }
    case 'entries':
      return { finding: tally.count > 0 ? 'evidence' : 'none', detail: null }
    case 'details': {
      const finding = tally.count === 0 ? 'none' : tally.count === all.count ? 'evidence' : 'partial'
      return { finding, detail: `${tally.count} of ${all.count} entries have all of them` }
    }
    case 'log':
      return judgeLog(evidence.of, known)
  }
}

function judgeLog(fact: LogFact, { verdict, oldest }: Known): { readonly finding: Finding; readonly detail: string } {
  const { size, integrity, completeness, coverage, problems } = verdict
  switch (fact) {
    case 'integrity': {
      if (integrity === 'broken') return { finding: 'contradicted', detail: `${problems.length} problems were found` }
      const end = {
        ok: 'its end is where a checkpoint kept elsewhere says',
        unwitnessed: 'no checkpoint kept elsewhere says whether its end was cut off',
        broken: 'its end was cut off, or its history rewritten',
      }[completeness]
      const finding = size === 0 ? 'none' : completeness === 'ok' ? 'evidence' : 'partial'
      return { finding, detail: `${size} entries were read and hashed; ${end}` }
    }
    case 'coverage': {
      const { gaps, lost } = coverage
      return {
        finding: gaps === 0 ? 'evidence' : 'partial',
        detail: `${gaps} gaps with ${lost} entries lost, in the whole log`,
      }
    }
    case 'retention': {
      const dropped = `${coverage.pruned} entries of the whole log were dropped`
      if (oldest === null) {
        const why = integrity === 'ok' ? 'no entry of the scope is kept' : 'the oldest entry cannot be read'
        return { finding: 'none', detail: `${why}; ${dropped}` }
      }
      return { finding: 'evidence', detail: `the oldest entry that is kept is of ${oldest}; ${dropped}` }
    }
  }
}

/** The first that is there, in the order of the log. */
async function oldestOf(audit: Reported, scope: string, by: ComplianceReportOptions['by']): Promise<string | null> {
  let after: string | undefined
  do {
    const page = await audit.query({ scope, order: 'asc', limit: OLDEST_STEP, ...(after && { after }) }, by)
    if (page.entries[0] !== undefined) return page.entries[0].at.toISOString()
    // A page whose entries were all dropped.
    after = page.next
  } while (after !== undefined)
  return null
}

async function prove(audit: Reported, id: string): Promise<{ index: number | null; proof: string | null }> {
  const entry = await unlessMissing(() => audit.get(id))
  if (entry === undefined) return { index: null, proof: null }
  return { index: entry.index, proof: (await unlessMissing(() => audit.proof(id))) ?? null }
}

/** A log may be broken, or not signed so far: then there is no proof, and the verdict says why. */
async function unlessMissing<T>(ask: () => Promise<T>): Promise<T | undefined> {
  try {
    return await ask()
  } catch (error) {
    const isMissing = ['NOT_FOUND', 'NOT_SEALED', 'PRUNED', 'STORE_CORRUPT', 'INPUT_INVALID'].some((code) =>
      isKeelsonError(error, code),
    )
    if (isMissing) return undefined
    throw error
  }
}

function sizeOf(note: string): number {
  const checkpoint = parseCheckpoint(noteText(note) ?? '')
  return typeof checkpoint === 'string' ? 0 : checkpoint.size
}

function rangeQuery(scope: string, from: Date, to: Date): string {
  const range = `@timestamp >= "${from.toISOString()}" and @timestamp < "${to.toISOString()}"`
  return scope === '*' ? range : `organization.id:"${scope.replaceAll(/["\\]/g, String.raw`\$&`)}" and ${range}`
}

function sum(counts: Iterable<number>): number {
  let total = 0
  for (const count of counts) total += count
  return total
}
