import { randomUUID } from 'node:crypto'
import type { Effect, EffectContext, Statement } from '@keelson/kernel'
import type { DropLog, DropRow } from './store.ts'

/** The invalidation of tags as an effect: it becomes true with the caller's rows. */
export interface DropEffect extends Effect {
  readonly kind: 'cache.drop'
  readonly tags: readonly string[]
}

/** What a drop is kept as, beside a stored response. */
interface DropHint {
  readonly cache: string
  readonly scope: string
  /** Left out where they are too many. */
  readonly tags?: readonly string[]
}

/** A larger hint is refused by the kernel. */
const MAX_HINT_BYTES = 1_800

/** How its rows are made, for the effect that combines them all into one statement. */
interface Rows {
  readonly log: DropLog
  of(ctx: EffectContext): DropRow[]
}
const rowsOf = new WeakMap<Effect, Rows>()

/** What a drop does, by where its shared tier is. */
export interface DropPlan {
  readonly name: string
  readonly scope: string
  readonly tags: readonly string[]
  /** Where the rows go; undefined: nowhere. */
  readonly log: DropLog | undefined
  /** The tier dies with the process, so that nothing is left to be stale: a transaction needs no rows of it. */
  readonly inProcess: boolean
  /** After the commit; `ids` are the rows that it pays. */
  apply(ids: readonly string[], ctx: EffectContext): Promise<void>
}

export function dropEffect(plan: DropPlan): DropEffect {
  const { log, name, scope, tags, inProcess } = plan
  // The same effect may be used again: ids belong to one unit of work.
  const idsOf = new WeakMap<EffectContext, string[]>()
  const base = { kind: 'cache.drop', tags, replayHint: hintOf(plan) } as const

  if (log === undefined) {
    // Without statements a transaction refuses it, unless its loss is accepted. Before the commit it would be too early.
    const lossy = { ...base, afterCommit: async (ctx: EffectContext) => plan.apply([], ctx) }
    return inProcess ? { ...lossy, statements: () => [] } : lossy
  }
  const rows: Rows = {
    log,
    of(ctx) {
      const { operationId: operation, correlationId } = ctx
      const by = correlationId === undefined ? { operation } : { operation, correlationId }
      const made = tags.map((tag): DropRow => ({ id: randomUUID(), name, scope, tag, ...by }))
      // It may be there twice.
      idsOf.set(ctx, [...(idsOf.get(ctx) ?? []), ...made.map(({ id }) => id)])
      return made
    },
  }
  const effect: DropEffect = {
    ...base,
    statements: (ctx) => [log.statement(rows.of(ctx))],
    combine: (others, ctx) => combined([effect, ...others], ctx),
    afterCommit: async (ctx) => plan.apply(idsOf.get(ctx) ?? [], ctx),
  }
  rowsOf.set(effect, rows)
  return effect
}

/** One INSERT per log. Effects of the same kind that are not ours keep their own statements. */
function combined(effects: readonly Effect[], ctx: EffectContext): Statement[] {
  const byLog = new Map<DropLog, DropRow[]>()
  const others: Statement[] = []
  for (const effect of effects) {
    const rows = rowsOf.get(effect)
    if (rows === undefined) others.push(...(effect.statements?.(ctx) ?? []))
    else byLog.set(rows.log, [...(byLog.get(rows.log) ?? []), ...rows.of(ctx)])
  }
  return [...[...byLog].map(([log, rows]) => log.statement(rows)), ...others]
}

function hintOf({ name, scope, tags }: DropPlan): DropHint {
  const hint = { cache: name, scope, tags }
  return Buffer.byteLength(JSON.stringify(hint)) <= MAX_HINT_BYTES ? hint : { cache: name, scope }
}
