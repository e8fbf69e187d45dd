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

/** What ioredis 5 says instead of 'moved' when a sharded channel leaves its server: an answer nobody waits for. */
const UNASKED = /^Command queue state error/

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
    if (UNASKED.test(error.message)) copy.disconnect()
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
  const lost = ended.then((): never => {
    if (!closing) events.closed()
    throw lastError ?? new Error('Connection is closed.')
  })
  lost.catch(() => {})
  return {
    async subscribe(channels) {
      // One by one, but in one flight: SSUBSCRIBE takes channels of one slot only.
      const answers = channels.map(({ name, sharded }) => (sharded ? copy.ssubscribe(name) : copy.subscribe(name)))
      // ioredis 5 never settles an SSUBSCRIBE that was answered MOVED.
      await Promise.race([Promise.all(answers), lost])
    },
    unsubscribe: ({ name, sharded }) => (sharded ? copy.sunsubscribe(name) : copy.unsubscribe(name)),
    ping: () => copy.ping(),
    close,
  }
}
