import type { Clock, Logger, ReplayGuard } from '@keelson/kernel'
import { effectContext } from '@keelson/kernel/effects'
import type { KeptHint } from './answer.ts'

/** Asks the guards of these hints before an answer is given again. Resolves in at most 2 s, whatever they do. */
export type BeforeReplay = (
  hints: readonly KeptHint[],
  /** `operationId` is the first run's. */
  of: { readonly operationId: string; readonly scope: string; readonly op: string },
) => Promise<void>

/** All guards of a replay together: as long as `afterCommit` may have taken. */
const LIMIT_MS = 2_000

export function createBeforeReplay(o: {
  readonly guards: readonly ReplayGuard[]
  /** A guard rejected or took too long. */
  failed(): void
  readonly clock: Clock
  readonly logger: Logger
}): BeforeReplay {
  const { guards, failed, clock, logger } = o

  return async (hints, { operationId, scope, op }) => {
    const asked = guards.flatMap((guard) => {
      const own = hints.filter(({ kind }) => kind === guard.kind).map(({ hint }) => hint)
      return own.length === 0 ? [] : [{ guard, own }]
    })
    if (asked.length === 0) return
    const ctx = effectContext({ operationId, scope, op, clock })
    const waiting = new Set(asked)
    const ask = async (each: (typeof asked)[number]): Promise<void> => {
      try {
        await each.guard.beforeReplay(each.own, ctx)
        waiting.delete(each)
      } catch (error) {
        // One that is late was counted then.
        if (waiting.delete(each)) failed()
        logger.warn({ err: error, kind: each.guard.kind, operationId }, 'a replay guard failed')
      }
    }
    await new Promise<void>((resolve) => {
      const giveUp = (): void => {
        for (const { guard } of waiting) {
          failed()
          logger.warn({ kind: guard.kind, operationId }, 'a replay guard takes too long and goes on unawaited')
        }
        waiting.clear()
        resolve()
      }
      const timer = clock.timer(giveUp, LIMIT_MS, { ref: true })
      void Promise.all(asked.map(ask)).then(() => {
        timer.cancel()
        resolve()
      })
    })
  }
}
