import { KernelError, systemClock } from '@keelson/kernel'
import type { RedisPort, Subscription } from '@keelson/kernel/redis'
import type { RefDigest } from '../ref.ts'

/** Who waits for the end of a ref, over one subscription a store. */
export interface WakeUps {
  /** Resolves when `ref` was settled somewhere, or on `signal`; at once when it may have been. Rejects without a subscription. */
  wait(ref: RefDigest, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** A message may come between the answer 'busy' and the waiting for it. */
const HEARD_MS = 1_000
const MAX_HEARD = 1_000

export function createWakeUps(port: RedisPort, channel: string): WakeUps {
  const waiters = new Map<string, Set<() => void>>()
  const heard = new Map<string, number>()
  let opening: Promise<Subscription> | undefined
  let listening = false
  const closing = new AbortController()

  function onMessage(message: Buffer): void {
    const key = message.toString('latin1')
    const woken = waiters.get(key)
    if (woken === undefined) {
      heard.delete(key)
      heard.set(key, systemClock.monotonic())
      if (heard.size > MAX_HEARD) heard.delete(heard.keys().next().value!)
    } else {
      for (const wake of woken) wake()
    }
  }

  /** Messages were missed: whoever waits must look. */
  function wakeAll(): void {
    for (const woken of waiters.values()) for (const wake of woken) wake()
  }

  async function open(): Promise<void> {
    closing.signal.throwIfAborted()
    opening ??= port.subscribe(channel, onMessage, { restored: wakeAll, signal: closing.signal })
    try {
      await opening
      listening = true
    } catch (error) {
      opening = undefined
      throw error
    }
  }

  function heardOf(key: string): boolean {
    const atMs = heard.get(key)
    heard.delete(key)
    return atMs !== undefined && systemClock.monotonic() - atMs < HEARD_MS
  }

  return {
    async wait(ref, signal) {
      // What ended while nobody listened was not heard of.
      if (!listening) return open()
      const key = Buffer.from(ref.buffer, ref.byteOffset, ref.byteLength).toString('latin1')
      if (heardOf(key) || signal.aborted) return
      const waiting = waiters.get(key) ?? new Set()
      waiters.set(key, waiting)
      await new Promise<void>((resolve) => {
        const wake = (): void => {
          waiting.delete(wake)
          if (waiting.size === 0) waiters.delete(key)
          signal.removeEventListener('abort', wake)
          resolve()
        }
        waiting.add(wake)
        signal.addEventListener('abort', wake, { once: true })
      })
    },
    async close() {
      closing.abort(new KernelError('CLOSED', 'this store was closed'))
      listening = false
      wakeAll()
      const subscription = await opening?.catch(() => undefined)
      await subscription?.close()
    },
  }
}
