import { checkOptions, opt, systemClock } from '@keelson/kernel'
import {
  redisPort,
  type IoredisLike,
  type NodeRedisLike,
  type RedisPort,
  type Subscription,
} from '@keelson/kernel/redis'
import { backoffMs } from '../backoff.ts'
import { SyncError } from '../error.ts'
import { createHints } from '../hints.ts'
import type { Waker } from '../sync.ts'

const TEXT_BYTES = 65_536
const SPEC = {
  prefix: opt.string('keelson:sync', { match: /^\S+$/, allowed: 'a text without spaces' }),
}

/**
 * Hints between processes over Redis: an ioredis 5 or 6 Redis or Cluster, a node-redis client or cluster, or a RedisPort.
 * Messages name scopes and go by ordinary PUBLISH, which every node of a Cluster carries. It listens on a connection of
 * its own, opened by `on`; `client` stays the application's. Without Redis devices hear of a change by the next look at
 * the store. `prefix` is in front of the channel: 'keelson:sync'.
 * @throws SyncError OPTION_INVALID; KernelError OPTION_INVALID for what is no client
 */
export function redisWaker(
  client: IoredisLike | NodeRedisLike | RedisPort,
  options: { readonly prefix?: string } = {},
): Waker {
  const { prefix } = checkOptions('redisWaker', options, SPEC, (message) => new SyncError('OPTION_INVALID', message))
  const port = redisPort(client)
  const channel = `${prefix}:changed`
  const hints = createHints(
    (texts) => Promise.all(texts.map((text) => port.command(null, ['PUBLISH', channel, text]))),
    TEXT_BYTES,
  )
  const listeners: ((scopes: readonly string[]) => void)[] = []
  let subscribed: Promise<Subscription | undefined> | undefined
  let timer: { cancel(): void } | undefined
  const closing = new AbortController()
  const { signal } = closing

  /** A subscription that was open once comes back by itself. */
  async function subscribe(failures = 0): Promise<Subscription | undefined> {
    try {
      return await port.subscribe(channel, (bytes) => hear(bytes.toString()), { signal })
    } catch {
      const again = (): void => void (subscribed = subscribe(failures + 1))
      if (!signal.aborted) timer = systemClock.timer(again, backoffMs(failures))
      return undefined
    }
  }

  function hear(text: string): void {
    const scopes = hints.read(text)
    if (signal.aborted || scopes.length === 0) return
    for (const listener of listeners) listener(scopes)
  }

  return {
    wake(scopes) {
      if (!signal.aborted) hints.tell(scopes)
    },
    on(fn) {
      if (signal.aborted) return
      listeners.push(fn)
      if (listeners.length === 1) subscribed = subscribe()
    },
    async close() {
      closing.abort()
      timer?.cancel()
      const subscription = await subscribed
      await subscription?.close()
    },
  }
}
