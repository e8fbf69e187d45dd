import { AsyncLocalStorage } from 'node:async_hooks'
import type { Boundary } from './plan.ts'

/** The write that is being made: how many flights it has had, and at which it dies. */
interface Flying {
  flights: number
  readonly death: Boundary | undefined
}

const current = new AsyncLocalStorage<Flying>()

/** Makes one write, which dies at its boundary. Answers how many flights it took. */
export async function fly<T>(
  death: Boundary | undefined,
  write: () => Promise<T>,
): Promise<{ value: T; flights: number }> {
  const flying: Flying = { flights: 0, death }
  return { value: await current.run(flying, write), flights: flying.flights }
}

type Callback = (...results: unknown[]) => unknown

/**
 * From now on a call of `target[name]` on behalf of a write is a flight, at which the write can die. Its answer is the
 * promise, the last argument when that is a callback, or the callback of pg's submittable queries.
 */
export function flight<T extends object>(target: T, name: string): T {
  const functions = target as Record<string, (...args: unknown[]) => unknown>
  const send = functions[name]
  if (typeof send !== 'function') throw new TypeError(`no function to count flights of: ${name}`)
  functions[name] = function (this: unknown, ...args: unknown[]) {
    const flying = current.getStore()
    if (flying === undefined) return send.apply(this, args)
    const number = ++flying.flights
    const dieIf = (...whens: readonly Boundary['when'][]): void => {
      if (flying.death?.flight === number && whens.includes(flying.death.when)) process.kill(process.pid, 'SIGKILL')
    }
    // A database in this process may answer before anything else can run.
    const answered = (): void => dieIf('sent', 'answered')
    const thenCall = (callback: Callback): Callback =>
      function (this: unknown, ...results) {
        answered()
        return callback.apply(this, results)
      }

    dieIf('before')
    const submittable = args[0] as { submit?: unknown; callback?: Callback } | undefined
    const last = args.at(-1)
    if (typeof last === 'function') args[args.length - 1] = thenCall(last as Callback)
    else if (submittable?.submit && submittable.callback) submittable.callback = thenCall(submittable.callback)
    const answer = send.apply(this, args)
    // By then everything that the driver still held has left, and no answer to it has been read.
    setImmediate(() => dieIf('sent'))
    // Ahead of whoever waits for it; the driver's own promise goes on, so a rejection stays its caller's.
    if (answer instanceof Promise) void answer.then(answered, answered)
    return answer
  }
  return target
}
