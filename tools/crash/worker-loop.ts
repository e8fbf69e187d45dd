import { AsyncLocalStorage } from 'node:async_hooks'
import type { CrashAnswer, CrashJob, Death } from './crash-runs.ts'

/** How many flights the running write has made, so that a worker can die at a boundary. */
const flights = new AsyncLocalStorage<{ count: number; death: Death | undefined }>()

/**
 * The worker's half of `crashRuns`: does the writes it is told to, so many at once, until it dies. Call it once ready.
 * `write` answers what a client would be told.
 */
export function workUntilKilled(write: (key: string) => Promise<string>): void {
  process.on('message', (job: CrashJob) => {
    const queue = [...job.keys]
    const lane = async (victim: boolean): Promise<void> => {
      for (let key = queue.shift(); key !== undefined; key = queue.shift()) {
        const mine = key
        const death = victim ? job.death : undefined
        const answer = await flights.run({ count: 0, death }, () => write(mine))
        process.send?.({ key: mine, answer } satisfies CrashAnswer)
      }
    }
    const lanes = Array.from({ length: job.inFlight }, (_, i) => lane(i === job.inFlight - 1))
    // Alive and out of work: the death that was asked for did not come.
    void Promise.all(lanes).then(() => process.exit(3))
  })
  process.on('disconnect', () => process.exit())
  process.send?.({ ready: true })
}

/** Wraps what sends a flight: the write that is to die there dies there. The signal leaves no line to run. */
export function mortal<A extends unknown[], R>(send: (...args: A) => R): (...args: A) => R {
  return function (this: unknown, ...args) {
    const state = flights.getStore()
    if (state === undefined) return send.apply(this, args)
    const flight = ++state.count
    die(state, flight, 'before')
    // pg's submittable queries answer by their callback.
    const query = args[0] as { submit?: unknown; callback?: (...results: unknown[]) => void }
    if (typeof query?.submit === 'function') {
      const { callback } = query
      query.callback = (...results) => {
        die(state, flight, 'answered')
        callback?.(...results)
      }
    }
    const answer = send.apply(this, args)
    die(state, flight, 'sent')
    return answer instanceof Promise ? (answer.finally(() => die(state, flight, 'answered')) as R) : answer
  }
}

function die({ death }: { death: Death | undefined }, flight: number, when: string): void {
  if (death !== undefined && 'flight' in death && death.flight === flight && death.when === when) {
    process.kill(process.pid, 'SIGKILL')
  }
}
