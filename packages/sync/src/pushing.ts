import { context, uuidv7, type Effect, type Statement, type Tx } from '@keelson/kernel'
import { effectContext, effectStatements, runAfterCommit } from '@keelson/kernel/effects'
import type { AllowedScopes } from './allowed-scopes.ts'
import type { Caller } from './collections.ts'
import type { Decision, Incoming, PushRules } from './decide.ts'
import { SyncError } from './error.ts'
import type { CheckedSyncOptions } from './options.ts'
import { documentOf } from './record.ts'
import { keyText } from './record-key.ts'
import type { ReadPush } from './requests.ts'
import { scopeTag, scopeTags } from './scope-tag.ts'
import { NeedsKeys, settlePush, type Settled } from './settle-push.ts'
import type { ConflictRow, Pushing, PushWrites, RecordKey, StoredRecord, SyncStore } from './store.ts'
import { subjectOf } from './subject.ts'
import type { Conflict } from './sync.ts'
import type { PushResponse } from './wire.ts'

/** What pushing needs of the component. */
export interface PushingParts {
  readonly options: CheckedSyncOptions
  /** The store's, behind its guard. */
  readonly push: SyncStore['push']
  /** Hears what a push came to, once it is committed. */
  told(decision: Decision, read: ReadPush, nowMs: number): void
}

/** `resolves`: the id of a conflict that is decided by it, by somebody who has seen what is there. */
export type PushOps = (
  who: Caller,
  scopes: AllowedScopes,
  read: ReadPush,
  o: { readonly tx: Tx | undefined; readonly resolves?: string },
) => Promise<PushResponse>

/** Applies operations, each once. */
export function createPushOps({ options: o, push, told }: PushingParts): PushOps {
  const { store, collections, cursorKey, clock, logger } = o

  async function settle(rules: PushRules, pushing: Pushing, read: ReadPush, keys: ReadonlySet<string>) {
    const { client } = pushing.state
    if (client !== undefined && client.principal !== rules.who.principal.id && rules.resolves === undefined) {
      throw new SyncError('CLIENT_FOREIGN', 'push: this client id belongs to somebody else')
    }
    const settled = await settlePush(read.incoming, rules, collections, pushing, keys)
    if (rules.resolves !== undefined) checkResolved(settled)
    const told = await tellConflicts(settled, pushing.tx)
    const ctx = effectContext({ clock, ...(rules.who.scope === undefined ? {} : { scope: rules.who.scope }) })
    const effects = [...settled.effects, ...told]
    const statements = await performed(effects, ctx, pushing.tx)
    return {
      value: { settled, effects, ctx, nowMs: pushing.state.nowMs },
      writes: writesOf(settled, rules, pushing, statements),
    }
  }

  async function tellConflicts({ decision }: Settled, tx: Tx | undefined): Promise<readonly Effect[]> {
    const effects: Effect[] = []
    if (o.onConflict === undefined) return effects
    for (const conflict of decision.conflicts)
      effects.push(...((await o.onConflict(tx, conflictOf(conflict, cursorKey))) ?? []))
    return effects
  }

  function writesOf(
    { decision }: Settled,
    rules: PushRules,
    { state }: Pushing,
    statements: readonly Statement[],
  ): PushWrites {
    const { client, who, sentAtMs } = rules
    const { records, remembered, conflicts, conflictSubjects, top, topHere } = decision
    const { correlationId } = context.get() ?? {}
    return {
      client: {
        client,
        principal: who.principal.id,
        ...(top === undefined ? {} : { top }),
        ...(topHere === undefined ? {} : { topHere }),
        pushed: (state.client?.pushed ?? 0) + remembered.length,
        offsetMs: sentAtMs === undefined ? (state.client?.offsetMs ?? 0) : state.nowMs - sentAtMs,
      },
      results: remembered,
      records,
      conflicts,
      resolved: rules.resolves === undefined ? [] : [rules.resolves],
      subjects: subjectsOf(records, o),
      conflictSubjects,
      statements,
      ...(correlationId === undefined ? {} : { correlationId }),
    }
  }

  return async (who, scopes, read, { tx, resolves }) => {
    const rules: PushRules = {
      who,
      client: read.client,
      scopes,
      sentAtMs: read.sentAtMs,
      maxDriftMs: o.maxDrift,
      opAgeMs: o.limits.opAge,
      recordBytes: o.limits.recordBytes,
      tagOf: scopeTags(cursorKey),
      newConflictId: () => uuidv7(clock),
      ...(resolves === undefined ? {} : { resolves }),
    }
    let keys = keysOf(read.incoming, scopes)
    for (;;) {
      const query = { client: read.client, keys: [...keys.values()], ops: opsOf(read.incoming) }
      const known = new Set(keys.keys())
      try {
        const work = (pushing: Pushing) => settle(rules, pushing, read, known)
        const { settled, effects, ctx, nowMs } = await (tx === undefined
          ? push(query, work)
          : store.push(query, work, { tx }))
        if (tx === undefined) await runAfterCommit(effects, ctx, { logger, clock })
        told(settled.decision, read, nowMs)
        return { v: 1, now: nowMs, results: settled.decision.results }
      } catch (error) {
        if (!(error instanceof NeedsKeys)) throw error
        keys = new Map([...keys, ...error.keys.map((key) => [keyText(key), key] as const)])
      }
    }
  }
}

