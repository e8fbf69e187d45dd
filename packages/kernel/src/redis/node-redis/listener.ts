import { abortable } from '../abortable.ts'
import type { Listener, ListenerEvents } from '../driver.ts'
import { endCopy, NOT_COPIED, type NodeRedisCopy } from './copy.ts'
import type { NodeRedisClient } from './node-redis-like.ts'

type Hear = (message: Buffer, channel: Buffer) => void

interface Copy extends NodeRedisCopy {
  subscribe(channel: string, hear: Hear, asBuffers: true): Promise<void>
  sSubscribe(channel: string, hear: Hear, asBuffers: true): Promise<void>
  unsubscribe(channel: string, hear: Hear, asBuffers: true): Promise<void>
  sUnsubscribe(channel: string, hear: Hear, asBuffers: true): Promise<void>
}

/** A copy of a client that listens. */
export async function listen(client: NodeRedisClient, events: ListenerEvents, signal: AbortSignal): Promise<Listener> {
  // Its owner reconnects and subscribes again; and to be idle is a subscriber's nature.
  const socket = { ...client.options?.socket, reconnectStrategy: false, socketTimeout: undefined }
  const copy: Copy = client.duplicate({ ...NOT_COPIED, socket })
  let state: 'opening' | 'open' | 'closed' = 'opening'
  const close = async (): Promise<void> => {
    if (state === 'closed') return
    state = 'closed'
    await endCopy(copy)
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
  const plain: Hear = (message, channel) => events.message(String(channel), message, false)
  const sharded: Hear = (message, channel) => events.message(String(channel), message, true)
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
