import type { Statement } from './tx.ts'

/** Who acts, as authentication proved it. */
export interface Principal {
  readonly id: string
  readonly type?: string
  readonly name?: string
  readonly roles?: readonly string[]
}

/** What an effect may know of the unit of work that it belongs to. */
export interface EffectContext {
  /** A UUID, the same for every effect of one unit. */
  readonly operationId: string
  readonly scope?: string
  readonly op?: string
  readonly correlationId?: string
  readonly traceparent?: string
  readonly principal?: Principal
  /** Wall clock in ms, for display; order comes from the database. */
  readonly now: number
}

/** Something that must become true together with the caller's own rows. */
export interface Effect {
  /** Dotted name such as `'audit.entry'`. */
  readonly kind: string
  /** Same database: part of the transaction, sent in one flight with COMMIT. */
  statements?(ctx: EffectContext): readonly Statement[]
  /**
   * Many of one kind as one statement: called once, instead of `statements`, on the first of the effects that share
   * a kind and have `combine`, with the rest of them.
   */
  combine?(others: readonly Effect[], ctx: EffectContext): readonly Statement[]
  /** No shared database: runs before the commit, only under `bestEffort`. */
  perform?(ctx: EffectContext): Promise<void>
  /** A hint after the commit (drop a cache, ring a worker). Losing one must be harmless. */
  afterCommit?(ctx: EffectContext): void | Promise<void>
  /** At most 2 kB of JSON, kept beside a stored response. */
  readonly replayHint?: unknown
}

/**
 * Asked before a stored response is replayed. Resolves when what the first run's `afterCommit` may have missed is done,
 * rejects when it is only owed; the replay goes out either way.
 */
export interface ReplayGuard {
  /** Of the effects that it is about. */
  readonly kind: string
  /** `hints`: the replayHints of that response's effects of this kind; `ctx.operationId` is the first run's. */
  beforeReplay(hints: readonly unknown[], ctx: EffectContext): Promise<void>
}
