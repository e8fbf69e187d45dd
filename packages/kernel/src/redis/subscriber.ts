import { systemClock, type Clock } from '../clock.ts'
import { unavailable } from '../store-guard.ts'
import { abortable } from './abortable.ts'
import type { Channel, Listener, RedisDriver } from './driver.ts'
import type { RedisPort, SubscribeOptions } from './port.ts'

/** Between two tries to reconnect: doubled from the first to the last, less up to a half of it. */
const FIRST_RETRY_MS = 50
const LAST_RETRY_MS = 2_000
/** A connection is asked so often whether it lives, and has as long to answer. */
const PING_EVERY_MS = 5_000
/** What opening and subscribing again may take together. */
const OPEN_LIMIT_MS = 10_000

/** One call of `subscribe`. */
interface Subscriber extends SubscribeOptions {
  readonly channel: Channel
  readonly on: (message: Buffer) => void
  /** Opening: its caller still waits. Lost: `restored` is owed. */
  state: 'opening' | 'live' | 'lost'
}

/** A connection, from the wish for it on. */
interface Session {
  readonly listener: Promise<Listener>
  /** Gives up opening. */
  readonly giveUp: AbortController
  /** Rejects when the connection is gone; some clients say so to nobody who waits. */
  readonly gone: PromiseWithResolvers<never>
}

/** All subscriptions of a port over one connection, which is opened by the first and closed with the last. */
export function createSubscriber(
  listen: RedisDriver['listen'],
  clock: Clock = systemClock,
  random: () => number = Math.random,
): RedisPort['subscribe'] {
  const subscribers = new Set<Subscriber>()
  let session: Session | undefined
  let failures = 0
  let timer: { cancel(): void } | undefined

  /** Joins the open session or opens one. Once it is open, those who were lost are live again. */
  function join(): Session {
    if (session !== undefined) return session
    timer?.cancel()
    const giveUp = new AbortController()
    const opened: Session = {
      listener: within(clock, OPEN_LIMIT_MS, giveUp, () => connect(() => drop(opened), giveUp.signal)),
      giveUp,
      gone: Promise.withResolvers<never>(),
    }
    opened.gone.promise.catch(() => {})
    session = opened
    opened.listener.then(
      (listener) => {
        if (session !== opened) return
        failures = 0
        watch(opened, listener)
        settle('lost', 'live')
      },
      () => drop(opened),
    )
    return opened
  }

  async function connect(closed: () => void, signal: AbortSignal): Promise<Listener> {
    const listener = await listen({ message, closed }, signal)
    try {
      const lost = [...subscribers].filter(({ state }) => state === 'lost')
      await abortable(signal, listener.close, () => listener.subscribe(channelsOf(lost)))
      return listener
    } catch (error) {
      void listener.close()
      throw error
    }
  }

  /** Nothing else is ever written to this connection, so one that went away silently is found out by asking. */
  function watch(watched: Session, listener: Listener): void {
    timer = clock.timer(() => {
      within(clock, PING_EVERY_MS, watched.giveUp, () => listener.ping()).then(
        () => session === watched && watch(watched, listener),
        () => {
          void listener.close()
          drop(watched)
        },
      )
    }, PING_EVERY_MS)
  }

  function drop(dropped: Session): void {
    if (session !== dropped) return
    session = undefined
    timer?.cancel()
    dropped.gone.reject(unavailable('redis', 'closed the connection of a subscriber', 'refused'))
    settle('live', 'lost')
    if (![...subscribers].some(({ state }) => state === 'lost')) return
    const delayMs = Math.min(FIRST_RETRY_MS * 2 ** failures++, LAST_RETRY_MS)
    timer = clock.timer(join, delayMs * (1 - random() / 2))
  }

  function settle(from: Subscriber['state'], to: 'live' | 'lost'): void {
    for (const each of subscribers) {
      if (each.state !== from) continue
      each.state = to
      const told = to === 'live' ? each.restored : each.lost
      if (told !== undefined) apart(told)
    }
  }

  function message(name: string, body: Buffer, sharded: boolean): void {
    for (const each of subscribers) {
      if (each.channel.name === name && each.channel.sharded === sharded) apart(() => each.on(body))
    }
  }

  async function leave(subscriber: Subscriber): Promise<void> {
    if (!subscribers.delete(subscriber)) return
    const left = session
    if (subscribers.size > 0) {
      // Nobody is told of messages any more: a server that stands still need not say so, nor let us in.
      left?.listener.then((listener) => unsubscribe(listener, subscriber.channel)).catch(() => {})
      return
    }
    session = undefined
    timer?.cancel()
    left?.giveUp.abort()
    try {
      await (await left?.listener)?.close()
    } catch {
      // Its connection is gone, and the subscription with it.
    }
  }

  async function unsubscribe(listener: Listener, channel: Channel): Promise<void> {
    const isWanted = channelsOf([...subscribers]).some((other) => idOf(other) === idOf(channel))
    if (!isWanted) await listener.unsubscribe(channel)
  }

  return async (name, on, o = {}) => {
    const subscriber: Subscriber = { ...o, channel: { name, sharded: o.sharded ?? false }, on, state: 'opening' }
    o.signal?.throwIfAborted()
    subscribers.add(subscriber)
    try {
      await unlessAborted(o.signal, async () => {
        const { listener, gone } = join()
        await Promise.race([(await listener).subscribe([subscriber.channel]), gone.promise])
      })
    } catch (error) {
      await leave(subscriber)
      throw error
    }
    subscriber.state = 'live'
    return { close: () => leave(subscriber) }
  }
}

function channelsOf(subscribers: readonly Subscriber[]): Channel[] {
  return [...new Map(subscribers.map(({ channel }) => [idOf(channel), channel])).values()]
}

function idOf({ name, sharded }: Channel): string {
  return `${sharded ? 's' : 'c'}${name}`
}

/** A subscriber's error is its own: it keeps neither the others from hearing nor the client's parser from working. */
function apart(run: () => void): void {
  try {
    run()
  } catch (error) {
    queueMicrotask(() => {
      throw error
    })
  }
}

/** What `run` says, or rejects when `signal` aborts before. */
async function unlessAborted(signal: AbortSignal | undefined, run: () => Promise<void>): Promise<void> {
  if (signal === undefined) return run()
  const aborted = Promise.withResolvers<never>()
  const onAbort = (): void => aborted.reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    await Promise.race([run(), aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

async function within<T>(
  clock: Clock,
  limitMs: number,
  controller: AbortController,
  run: () => Promise<T>,
): Promise<T> {
  let timer: { cancel(): void } | undefined
  const expired = new Promise<never>((_, reject) => {
    timer = clock.timer(() => {
      const error = unavailable('redis', `did not answer a subscriber in ${limitMs} ms`, 'timeout')
      controller.abort(error)
      reject(error)
    }, limitMs)
  })
  try {
    return await Promise.race([run(), expired])
  } finally {
    timer?.cancel()
  }
}
