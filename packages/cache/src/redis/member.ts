import { systemClock } from '@keelson/kernel'
import type { RedisPort, Subscription } from '@keelson/kernel/redis'
import { CacheError } from '../error.ts'
import type { BumpMessage, Member, MemberEvents } from '../store.ts'
import type { RedisKeys } from './keys.ts'
import { ackText, parseMessage, type Message } from './message.ts'

/** Then its lease would be over, whatever it was. */
const LONGEST_RENEWAL_MS = 10_000

/** What a member needs of its tier. */
export interface MemberOf {
  readonly port: RedisPort
  /** Whose connection hears. */
  readonly subscriber: RedisPort
  readonly keys: RedisKeys
  readonly node: string
  /** An id of this membership and the node: what leaves late takes away no later one's lease. */
  readonly self: string
  readonly on: MemberEvents
  /** Publishes the marker `id` to the node's channel; registers the lease if told. */
  renew(id: string, register: boolean): Promise<unknown>
  left(): void
}

/**
 * Hears what is published, in order, and finds out what it did not hear: each message names the one before it, and a
 * renewal counts only when its marker was heard, which names the last message before it. So neither a subscription that
 * lags nor a cluster bus that dropped a message leaves a lease behind.
 */
export async function joinMember(o: MemberOf): Promise<Member & { close(): Promise<void> }> {
  const { port, keys, node, self, on } = o
  const markers = new Map<string, PromiseWithResolvers<string>>()
  const acks = new Map<string, string>()
  /** The last message; undefined before the first marker. */
  let heard: string | undefined
  let state: 'joining' | 'member' | 'gone' = 'joining'
  let subscriptions: readonly Subscription[] = []
  let calls = 0

  function listen(bytes: Buffer): void {
    if (state === 'gone') return
    const message = parseMessage(bytes)
    if (message?.kind === 'bump') hear(message)
    else if (message?.kind === 'marker') mark(message)
    else if (message?.kind === 'ack') on.ack(message.stamp, message.node)
    else if (message?.kind === 'filled') on.filled(message.scope, message.key)
  }

  function hear({ after, stamp, from, list }: Message & { kind: 'bump' }): void {
    if (heard !== undefined) {
      // Of another database of this server, which has the same channels; or this state was lost: a marker will tell.
      if (epochOf(after) !== epochOf(heard)) return
      if (after !== heard) return lose()
      heard = stamp
    }
    if (from !== node) on.bump({ stamp, from, list })
  }

  function mark({ id, epoch, after }: Message & { kind: 'marker' }): void {
    if (!markers.has(id)) return
    // A new epoch begins anew: the caller sees it by its name.
    if (heard !== undefined && epochOf(after) === epochOf(heard) && after !== heard) return lose()
    heard = after
    markers.get(id)?.resolve(epoch)
  }

  /** Once; a member that leaves loses nothing. */
  function lose(): void {
    const before = state
    end()
    if (before === 'member') on.lost()
  }

  function end(): void {
    state = 'gone'
    for (const marker of markers.values()) marker.reject(lost())
    void unsubscribe()
    o.left()
  }

  async function unsubscribe(): Promise<void> {
    const open = subscriptions
    subscriptions = []
    await Promise.all(open.map((each) => each.close()))
  }

  /** Resolves with the epoch once the marker was heard. */
  async function renew(register: boolean): Promise<{ epoch: string }> {
    if (state === 'gone') throw lost()
    const id = `${self.slice(0, -node.length)}${++calls}`
    const marker = Promise.withResolvers<string>()
    markers.set(id, marker)
    const timer = systemClock.timer(() => marker.reject(late()), LONGEST_RENEWAL_MS)
    try {
      const [epoch] = await Promise.all([marker.promise, o.renew(id, register)])
      return { epoch }
    } finally {
      timer.cancel()
      markers.delete(id)
    }
  }

  function sendAcks(): void {
    const commands = [...acks].map(([author, stamp]) => ['PUBLISH', keys.channelOf(author), ackText(stamp, node)])
    acks.clear()
    // An ack that is lost costs its author the lease.
    if (state === 'member') port.pipeline(keys.state, commands).catch(() => {})
  }

  const opened = await Promise.allSettled(
    [keys.channel, keys.channelOf(node)].map((channel) => o.subscriber.subscribe(channel, listen, { lost: lose })),
  )
  subscriptions = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  try {
    for (const each of opened) if (each.status === 'rejected') throw each.reason
    await renew(false)
    if (gone()) throw lost()
    state = 'member'
  } catch (error) {
    end()
    throw error
  }
  function gone(): boolean {
    return state === 'gone'
  }

  return {
    renew: () => renew(true),
    ack({ from, stamp }: BumpMessage) {
      if (state === 'gone') return
      if (acks.size === 0) setImmediate(sendAcks)
      acks.set(from, stamp)
    },
    async leave() {
      if (state !== 'gone') end()
      await port.command(keys.members, ['ZREM', keys.members, `=${self}`])
    },
    async close() {
      if (state !== 'gone') end()
      await unsubscribe()
    },
  }
}

function epochOf(stamp: string): string {
  return stamp.split(':', 1)[0]!
}

function lost(): CacheError {
  return new CacheError('STORE_UNAVAILABLE', 'redisStore: this member hears no more; it must join again', {
    details: { reason: 'refused' },
  })
}

function late(): CacheError {
  return new CacheError('STORE_UNAVAILABLE', `redisStore: a renewal was not heard in ${LONGEST_RENEWAL_MS} ms`, {
    details: { reason: 'timeout' },
  })
}
