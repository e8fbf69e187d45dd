import { abortable } from './abortable.ts'
import type { Listener, ListenerEvents } from './driver.ts'
import type { IoredisLike } from './ioredis.ts'

/** Its owner reconnects and subscribes again; the user's own settings may say never. */
const OPTIONS = {
  lazyConnect: true,
  retryStrategy: null,
  sentinelRetryStrategy: null,
  autoResubscribe: false,
  enableOfflineQueue: true,
  enableAutoPipelining: false,
}

/** ioredis 5 takes the server's word that a sharded channel has moved for an answer that nobody waits for. */
const UNSOLICITED = /^Command queue state error/

/** A copy of `redis` that listens. */
export async function ioredisListener(
  redis: IoredisLike,
  events: ListenerEvents,
  signal: AbortSignal,
): Promise<Listener> {
  const copy = redis.duplicate(OPTIONS)
  let lastError: Error | undefined
  let closing = false
  const ended = new Promise<void>((resolve) => copy.once('end', resolve))
  copy.on('messageBuffer', (channel: Buffer, message: Buffer) => events.message(String(channel), message, false))
  copy.on('smessageBuffer', (channel: Buffer, message: Buffer) => events.message(String(channel), message, true))
  copy.on('moved', () => copy.disconnect())
  copy.on('error', (error: Error) => {
    lastError = error
    if (UNSOLICITED.test(error.message)) copy.disconnect()
  })
  const close = async (): Promise<void> => {
    closing = true
    if (copy.status !== 'end') copy.disconnect()
    await ended
  }
  try {
    await abortable(signal, close, () => copy.connect())
  } catch (error) {
    await close()
    throw lastError ?? error
  }
  void ended.then(() => closing || events.closed())
  return {
    async subscribe(channels) {
      // One by one, but in one flight: SSUBSCRIBE takes channels of one slot only.
      await Promise.all(channels.map(({ name, sharded }) => (sharded ? copy.ssubscribe(name) : copy.subscribe(name))))
    },
    unsubscribe: ({ name, sharded }) => (sharded ? copy.sunsubscribe(name) : copy.unsubscribe(name)),
    ping: () => copy.ping(),
    close,
  }
}
