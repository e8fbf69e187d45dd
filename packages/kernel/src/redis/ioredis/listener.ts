import { abortable } from '../abortable.ts'
import type { Listener, ListenerEvents } from '../driver.ts'
import { closerOf, type IoredisCopy } from './copy.ts'
import type { IoredisLike } from './ioredis-like.ts'

/** Its owner reconnects and subscribes again; the user's own settings may say never. */
const OPTIONS = {
  lazyConnect: true,
  retryStrategy: null,
  sentinelRetryStrategy: null,
  autoResubscribe: false,
  enableOfflineQueue: true,
  enableAutoPipelining: false,
}

/** What ioredis 5 says instead of 'moved' when a sharded channel leaves its server: an answer nobody waits for. */
const UNASKED = /^Command queue state error/

interface Copy extends IoredisCopy {
  subscribe(channel: string): Promise<unknown>
  ssubscribe(channel: string): Promise<unknown>
  unsubscribe(channel: string): Promise<unknown>
  sunsubscribe(channel: string): Promise<unknown>
  ping(): Promise<unknown>
}

/** A copy of a Redis that listens. */
export async function listen(redis: IoredisLike, events: ListenerEvents, signal: AbortSignal): Promise<Listener> {
  const copy: Copy = redis.duplicate(OPTIONS)
  const end = closerOf(copy)
  let lastError: Error | undefined
  let closing = false
  copy.on('messageBuffer', (channel: Buffer, message: Buffer) => events.message(String(channel), message, false))
  copy.on('smessageBuffer', (channel: Buffer, message: Buffer) => events.message(String(channel), message, true))
  copy.on('moved', () => void end())
  copy.on('error', (error: Error) => {
    lastError = error
    if (UNASKED.test(error.message)) void end()
  })
  const close = (): Promise<void> => {
    closing = true
    return end()
  }
  try {
    await abortable(signal, close, () => copy.connect())
  } catch (error) {
    await close()
    throw lastError ?? error
  }
  copy.once('end', () => closing || events.closed())
  return {
    async subscribe(channels) {
      // One by one, but in one flight: SSUBSCRIBE takes channels of one slot only.
      await Promise.all(channels.map(({ name, sharded }) => (sharded ? copy.ssubscribe(name) : copy.subscribe(name))))
    },
    unsubscribe: async ({ name, sharded }) => void (await (sharded ? copy.sunsubscribe(name) : copy.unsubscribe(name))),
    ping: () => copy.ping(),
    close,
  }
}
