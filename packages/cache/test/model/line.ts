import type { Clock } from '@keelson/kernel'
import type { CacheTier, DropLog } from '@keelson/cache'

/** 'refused': nothing arrives. 'mute': all arrives, no answer comes. */
export type Fault = 'none' | 'refused' | 'mute'

/** One node's clock and connection, which stand still when the node does. */
export interface Line {
  readonly clock: Clock
  tier(of: CacheTier): CacheTier
  log(of: DropLog): DropLog
  readonly fault: Fault
  break(fault: Fault): void
  /** Messages come so much later, in their order. */
  lagMs: number
  readonly paused: boolean
  pause(): void
  /** Timers and messages that were due come now, in their order. */
  resume(): void
  /** Nothing of this node happens any more. */
  kill(): void
  heal(): void
}

export function openLine(outer: Clock, lagMs: number): Line {
  let fault: Fault = 'none'
  let paused = false
  let waiting: (() => void)[] = []
  let lastMs = 0
  let isDead = false
  const hung: ((error: Error) => void)[] = []
  const killed = Promise.withResolvers<never>()
  killed.promise.catch(() => {})

  /** Once the node runs. */
  function whenAwake(run: () => void): void {
    if (paused) waiting.push(run)
    else run()
  }

  const clock: Clock = {
    now: () => outer.now(),
    monotonic: () => outer.monotonic(),
    timer(fn, delayMs, o) {
      let cancelled = false
      const timer = outer.timer(() => whenAwake(() => cancelled || fn()), delayMs, o)
      return {
        cancel() {
          cancelled = true
          timer.cancel()
        },
      }
    },
    sleep: async (ms, signal) =>
      new Promise((resolve, reject) => {
        const timer = clock.timer(resolve, ms)
        signal?.addEventListener('abort', () => (timer.cancel(), reject(signal.reason as Error)), { once: true })
      }),
  }

  async function call<T>(send: () => Promise<T>): Promise<T> {
    if (fault === 'refused') throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
    const answer = await send()
    if (fault === 'mute') await new Promise((_, reject) => hung.push(reject))
    if (paused && !isDead) await new Promise<void>(whenAwake)
    if (isDead) throw gone()
    return answer
  }

  /** Behind every message before it. */
  function hear(run: () => void): void {
    const atMs = Math.max(lastMs, outer.monotonic() + line.lagMs)
    lastMs = atMs
    const delayMs = atMs - outer.monotonic()
    if (delayMs <= 0) whenAwake(run)
    else outer.timer(() => whenAwake(run), delayMs)
  }

  const line: Line = {
    clock,
    lagMs,
    get fault() {
      return fault
    },
    break: (how) => void (fault = how),
    get paused() {
      return paused
    },
    pause: () => void (paused = true),
    resume() {
      paused = false
      const due = waiting
      waiting = []
      for (const run of due) run()
    },
    kill() {
      isDead = true
      fault = 'refused'
      line.resume()
      paused = true
      // Its connections are closed: what it had locked is free.
      for (const reject of [...hung, killed.reject]) reject(gone())
    },
    heal() {
      fault = 'none'
      line.lagMs = 0
      line.resume()
    },
    log: (of) => ({
      ...of,
      // Of a node that is killed the transaction is rolled back, whatever it waits for.
      claim: (name, o, apply) => of.claim(name, o, (rows) => Promise.race([apply(rows), killed.promise])),
    }),
    tier: (of) => ({
      ...of,
      read: (...args) => call(() => of.read(...args)),
      fill: (...args) => call(() => of.fill(...args)),
      put: (...args) => call(() => of.put(...args)),
      bump: (...args) => call(() => of.bump(...args)),
      unlock: (...args) => call(() => of.unlock(...args)),
      extend: (...args) => call(() => of.extend(...args)),
      ping: () => call(() => of.ping()),
      epoch: () => call(() => of.epoch()),
      join: (node, { leaseMs, on }) =>
        call(async () => {
          const member = await of.join!(node, {
            leaseMs,
            on: {
              bump: (message) => hear(() => on.bump(message)),
              filled: (scope, key) => hear(() => on.filled(scope, key)),
              ack: (stamp, from) => hear(() => on.ack(stamp, from)),
              lost: () => hear(() => on.lost()),
            },
          })
          return {
            renew: () =>
              call(async () => {
                const answer = await member.renew()
                await new Promise<void>(hear)
                return answer
              }),
            ack: (message) => (fault === 'none' ? member.ack(message) : undefined),
            leave: () => call(() => member.leave()),
          }
        }),
    }),
  }
  return line
}

function gone(): Error {
  return Object.assign(new Error('this node was killed'), { code: 'ECONNRESET' })
}
