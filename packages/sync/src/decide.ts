import type { StandardSchemaV1 } from '@keelson/kernel'
import type { CheckedCollection } from './checked-collection.ts'
import type { Caller, Win } from './collections.ts'
import { holdRecords } from './held-records.ts'
import type { Json } from './json.ts'
import { merge, type MergeResult } from './merge.ts'
import { documentOf, stampOf, type RecordState } from './record.ts'
import { recOf } from './rec-of.ts'
import { resultOf, resultText } from './result-text.ts'
import { serverStamp } from './server-stamp.ts'
import { msOf, type Stamp } from './stamp.ts'
import type { ConflictCode, ConflictRow, PushState, RecordKey, ResultRow, StoredRecord } from './store.ts'
import { subjectFault, subjectsOfEdit } from './subject.ts'
import type { Op, OpResult, Rec } from './wire.ts'

/** An operation as it came: read, or why it cannot be. */
export type Incoming =
  | { readonly kind: 'op'; readonly op: Op; readonly fp: string; readonly collection: CheckedCollection }
  | { readonly kind: 'fault'; readonly op: string; readonly detail: string }

/** What holds for every operation of a push. */
export interface PushRules {
  readonly who: Caller
  readonly client: string
  /** What the caller may see, by tag; the tenant is the first. */
  readonly scopes: ReadonlyMap<string, string>
  readonly sentAtMs: number | undefined
  readonly maxDriftMs: number
  readonly opAgeMs: number
  readonly recordBytes: number
  readonly tagOf: (scope: string) => string
  readonly newConflictId: () => string
  /** The conflict that is decided: by somebody who has seen what is there. */
  readonly resolves?: string
}

/** An operation that `apply` or the database refused when it was tried. */
export interface Refusal {
  readonly status: 'rejected' | 'conflict'
  readonly code: string
  readonly detail?: string
}

/** What becomes of a push. */
export interface Decision {
  /** As many as operations, in their order. */
  readonly results: readonly OpResult[]
  /** What is remembered of them. */
  readonly remembered: readonly ResultRow[]
  /** As they are behind it; only those that are written. */
  readonly records: readonly StoredRecord[]
  readonly wins: readonly (Win & { readonly c: string })[]
  readonly conflicts: readonly Omit<ConflictRow, 'status'>[]
  /** Whom they are about, as digests, by their ids. */
  readonly conflictSubjects: ReadonlyMap<string, readonly string[]>
  readonly top: Stamp | undefined
  readonly topHere: Stamp | undefined
  /** Records that it must know too, before it can decide: then nothing else of it counts. */
  readonly unknown: readonly RecordKey[]
}

const RETRY_MS = 100
const GONE = { kind: 'conflict', code: 'gone' } as const

