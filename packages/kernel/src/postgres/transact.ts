import { systemClock, type Clock } from '../clock.ts'
import { show, type Duration } from '../duration.ts'
import type { Effect, EffectContext } from '../effect.ts'
import { KernelError } from '../kernel-error.ts'
import type { Logger } from '../logger.ts'
import { checkOptions, opt } from '../options.ts'
import { isScope } from '../scope.ts'
import type { Tx } from '../tx.ts'
import type { DatabaseLike } from './driver.ts'
import { effectContext, effectStatements, runAfterCommit } from '../effects.ts'
import type { Isolation } from './unit-plan.ts'
import { isolationOption, stallOption, unit } from './unit.ts'

/** What `transact` takes; all optional. */
export interface TransactOptions {
  /** Accepts effects without `statements`: they are performed before the commit and may happen alone. */
  readonly bestEffort?: boolean
  readonly isolation?: Isolation
  /** Restarts after 40001 and 40P01; default 2. */
  readonly retries?: number
  /** How long the process or one statement may stand still inside the transaction; default 30 s. */
  readonly stall?: Duration
  /** How long `afterCommit` hooks are awaited; default 2 s. */
  readonly afterCommitTimeout?: Duration
  /** For the effects' context. */
  readonly scope?: string
  readonly op?: string
  readonly clock?: Clock
  /** Hears of failed `afterCommit` hooks; silent by default. */
  readonly logger?: Logger
}

const SPEC = {
  bestEffort: opt.boolean(false),
  isolation: isolationOption,
  retries: opt.integer(2, { max: 100 }),
  stall: stallOption,
  afterCommitTimeout: opt.duration('2s'),
  scope: opt.custom<string>('a scope of 1 to 128 bytes without control characters', isScope),
  op: opt.string(),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  logger: opt.port<Logger>(['debug', 'info', 'warn', 'error']),
}

/**
 * The unit of work: the caller's own SQL and everything that must be true with it, in one commit.
 *
 * ```ts
 * const order = await transact(pool, async (tx) => {
 *   const { rows: [order] } = await tx.query('insert into orders(sku) values ($1) returning id, sku', [sku])
 *   return { value: order, effects: [audit.entry({ ... })] }
 * })
 * ```
 *
 * Resolves with `value` only after COMMIT was acknowledged. `work` runs again after a serialization failure or a
 * deadlock, so it must not touch the outside world. Errors are those of `unit()`, EFFECT_INVALID and
 * EFFECT_NOT_TRANSACTIONAL.
 */
export async function transact<T>(
  db: DatabaseLike,
  work: (tx: Tx, ctx: EffectContext) => Promise<{ value: T; effects?: readonly Effect[] }>,
  options: TransactOptions = {},
): Promise<T> {
  const o = checkOptions('transact', options, SPEC)
  const ctx = effectContext({
    ...(o.scope === undefined ? {} : { scope: o.scope }),
    ...(o.op === undefined ? {} : { op: o.op }),
    clock: o.clock,
  })
  const done = await unit(db, {
    open: [],
    retries: o.retries,
    stall: o.stall,
    ...(o.isolation === undefined ? {} : { isolation: o.isolation }),
    work: async (tx) => {
      const result: unknown = await work(tx, ctx)
      const { value, effects } = checkResult<T>(result)
      const { statements, perform } = effectStatements(effects, ctx, o)
      for (const effect of perform) await effect.perform?.(ctx)
      return { end: 'commit', statements, value: { value, effects } }
    },
  })
  await runAfterCommit(done.effects, ctx, {
    timeout: o.afterCommitTimeout,
    clock: o.clock,
    ...(o.logger === undefined ? {} : { logger: o.logger }),
  })
  return done.value
}

function checkResult<T>(result: unknown): { value: T; effects: readonly Effect[] } {
  const { value, effects = [] } = (typeof result === 'object' && result !== null ? result : {}) as {
    value?: T
    effects?: unknown
  }
  if (typeof result !== 'object' || result === null || !('value' in result)) {
    throw new KernelError('INPUT_INVALID', `transact: work must answer { value, effects? } (got ${show(result)})`)
  }
  if (!Array.isArray(effects)) {
    throw new KernelError('EFFECT_INVALID', `transact: effects must be an array (got ${show(effects)})`)
  }
  return { value: value as T, effects }
}
