import type { Clock } from '@keelson/kernel/core'
import { SyncClientError } from './error.ts'
import type { Locks } from './sync-client.ts'

/** Where there are windows. */
const events = globalThis as Partial<Pick<EventTarget, 'addEventListener' | 'removeEventListener'>>

/** Rounds that run by themselves. */
export interface Background {
  start(): void
  /** Resolves when nothing runs any more. */
  stop(): Promise<void>
  /** Something is to be sent. */
  wake(): void
  /** The server answers: nothing waits for it any more. */
  reached(): void
}

/** What the background needs. */
export interface BackgroundOptions {
  run(): Promise<unknown>
  wait(waitMs: number, signal: AbortSignal): Promise<unknown>
  /** The server would not have something yet. */
  isBehind(): boolean
  readonly clock: Clock
  readonly intervalMs: number | undefined
  readonly live: boolean
  readonly minMs: number
  readonly maxMs: number
  readonly locks: Locks | undefined
  /** The same for all that share a store. */
  place(): string
}

const POLL_MS = 25_000

export function createBackground(o: BackgroundOptions): Background {
  let stopping: AbortController | undefined
  let running: Promise<unknown> = Promise.resolve()
  let waking = new AbortController()
  let online = new AbortController()
  const reached = (): void => online.abort()

  async function rounds(stopped: AbortSignal): Promise<void> {
    let failures = 0
    while (!stopped.aborted) {
      waking = new AbortController()
      const woken = waking.signal
      let afterMs = 0
      try {
        await o.run()
        if (!o.isBehind()) {
          failures = 0
          await (o.live ? news(stopped, woken) : pause(o.intervalMs, stopped, woken))
          continue
        }
      } catch (error) {
        afterMs = error instanceof SyncClientError ? (error.retryAfter ?? 0) : 0
      }
      online = new AbortController()
      // Full jitter (AWS Architecture Blog, 2015): devices that lost their server together do not come back together.
      const jitterMs = Math.random() * Math.min(o.maxMs, o.minMs * 2 ** failures++)
      await pause(Math.max(afterMs, jitterMs), stopped, online.signal)
    }
  }

  async function news(stopped: AbortSignal, woken: AbortSignal): Promise<void> {
    const ended = AbortSignal.any([stopped, woken])
    if (ended.aborted) return
    try {
      await o.wait(POLL_MS, ended)
    } catch (error) {
      if (!ended.aborted) throw error
    }
  }

  /** Keeps no process alive. */
  async function pause(forMs: number | undefined, ...ends: AbortSignal[]): Promise<void> {
    const ended = AbortSignal.any(ends)
    if (ended.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    ended.addEventListener('abort', () => resolve(), { once: true })
    const timer = forMs === undefined ? undefined : o.clock.timer(resolve, forMs)
    await promise
    timer?.cancel()
  }

  return {
    start() {
      if (stopping !== undefined) return
      const { signal } = (stopping = new AbortController())
      events.addEventListener?.('online', reached)
      const name = `keelson-sync ${o.place()}`
      running =
        o.locks === undefined ? rounds(signal) : o.locks.request(name, { signal }, () => rounds(signal)).catch(() => {})
    },
    async stop() {
      stopping?.abort()
      stopping = undefined
      events.removeEventListener?.('online', reached)
      await running
    },
    wake: () => waking.abort(),
    reached,
  }
}