/** One operation after the other; each sees what those before it made. Nothing outside is changed. */
export async function decide(
  incoming: readonly Incoming[],
  rules: PushRules,
  state: PushState,
  known: ReadonlySet<string>,
  refused: ReadonlyMap<string, Refusal>,
): Promise<Decision> {
  const { who, scopes, tagOf } = rules
  const allowed = new Set(scopes.values())
  const { find, locate, isBusy, need, write, written, unknown } = holdRecords(state, scopes, known)
  const wins: (Win & { c: string })[] = []
  const conflicts: Omit<ConflictRow, 'status'>[] = []
  const conflictSubjects = new Map<string, readonly string[]>()
  const remembered: ResultRow[] = []
  const done = new Map<string, { readonly fp: string; readonly result: OpResult }>()
  /** Stamps of fields by collection, id and field; of collections where it counts who has read what. */
  const writtenHere = new Map<string, Stamp>()
  let { top, topHere } = state.client ?? {}
  // Decisions about conflicts come from servers, each with a clock of its own.
  const isClone = rules.resolves === undefined && isOlderThan(top, incoming, state)

  /** What an earlier operation of the same push has written its device has read. */
  function hasReadOwn(op: Op, collection: CheckedCollection, registers: RecordState['registers']): Op {
    if (!collection.hasStrict) return op
    const base: Record<string, Stamp> = typeof op.base === 'object' ? { ...op.base } : {}
    let isOwn = false
    for (const field of fieldsOf(op)) {
      const held = Object.hasOwn(registers, field) ? stampOf(registers[field]!) : undefined
      if (held === undefined) continue
      const here = writtenHere.get(`${op.c} ${op.id} ${field}`) === held
      if (here || (typeof op.base === 'string' && held <= op.base)) base[field] = held
      isOwn ||= here
    }
    return isOwn ? { ...op, base } : op
  }

  function hasSeenAll(op: Op): Op {
    const h = locate(op)?.state.h
    return h === undefined ? op : { ...op, seen: h, base: h }
  }

  /** `isHidden`: what the edit met is not told. */
  function conflict(
    op: Op,
    collection: CheckedCollection,
    code: ConflictCode,
    scope: string,
    met: RecordState | undefined,
    h: Stamp | undefined,
    isHidden = false,
  ): OpResult {
    const id = rules.newConflictId()
    const doc = met === undefined || met.isDeleted ? null : documentOf(met)
    const current = isHidden ? null : doc
    const { principal } = who
    const more = { op, current, principal: principal.id, client: rules.client, atMs: state.nowMs }
    conflicts.push({ id, scope, c: op.c, record: op.id, code, ...more })
    conflictSubjects.set(id, subjectsOfEdit(collection, [...(doc === null ? [] : [doc]), edited(doc, op)]))
    return { op: op.op, status: 'conflict', code, ...(h === undefined ? {} : { h }), conflict: id }
  }

  async function result({ op: given, collection }: Incoming & { kind: 'op' }): Promise<OpResult> {
    const op = rules.resolves === undefined ? given : hasSeenAll(given)
    const isRefused = refused.get(op.op)
    const fault = fieldFault(op, collection)
    if (fault !== undefined) return rejected(op, 'invalid', fault)
    if (isClone) return { op: op.op, status: 'retry', code: 'new-node' }
    const waits = dependency(op)
    if (waits !== undefined) return waits
    // The tenant keeps what cannot be told to belong anywhere.
    const tenant = [...allowed][0]!
    if (op.s !== undefined && !scopes.has(op.s))
      return conflict(op, collection, 'scope-lost', tenant, undefined, undefined)
    const held = locate(op)
    if (isBusy(op)) return { op: op.op, status: 'retry', code: 'busy', retryAfterMs: RETRY_MS }
    const scope = held?.scope ?? tenant
    const h = serverStamp(op, { ...rules, nowMs: state.nowMs }, held?.state, topHere)
    if (h === undefined)
      return rejected(op, 'clock-drift', 'its stamp is more than a day ahead, and "sentAt" is missing')
    const current = held === undefined || held.gone !== undefined ? undefined : documentOf(held.state)
    const answer = collection.authorize === undefined ? undefined : await collection.authorize(who, op, current)
    if (answer === false || typeof answer === 'string') return rejected(op, 'forbidden', answer || undefined)
    if (msOf(h) < state.nowMs - rules.opAgeMs) return conflict(op, collection, 'expired', scope, held?.state, h)
    if (isRefused?.status === 'rejected') return rejected(op, isRefused.code, isRefused.detail)
    if (isRefused !== undefined) return conflict(op, collection, 'invariant', scope, held?.state, h)
    topHere = topHere === undefined || h > topHere ? h : topHere
    return merged(op, collection, h, held, current, scope)
  }

  async function merged(
    op: Op,
    collection: CheckedCollection,
    h: Stamp,
    held: StoredRecord | undefined,
    current: Record<string, Json> | undefined,
    scope: string,
  ): Promise<OpResult> {
    const isThere = held !== undefined && held.gone === undefined
    // What was erased for good comes back by nobody's old copy.
    const outcome: MergeResult =
      held?.gone === 'erased' && op.t === 'put'
        ? GONE
        : merge(held?.state, { ...hasReadOwn(op, collection, held?.state.registers ?? {}), h }, collection.rules)
    const rec = (): Rec | null => (isThere ? recOf(held, tagOf, collection.hasStrict) : null)
    if (outcome.kind === 'nothing') return { op: op.op, status: 'applied', h }
    if (outcome.kind === 'superseded') {
      const told = outcome.lost.some((field) => collection.notify.has(field))
      const id = told ? conflict(op, collection, 'superseded', scope, held!.state, h).conflict : undefined
      return {
        op: op.op,
        status: 'superseded',
        h,
        lost: outcome.lost,
        rec: rec(),
        ...(id === undefined ? {} : { conflict: id }),
      }
    }
    if (outcome.kind === 'conflict') {
      const isDropped = outcome.code === 'gone' && collection.onDeletedEdit === 'drop'
      if (isDropped) return { op: op.op, status: 'superseded', h, lost: ['*'], rec: null }
      return { ...conflict(op, collection, outcome.code, scope, held?.state, h), rec: rec() }
    }
    const { record, changed, lost } = outcome
    if (record.isDeleted) {
      write({ scope, c: op.c, id: op.id, state: record, gone: 'deleted' })
      win(op, scope, current, undefined, changed)
      return { op: op.op, status: 'applied', h: record.h }
    }
    const after = documentOf(record)
    const bytes = Buffer.byteLength(JSON.stringify(after))
    if (bytes > rules.recordBytes) {
      return rejected(op, 'too-large', `the record would have ${bytes} bytes, at most ${rules.recordBytes} are allowed`)
    }
    const issue = collection.schema === undefined ? undefined : await schemaIssue(collection.schema, after)
    if (issue !== undefined) return rejected(op, 'invalid', issue)
    const nobody = subjectFault(collection, after)
    if (nobody !== undefined) return rejected(op, 'invalid', nobody)
    const to = collection.scope(after)
    if (!allowed.has(to)) return conflict(op, collection, 'scope-lost', scope, held?.state, h, true)
    const target = { scope: to, c: op.c, id: op.id }
    if (held === undefined || to !== scope) {
      need(target)
      const there = find(target)
      // Another record has this name there.
      if (there !== undefined && there.gone === undefined)
        return conflict(op, collection, 'invariant', scope, held?.state, h, true)
      if (there !== undefined && held === undefined) return merged(op, collection, h, there, undefined, to)
      if (isThere) write({ ...held, state: tombstone(held.state, record.h), gone: 'scope' })
    }
    write({ ...target, state: record })
    win(op, to, current, after, changed)
    const told = lost.some((field) => collection.notify.has(field))
    const id = told ? conflict(op, collection, 'superseded', to, record, h).conflict : undefined
    const loses =
      lost.length === 0 ? {} : { lost, rec: recOf({ ...target, state: record }, tagOf, collection.hasStrict) }
    return { op: op.op, status: 'applied', h: record.h, ...loses, ...(id === undefined ? {} : { conflict: id }) }
  }

  function win(
    op: Op,
    scope: string,
    before: Record<string, Json> | undefined,
    after: Record<string, Json> | undefined,
    changed: readonly string[],
  ): void {
    if (changed.length === 0 && before !== undefined && after !== undefined) return
    const documents = { ...(before && { before }), ...(after && { after }) }
    wins.push({ c: op.c, op: op.op, id: op.id, scope, t: op.t, ...documents, changed })
  }

  function dependency({ op, dep }: Op): OpResult | undefined {
    if (dep === undefined) return undefined
    const stored = state.results.get(dep)
    const before = done.get(dep)?.result ?? (stored && resultOf(dep, stored.result))
    if (before === undefined || before.status === 'retry') {
      return { op, status: 'retry', code: 'dependency', retryAfterMs: RETRY_MS }
    }
    return before.status === 'applied'
      ? undefined
      : { op, status: 'rejected', code: 'dependency', detail: `${dep} was not applied` }
  }

  /** What it was told the first time; the record as it is now. */
  function replayed(op: Op, collection: CheckedCollection, first: OpResult): OpResult {
    if (first.rec === undefined) return { ...first, replay: true }
    const held = op.s !== undefined && !scopes.has(op.s) ? undefined : locate(op)
    const rec = held === undefined || held.gone !== undefined ? null : recOf(held, tagOf, collection.hasStrict)
    return { ...first, rec, replay: true }
  }

  function wrote(op: Op, collection: CheckedCollection, { status, h }: OpResult): void {
    if (!collection.hasStrict || status !== 'applied' || h === undefined) return
    for (const field of fieldsOf(op)) writtenHere.set(`${op.c} ${op.id} ${field}`, h)
  }

  const results: OpResult[] = []
  for (const one of incoming) {
    if (one.kind === 'fault') {
      results.push({ op: one.op, status: 'rejected', code: 'invalid', detail: one.detail })
      continue
    }
    const { op, fp } = one
    const stored = state.results.get(op.op)
    const before = done.get(op.op) ?? (stored && { fp: stored.fp, result: resultOf(op.op, stored.result) })
    if (before !== undefined) {
      const isSame = before.fp === fp
      results.push(isSame ? replayed(op, one.collection, before.result) : rejected(op, 'op-reuse'))
      if (isSame) wrote(op, one.collection, before.result)
      continue
    }
    const answer = await result(one)
    results.push(answer)
    wrote(op, one.collection, answer)
    done.set(op.op, { fp, result: answer })
    if (answer.status === 'retry') continue
    top = top === undefined || op.h > top ? op.h : top
    remembered.push({ op: op.op, fp, result: resultText(answer) })
  }
  return {
    results,
    remembered,
    records: [...written.values()],
    wins,
    conflicts,
    conflictSubjects,
    top,
    topHere,
    unknown,
  }
}

