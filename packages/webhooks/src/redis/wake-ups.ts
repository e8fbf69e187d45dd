import { systemClock } from '@keelson/kernel'
import type { RedisPort } from '@keelson/kernel/redis'

/** The server answers at least so often. */
const BLOCK_S = 5
/** Between two wake-ups: what comes meanwhile is one. */
const REST_MS = 5
/** After a lost connection, until the next try. */
const RETRY_MS = 1_000
/** A server that stands still says no goodbye: its connection is closed when it speaks again. */
const GOODBYE_MS = 1_000

/** Calls whoever listens when a shard says that something may be due. */
export interface WakeUps {
  listen(fn: () => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

/** One blocking connection a shard, open while somebody listens. A token that is lost is found by polling. */
export function createWakeUps(port: RedisPort, shards: readonly string[]): WakeUps {
  const listeners = new Set<() => void>()
  let stop: (() => Promise<void>) | undefined

  function begin(): () => Promise<void> {
    const ended = new AbortController()
    const ends = shards.map(async (shard) => {
      while (!ended.signal.aborted) {
        await follow(shard, ended.signal).catch(() => {})
        await rest(RETRY_MS, ended.signal)
      }
    })
    return async () => {
      ended.abort()
      const over = new AbortController()
      await Promise.race([Promise.all(ends), rest(GOODBYE_MS, over.signal)])
      over.abort()
    }
  }

  /** Until the connection is gone. */
  async function follow(shard: string, signal: AbortSignal): Promise<void> {
    const own = await port.dedicated()
    const close = (): void => void own.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      while (!signal.aborted) {
        const reply = await own.command(shard, ['BLPOP', `${shard}:wake`, BLOCK_S])
        if (reply === null) continue
        for (const listener of listeners) listener()
        await rest(REST_MS, signal)
      }
    } finally {
      signal.removeEventListener('abort', close)
      await own.close()
    }
  }

  return {
    async listen(fn) {
      // A function of its own: the same one may listen twice.
      const listener = (): void => fn()
      listeners.add(listener)
      stop ??= begin()
      return async () => {
        listeners.delete(listener)
        if (listeners.size > 0) return
        const stopping = stop
        stop = undefined
        await stopping?.()
      }
    },
    async close() {
      listeners.clear()
      const stopping = stop
      stop = undefined
      await stopping?.()
    },
  }
}

async function rest(ms: number, signal: AbortSignal): Promise<void> {
  await systemClock.sleep(ms, signal).catch(() => {})
}