/** What decides a conflict becomes true with it, or the conflict stays. */
function checkResolved({ decision: { results } }: Settled): void {
  const [result] = results
  if (result === undefined || result.status === 'applied') return
  const { code, detail } = result
  const why = `${code}${detail === undefined ? '' : ` (${detail})`}`
  const isRetry = result.status === 'retry'
  throw new SyncError(
    isRetry ? 'STORE_UNAVAILABLE' : 'INPUT_INVALID',
    `conflicts.resolve: the decision cannot be applied: ${why}`,
  )
}

/** Every place where a record may be that is written. */
function keysOf(incoming: readonly Incoming[], scopes: AllowedScopes): ReadonlyMap<string, RecordKey> {
  const keys = new Map<string, RecordKey>()
  for (const one of incoming) {
    if (one.kind !== 'op') continue
    const { c, id, s } = one.op
    for (const scope of s === undefined ? scopes.values() : [scopes.get(s)]) {
      if (scope === undefined) continue
      const key = { scope, c, id }
      keys.set(keyText(key), key)
    }
  }
  return keys
}

/** And those that they wait for. */
function opsOf(incoming: readonly Incoming[]): readonly string[] {
  const ops = incoming.flatMap((one) =>
    one.kind === 'op' ? [one.op.op, ...(one.op.dep === undefined ? [] : [one.op.dep])] : [],
  )
  return [...new Set(ops)]
}

/** Without a transaction effects happen at once; what cannot be kept together with the rows is refused. */
async function performed(
  effects: readonly Effect[],
  ctx: ReturnType<typeof effectContext>,
  tx: Tx | undefined,
): Promise<readonly Statement[]> {
  const plan = effectStatements(effects, ctx, { bestEffort: tx === undefined })
  if (tx !== undefined) return plan.statements
  const [first] = plan.statements
  if (first !== undefined) {
    throw new SyncError('INPUT_INVALID', `apply: this store has no database for the statements of '${first.kind}'`)
  }
  for (const effect of plan.perform) await effect.perform?.(ctx)
  return []
}

function subjectsOf(
  records: readonly StoredRecord[],
  { collections }: CheckedSyncOptions,
): ReadonlyMap<number, string> {
  const subjects = new Map<number, string>()
  for (const [i, { c, gone, state }] of records.entries()) {
    const subject = gone === undefined ? subjectOf(collections.get(c)!, documentOf(state)) : undefined
    if (subject !== undefined) subjects.set(i, subject)
  }
  return subjects
}

/** As the application sees it. */
export function conflictOf({ atMs, ...row }: Omit<ConflictRow, 'status'>, key: Uint8Array | undefined): Conflict {
  return { ...row, s: scopeTag(row.scope, key), at: new Date(atMs) }
}