function rejected({ op }: Op, code: string, detail?: string): OpResult {
  return { op, status: 'rejected', code, ...(detail === undefined ? {} : { detail }) }
}

/** The document as an edit meant it, whatever it has lost. */
function edited(doc: Record<string, Json> | null, { set, unset = [] }: Op): Record<string, Json> {
  const meant = { ...doc, ...set }
  for (const field of unset) delete meant[field]
  return meant
}

/** What was stored of a device is younger than all that it says now: somebody took a copy of it back into use. */
function isOlderThan(top: Stamp | undefined, incoming: readonly Incoming[], { results }: PushState): boolean {
  if (top === undefined) return false
  const fresh = incoming.flatMap((one) => (one.kind === 'op' && !results.has(one.op.op) ? [one.op.h] : []))
  return fresh.length > 0 && fresh.every((h) => h < top)
}

const fieldsOf = ({ set = {}, unset = [] }: Op): readonly string[] => [...Object.keys(set), ...unset]

function fieldFault(op: Op, { rules }: CheckedCollection): string | undefined {
  const field = fieldsOf(op).find((name) => !Object.hasOwn(rules, name))
  return field === undefined ? undefined : `"${field}" is no field of this collection`
}

async function schemaIssue(schema: StandardSchemaV1, doc: Record<string, Json>): Promise<string | undefined> {
  const { issues } = await schema['~standard'].validate(doc)
  return issues?.map(({ message, path = [] }) => `${path.map(String).join('.')}: ${message}`).join('; ')
}

/** What is left in the scope that a record leaves. */
function tombstone(state: RecordState, h: Stamp): RecordState {
  const registers = Object.fromEntries(
    Object.entries(state.registers).map(([field, register]) => [field, [register.at(-1) as Stamp] as const]),
  )
  return { registers, h, deletedAt: h, isDeleted: true }
}
