import { systemClock, type Clock, type Logger } from '@keelson/kernel'
import type { GuardedTier } from './guarded-tier.ts'
import type { Bump, Bumped, Entry, Ref } from './store.ts'

/** Invalidations on their way to the store and to the other nodes. */
export interface Invalidations {
  /**
   * Resolves with its stamp when no node can serve older data. Rejects with STORE_UNAVAILABLE: it is owed then, and
   * paid before anything is read from the store again. All calls of one tick are one call of the store, and so are
   * those that come while one is under way: it is waited for.
   */
  send(list: readonly Bumped[]): Promise<string>
  /** The same for one key, which has this entry then. When it fails, its invalidation alone is owed. */
  put(ref: Ref, entry: Entry): Promise<Bump>
  /** A peer has applied all up to this stamp. */
  heard(stamp: string, node: string): void
  /** Peers that have acked something of late. */
  readonly peers: number
  /** Tags that the store has not taken. */
  readonly owed: number
  readonly oldestOwedMs: number
  /** Pays what is owed. Rejects as `send`. */
  pay(): Promise<void>
}

/** More is not remembered one by one: everything of the name is invalidated instead. */
const MAX_OWED = 10_000
/** Peers of old processes are forgotten. */
const MAX_PEERS = 1_000

/** Of a store with members: `<epoch>:<decimal number>`. */
interface Stamp {
  readonly epoch: string
  readonly order: number
}

interface Waiter {
  readonly stamp: Stamp
  readonly missing: Set<string>
  done(): void
}

export function createInvalidations(o: {
  readonly shared: GuardedTier
  readonly node: string
  /** False: nobody is waited for. */
  readonly strong: boolean
  /** Applies it to this process's memory. */
  readonly apply: (list: readonly Bumped[]) => void
  readonly clock?: Clock
  readonly logger: Logger
}): Invalidations {
  const { shared, node, strong, apply, logger, clock = systemClock } = o
  let batch: { readonly list: Bumped[]; readonly result: Promise<string> } | undefined
  /** The call of the store that is under way. Never rejects. */
  let underWay: Promise<unknown> = Promise.resolve()
  let owed = new Map<string, Bumped>()
  let owedSinceMs = 0
  const paying = new Set<Promise<unknown>>()
  const heardUpTo = new Map<string, Stamp>()
  const waiters = new Set<Waiter>()

  function send(list: readonly Bumped[]): Promise<string> {
    apply(list)
    if (batch === undefined) {
      const list: Bumped[] = []
      batch = { list, result: underWay.then(() => flush(list)) }
      batch.result.catch(() => {})
    }
    batch.list.push(...list)
    return batch.result
  }

  async function flush(list: readonly Bumped[]): Promise<string> {
    batch = undefined
    const debt = owed
    owed = new Map()
    const all = merged([...debt.values(), ...list])
    if (all.length === 0) return ''
    const sent = shared.call((tier) => tier.bump(all, node))
    underWay = sent.catch(() => {})
    if (debt.size > 0) paying.add(sent)
    let bump: Bump
    try {
      bump = await sent
    } catch (error) {
      owe(debt, list)
      throw error
    } finally {
      paying.delete(sent)
      // What was read meanwhile may be older.
      apply(all)
    }
    await acknowledged(bump)
    return bump.stamp
  }

  function owe(debt: ReadonlyMap<string, Bumped>, list: readonly Bumped[]): void {
    if (debt.size === 0 && owed.size === 0) owedSinceMs = clock.monotonic()
    owed = new Map([...debt, ...owed])
    for (const each of list) {
      for (const tag of each.epoch === true ? [''] : each.tags) {
        const { tags: _, ...rest } = each
        owed.set(JSON.stringify([each.scope, tag, each.soft]), { ...rest, tags: tag === '' ? [] : [tag] })
      }
    }
    if (owed.size > MAX_OWED) owed = new Map([['', { tags: [], epoch: true }]])
    if (list.length > 0) logger.warn({ tags: owed.size }, 'cache.drop.owed')
  }

  async function acknowledged({ stamp, peers, unknownMs }: Bump): Promise<void> {
    if (!strong) return
    const at = stampOf(stamp)
    const silent = peers.filter((peer) => !reaches(heardUpTo.get(peer.node), at))
    const limitMs = Math.max(unknownMs, ...silent.map(({ leaseLeftMs }) => leaseLeftMs))
    if (limitMs <= 0) return
    await new Promise<void>((resolve) => {
      const missing = new Set(silent.map((peer) => peer.node))
      const done = (): void => {
        waiters.delete(waiter)
        timer.cancel()
        resolve()
      }
      const waiter: Waiter = { stamp: at, missing, done }
      // A peer that was forgotten by the store cannot be known to have acked.
      const timer = clock.timer(done, limitMs, { ref: true })
      if (unknownMs <= 0) waiters.add(waiter)
    })
  }

  return {
    send,
    async put(ref, entry) {
      const own = [{ scope: ref.scope, tags: ref.declared.slice(0, 1) }]
      apply(own)
      let bump: Bump
      try {
        bump = await shared.call((tier) => tier.put(ref, entry, node))
      } catch (error) {
        await send(own).catch(() => {})
        throw error
      }
      // What was read meanwhile may be older.
      apply(own)
      await acknowledged(bump)
      return bump
    },
    heard(stamp, from) {
      const upTo = stampOf(stamp)
      heardUpTo.delete(from)
      heardUpTo.set(from, upTo)
      if (heardUpTo.size > MAX_PEERS) heardUpTo.delete(heardUpTo.keys().next().value!)
      for (const waiter of waiters) {
        if (!reaches(upTo, waiter.stamp) || !waiter.missing.delete(from)) continue
        if (waiter.missing.size === 0) waiter.done()
      }
    },
    get peers() {
      return heardUpTo.size
    },
    get owed() {
      return owed.size + paying.size
    },
    get oldestOwedMs() {
      return owed.size === 0 ? 0 : clock.monotonic() - owedSinceMs
    },
    async pay() {
      // A payment on its way is not known to have arrived.
      await Promise.all(paying)
      if (owed.size > 0) await send([])
    },
  }
}

/** Each tag once: of a hot one many are on their way. */
function merged(list: readonly Bumped[]): readonly Bumped[] {
  if (list.length < 2) return list
  const whole = list.filter(({ epoch }) => epoch === true).slice(0, 1)
  const tags = new Map<string, { readonly of: Bumped; readonly tags: Set<string> }>()
  for (const of of list) {
    if (of.epoch === true) continue
    const key = `${of.soft === true ? 's' : 'h'}${of.scope}`
    const known = tags.get(key)
    if (known === undefined) tags.set(key, { of, tags: new Set(of.tags) })
    else for (const tag of of.tags) known.tags.add(tag)
  }
  return [...Array.from(tags.values(), ({ of, tags }) => ({ ...of, tags: [...tags] })), ...whole]
}

/** Of two epochs nothing is known. */
function reaches(upTo: Stamp | undefined, at: Stamp): boolean {
  return upTo !== undefined && upTo.epoch === at.epoch && upTo.order >= at.order
}

function stampOf(stamp: string): Stamp {
  const colon = stamp.lastIndexOf(':')
  return { epoch: stamp.slice(0, colon + 1), order: Number(stamp.slice(colon + 1)) }
}
