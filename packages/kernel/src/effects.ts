import { systemClock, type Clock } from './clock.ts'
import { context } from './context.ts'
import { ms, show, type Duration } from './duration.ts'
import type { Effect, EffectContext } from './effect.ts'
import { KernelError } from './kernel-error.ts'
import { afterCommitFailures } from './kernel-metrics.ts'
import { silentLogger, type Logger } from './logger.ts'
import type { Statement } from './tx.ts'
import { uuidv7 } from './uuid.ts'
import { endsUnit } from './ends-unit.ts'

/** A Statement that knows its effect, to name it in an error. */
export interface EffectStatement extends Statement {
  readonly kind: string
}

/** What a unit must do for its effects. */
export interface EffectPlan {
  /** Sent with COMMIT. */
  readonly statements: EffectStatement[]
  /** Effects without a shared database: performed before the commit, under `bestEffort`. */
  readonly perform: Effect[]
  /** Kept beside a stored response. */
  readonly hints: { kind: string; hint: unknown }[]
}

const HINT_BYTES = 2_000
const METHODS = ['statements', 'combine', 'perform', 'afterCommit'] as const

/** The context of a unit: a new operation id, and what the running request says of itself. */
export function effectContext(o: { scope?: string; op?: string; operationId?: string; clock?: Clock }): EffectContext {
  const { correlationId, traceparent, principal } = context.get() ?? {}
  const made: { -readonly [member in keyof EffectContext]: EffectContext[member] } = {
    operationId: o.operationId ?? uuidv7(o.clock),
    now: (o.clock ?? systemClock).now(),
  }
  if (o.scope !== undefined) made.scope = o.scope
  if (o.op !== undefined) made.op = o.op
  if (correlationId !== undefined) made.correlationId = correlationId
  if (traceparent !== undefined) made.traceparent = traceparent
  if (principal !== undefined) made.principal = principal
  return made
}

/**
 * What effects ask of their unit, in their order; those that share a kind and have `combine` become one.
 * @throws KernelError EFFECT_INVALID, naming the kind; EFFECT_NOT_TRANSACTIONAL for an effect without `statements`,
 * unless `bestEffort`.
 */
export function effectStatements(
  effects: readonly Effect[],
  ctx: EffectContext,
  o: { bestEffort: boolean },
): EffectPlan {
  const plan: EffectPlan = { statements: [], perform: [], hints: [] }
  const combined = new Set<string>()
  for (const effect of effects) checkEffect(effect)
  for (const [index, effect] of effects.entries()) {
    if (effect.replayHint !== undefined) plan.hints.push({ kind: effect.kind, hint: checkHint(effect) })
    if (effect.combine !== undefined) {
      if (combined.has(effect.kind)) continue
      combined.add(effect.kind)
      const others = effects.slice(index + 1).filter((other) => other.kind === effect.kind && other.combine)
      plan.statements.push(...checkStatements(effect.kind, effect.combine(others, ctx)))
    } else if (effect.statements !== undefined) {
      plan.statements.push(...checkStatements(effect.kind, effect.statements(ctx)))
    } else if (o.bestEffort) {
      plan.perform.push(effect)
    } else {
      throw new KernelError(
        'EFFECT_NOT_TRANSACTIONAL',
        `effect '${effect.kind}' has no statements, so it cannot commit with the transaction; write bestEffort: true to accept that it may be lost or happen alone`,
      )
    }
  }
  return plan
}

function checkEffect(effect: unknown): asserts effect is Effect {
  const fields = (typeof effect === 'object' && effect !== null ? effect : {}) as Record<string, unknown>
  const { kind } = fields
  if (typeof kind !== 'string' || kind === '') {
    throw new KernelError('EFFECT_INVALID', `an effect must be an object with a "kind" (got ${show(effect)})`)
  }
  for (const method of METHODS) {
    const found = fields[method]
    if (found === undefined || typeof found === 'function') continue
    throw new KernelError('EFFECT_INVALID', `effect '${kind}': "${method}" must be a function (got ${show(found)})`)
  }
}

function checkStatements(kind: string, statements: unknown): EffectStatement[] {
  if (!Array.isArray(statements)) {
    throw new KernelError('EFFECT_INVALID', `effect '${kind}': statements must be an array (got ${show(statements)})`)
  }
  return statements.map((statement: Partial<Statement> | null) => {
    const { text, values, name } = statement ?? {}
    const isNamed = name === undefined || (typeof name === 'string' && name !== '')
    if (typeof text !== 'string' || (values !== undefined && !Array.isArray(values)) || !isNamed) {
      throw new KernelError('EFFECT_INVALID', `effect '${kind}': a statement must be { text, values?, name? }`)
    }
    if (endsUnit(text)) {
      throw new KernelError(
        'EFFECT_INVALID',
        `effect '${kind}': '${text.trim().slice(0, 40)}' would end the unit of work`,
      )
    }
    return { text, kind, ...(values === undefined ? {} : { values }), ...(name === undefined ? {} : { name }) }
  })
}

function checkHint({ kind, replayHint }: Effect): unknown {
  const wrong = `effect '${kind}': replayHint must be at most ${HINT_BYTES} bytes of JSON`
  let json: string | undefined
  try {
    json = JSON.stringify(replayHint)
  } catch (cause) {
    throw new KernelError('EFFECT_INVALID', `${wrong}: ${(cause as Error).message}`, { cause })
  }
  if (json !== undefined && Buffer.byteLength(json) <= HINT_BYTES) return replayHint
  throw new KernelError('EFFECT_INVALID', wrong)
}

/**
 * Runs what the effects want after the commit: all hooks start together and are awaited at most `timeout` (2 s).
 * Never rejects: the commit has happened, and losing a hint is harmless.
 */
export async function runAfterCommit(
  effects: readonly Effect[],
  ctx: EffectContext,
  o: { timeout?: Duration; logger?: Logger; clock?: Clock } = {},
): Promise<void> {
  const { timeout = '2s', logger = silentLogger, clock = systemClock } = o
  const hooks = effects.filter((effect) => effect.afterCommit !== undefined)
  if (hooks.length === 0) return
  const waiting = new Set(hooks)
  const run = async (effect: Effect): Promise<void> => {
    try {
      await effect.afterCommit?.(ctx)
      waiting.delete(effect)
    } catch (error) {
      // One that is late was counted then.
      if (waiting.delete(effect)) afterCommitFailures.inc({ kind: effect.kind })
      logger.warn({ err: error, kind: effect.kind, operationId: ctx.operationId }, 'afterCommit failed')
    }
  }
  await new Promise<void>((resolve) => {
    const timer = clock.timer(
      () => {
        for (const { kind } of waiting) afterCommitFailures.inc({ kind })
        waiting.clear()
        logger.warn({ operationId: ctx.operationId }, 'afterCommit hooks took too long and go on unawaited')
        resolve()
      },
      ms(timeout, 'afterCommitTimeout'),
      { ref: true },
    )
    void Promise.all(hooks.map(run)).then(() => {
      timer.cancel()
      resolve()
    })
  })
}
