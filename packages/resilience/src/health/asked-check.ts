import { context, type Clock } from '@keelson/kernel'

/** How a check went. */
export interface CheckResult {
  readonly ok: boolean
  readonly ms: number
  readonly error?: string
}

/** A check that ignores its signal is left alone for so many timeouts: one at a time hangs, but none for ever. */
const PATIENCE = 10
const ERROR_LENGTH = 200

/**
 * A check as probes ask it: many askers share one run, its result holds for `cacheMs`, and nobody waits longer than
 * `timeoutMs`. While a run hangs beyond that, askers are told so at once, and no further one is begun.
 */
export function askedCheck(
  check: (signal: AbortSignal) => unknown,
  { timeoutMs, cacheMs, clock }: { readonly timeoutMs: number; readonly cacheMs: number; readonly clock: Clock },
): () => Promise<CheckResult> {
  // The deadline of the request that happens to ask is not that of the others.
  const outside = context.bind(check)
  let running: { readonly sinceMs: number; readonly answer: Promise<CheckResult> } | undefined
  let last: { readonly endedMs: number; readonly answer: Promise<CheckResult> } | undefined

  function run(): Promise<CheckResult> {
    const sinceMs = clock.monotonic()
    const limit = new AbortController()
    const work = (async () => outside(limit.signal))()
    const answer = new Promise<CheckResult>((resolve) => {
      const end = (error?: string): void => {
        timer.cancel()
        const endedMs = clock.monotonic()
        resolve({ ok: error === undefined, ms: endedMs - sinceMs, ...(error === undefined ? {} : { error }) })
        if (running?.answer === answer) last = { endedMs, answer }
      }
      const timer = clock.timer(
        () => {
          const error = `no answer within ${timeoutMs} ms`
          end(error)
          limit.abort(new DOMException(error, 'TimeoutError'))
        },
        timeoutMs,
        { ref: true },
      )
      const settle = (error?: string): void => {
        if (!limit.signal.aborted) end(error)
        if (running?.answer === answer) running = undefined
      }
      work.then(
        (value) => settle(value === false ? 'it answered false' : undefined),
        (error: unknown) => settle(textOf(error)),
      )
    })
    running = { sinceMs, answer }
    return answer
  }

  return async () => {
    const nowMs = clock.monotonic()
    if (running !== undefined && nowMs - running.sinceMs < PATIENCE * timeoutMs) return running.answer
    if (last !== undefined && nowMs - last.endedMs < cacheMs) return last.answer
    return run()
  }
}

/** Node's error for a host with several addresses has a code only. */
function textOf(error: unknown): string {
  const { message, code, name } = (typeof error === 'object' && error !== null ? error : {}) as Record<string, unknown>
  const texts = [message, code, name, `threw ${typeof error}`].filter((each) => typeof each === 'string')
  return texts.find((text) => text !== '')!.slice(0, ERROR_LENGTH)
}
