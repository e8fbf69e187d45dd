import { abortable } from './abortable.ts'
import type { Listener, ListenerEvents } from './driver.ts'
import type { NodeRedisClient } from './node-redis.ts'

/** A copy of `redis` that listens. */
export async function nodeRedisListener(
  redis: NodeRedisClient,
  events: ListenerEvents,
  signal: AbortSignal,
): Promise<Listener> {
  const copy = redis.duplicate({
    // Its owner reconnects and subscribes again; and to be idle is a subscriber's nature.
    socket: { ...redis.options?.socket, reconnectStrategy: false, socketTimeout: undefined },
    // A cache of the user's would be flushed when this connection closes.
    clientSideCache: undefined,
    emitInvalidate: false,
  })
  let state: 'opening' | 'open' | 'closed' = 'opening'
  const close = async (): Promise<void> => {
    state = 'closed'
    copy.destroy()
  }
  const gone = (): void => {
    if (state !== 'open') return
    void close()
    events.closed()
  }
  copy.on('error', () => copy.isReady || gone())
  copy.on('end', gone)
  copy.on('sharded-channel-moved', gone)
  try {
    await abortable(signal, close, () => copy.connect())
    state = 'open'
  } catch (error) {
    await close()
    throw error
  }
  const plain = (message: Buffer, channel: Buffer): void => events.message(String(channel), message, false)
  const sharded = (message: Buffer, channel: Buffer): void => events.message(String(channel), message, true)
  return {
    async subscribe(channels) {
      await Promise.all(
        channels.map((channel) =>
          channel.sharded ? copy.sSubscribe(channel.name, sharded, true) : copy.subscribe(channel.name, plain, true),
        ),
      )
    },
    unsubscribe: (channel) =>
      channel.sharded ? copy.sUnsubscribe(channel.name, sharded, true) : copy.unsubscribe(channel.name, plain, true),
    ping: () => copy.sendCommand(['PING']),
    close,
  }
}
