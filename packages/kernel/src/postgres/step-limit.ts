import { systemClock } from '../clock.ts'

/** Limits of the steps that somebody else's code takes for us, one after the other. */
export interface StepLimit {
  /** Rejects with what `begin` or `giveUp` said. */
  readonly expired: Promise<never>
  readonly gaveUp: boolean
  /** A step begins that may take `limitMs`; `error` makes what is said then. */
  begin(limitMs: number, error: (limitMs: number) => unknown): void
  /** The step has ended. */
  cancel(): void
  giveUp(error: unknown): void
}

export function stepLimit(): StepLimit {
  let gaveUp = false
  let timer: { cancel(): void } | undefined
  const { promise: expired, reject } = Promise.withResolvers<never>()
  expired.catch(() => {})
  const giveUp = (error: unknown): void => {
    gaveUp = true
    reject(error)
  }
  return {
    expired,
    get gaveUp() {
      return gaveUp
    },
    begin(limitMs, error) {
      timer?.cancel()
      timer = systemClock.timer(() => giveUp(error(Math.round(limitMs))), limitMs, { ref: true })
    },
    cancel: () => timer?.cancel(),
    giveUp,
  }
}
