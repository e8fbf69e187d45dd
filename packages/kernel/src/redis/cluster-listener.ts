import { masterOf, type ClusterView } from './cluster.ts'
import type { Channel, Listener, ListenerEvents } from './driver.ts'

/**
 * Listens to a cluster: to any master for plain channels, which all nodes carry, and to the master of its slot for a
 * sharded one. Connections open with their first channel; when one is gone, all are closed.
 */
export function clusterListener(view: ClusterView, events: ListenerEvents, signal: AbortSignal): Listener {
  const open = new Map<object, Promise<Listener>>()
  const closing = new AbortController()
  let plain: Promise<Listener> | undefined

  async function listenerFor(key: string | null): Promise<Listener> {
    // Also where it went: ioredis 5 does not say that SSUBSCRIBE was answered MOVED.
    if (key !== null) await view.learn(key).catch(() => {})
    const node = await masterOf(view, key)
    closing.signal.throwIfAborted()
    let listener = open.get(node.id)
    if (listener === undefined) {
      listener = node.listen({ message: events.message, closed: gone }, AbortSignal.any([signal, closing.signal]))
      open.set(node.id, listener)
      listener.catch(() => open.delete(node.id))
    }
    return listener
  }

  function gone(): void {
    if (closing.signal.aborted) return
    void close()
    events.closed()
  }

  async function close(): Promise<void> {
    closing.abort()
    await Promise.allSettled([...open.values()].map(async (listener) => (await listener).close()))
  }

  function listenerOf(channel: Channel): Promise<Listener> {
    if (channel.sharded) return listenerFor(channel.name)
    if (plain === undefined) {
      plain = listenerFor(null)
      plain.catch(() => (plain = undefined))
    }
    return plain
  }

  return {
    async subscribe(channels) {
      await Promise.all(channels.map(async (channel) => (await listenerOf(channel)).subscribe([channel])))
    },
    unsubscribe: async (channel) => (await listenerOf(channel)).unsubscribe(channel),
    ping: () => Promise.all([...open.values()].map(async (listener) => (await listener).ping())),
    close,
  }
}
