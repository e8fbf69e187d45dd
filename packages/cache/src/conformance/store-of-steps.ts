import { randomBytes } from 'node:crypto'
import type { Clock } from '@keelson/kernel'
import type {
  Bumped,
  BumpMessage,
  CacheStore,
  CacheTier,
  Entry,
  Hit,
  Member,
  MemberEvents,
  Miss,
  Ref,
  Stored,
} from '../store.ts'

/** Of a tier that was not told. */
const LONGEST_LEASE_MS = 10_000

/** An entry of the store of steps. */
interface Kept {
  readonly entry: Entry
  readonly epoch: string
  readonly stamp: number
  readonly storedMs: number
}

/** What validity needs. Goes as a whole. */
interface State {
  epoch: string
  clock: number
  floor: number
  /** By tag, with its scope in front. */
  readonly hard: Map<string, number>
  readonly soft: Map<string, number>
}

/** Who loads an entry. */
export interface Lock {
  readonly node: string
  readonly epoch: string
  readonly stamp: number
  endsMs: number
}

/** A lease of a miss, as it is read again. */
interface Right {
  readonly epoch: string
  readonly stamp: number
  readonly atMs: number
}

type Method = 'read' | 'fill' | 'put' | 'bump'
/** What is said to members. */
type Message =
  | { readonly kind: 'bump'; readonly message: BumpMessage }
  | { readonly kind: 'filled'; readonly scope: string; readonly key: string }
  | { readonly kind: 'ack'; readonly to: string; readonly stamp: string; readonly node: string }

/** A tag's last invalidation; -1: never. */
type Last = (tag: string) => number

/** A small memory store, step by step: replace one, and the store is broken in just that way. */
export interface Steps {
  nowMs(clock: Clock): number
  /** Between what a method reads and what it writes. A good store has nothing there. */
  gap(method: Method): Promise<unknown> | undefined
  newEpoch(node: string): string
  /** The clock after an invalidation. */
  tick(clock: number, nowMs: number): number
  /** How things are found. */
  nameOf(name: string): string
  keyOf(scope: string, key: string): string
  tagOf(scope: string, tag: string): string
  /** The tags that a bump marks. */
  bumped(one: Bumped): readonly string[]
  isSoft(one: Bumped): boolean
  /** The tags that a put marks. */
  putTags(ref: Ref, entry: Entry): readonly string[]
  /** What the lease of a miss says; `state` is as it was when the read began. */
  right(state: State, nowMs: number): Right
  isEpoch(of: string, state: State): boolean
  /** Whether one of these tags was invalidated after `stamp`. */
  moved(tags: readonly string[], stamp: number, last: Last): boolean
  isFloored(stamp: number, floor: number): boolean
  /** By time alone. */
  isOver(kept: Kept, nowMs: number): boolean
  graceMs(kept: Kept, soft: boolean): number
  refreshes(refresh: boolean | undefined): boolean
  isTooLate(right: Right, nowMs: number, maxLoadMs: number): boolean
  isNewer(there: Kept, right: Right): boolean
  /** The stamp that a fill writes. */
  stampOf(right: Right, state: State): number
  tagsOf(entry: Entry): readonly string[]
  store(entry: Entry): Entry
  /** As it is told. */
  stamped(epoch: string, stamp: number): string
  /** What of an entry is told. */
  tell(stored: Stored, body: boolean): Stored
  /** What a read does to an entry. */
  touch(kept: Kept, nowMs: number): Kept
  putStamp(stamp: number): number
  /** Whether a held lock is another's to take. */
  takesOver(lock: Lock, state: State, ref: Ref, nowMs: number, moved: (tags: readonly string[]) => boolean): boolean
  lockEndsMs(nowMs: number, lockMs: number): number
  ownsLock(lock: Lock, node: string, right: Right, method: 'fill' | 'unlock' | 'extend'): boolean
  releases(method: 'fill' | 'unlock', stored: boolean): boolean
  extended(lock: Lock | undefined, nowMs: number, lockMs: number): Lock | undefined
  /** Which of the held ones are extended. */
  extends<T>(held: readonly T[]): readonly T[]
  wakes(method: 'fill' | 'unlock', stored: boolean): boolean
  epochBump(state: State, node: string, nowMs: number, newEpoch: string): State
  prunesMs(maxTtlMs: number, maxLoadMs: number): number
  floorOf(before: number, deleted: number): number
  purges(fate: 'fresh' | 'stale' | 'gone', ofScope: boolean): boolean
  purged(count: number): number
  sameScope(scope: string, of: string): boolean
  epochTold(state: State | undefined): string | undefined
  /** Members. */
  hears(node: string, message: Message, by: string): boolean
  isPeer(node: string, author: string): boolean
  leaseLeftMs(endsMs: number, nowMs: number): number
  leaseEndsMs(nowMs: number, leaseMs: number): number
  joinsWithLease: boolean
  renewsBehind: boolean
  renewTells(state: State, first: string): string
  unknownMs(untilMs: number, nowMs: number): number
  /** Whether a renewal marks the registry as whole. */
  renewMarks: boolean
  marks: boolean
  leaves: boolean
  publishes(method: 'bump' | 'put', peers: number, unknownMs: number): boolean
  message(message: BumpMessage): BumpMessage
  /** Of the messages of one tick, those that are acked: by stamp. */
  acked(stamps: readonly string[]): readonly string[]
  ackTo(from: string, node: string): string
  tellsLost: boolean
  /** The order in which messages arrive. */
  next<T>(queue: T[]): T
}

/** Each step as it should be. */
export const goodSteps: Steps = {
  nowMs: (clock) => clock.monotonic(),
  gap: () => undefined,
  newEpoch: () => randomBytes(8).toString('hex'),
  tick: (clock, nowMs) => Math.max(clock + 1, Math.floor(nowMs * 1000)),
  nameOf: (name) => name,
  keyOf: (scope, key) => JSON.stringify([scope, key]),
  tagOf: (scope, tag) => JSON.stringify([scope, tag]),
  bumped: ({ tags }) => tags,
  isSoft: ({ soft = false }) => soft,
  putTags: ({ key }) => [`\u0001k${key}`],
  right: ({ epoch, clock }, atMs) => ({ epoch, stamp: clock, atMs }),
  isEpoch: (of, { epoch }) => of === epoch,
  moved: (tags, stamp, last) => tags.some((tag) => last(tag) > stamp),
  isFloored: (stamp, floor) => stamp < floor,
  isOver: ({ entry, storedMs }, nowMs) => storedMs + entry.ttlMs <= nowMs,
  graceMs: ({ entry }) => entry.graceMs,
  refreshes: (refresh = false) => refresh,
  isTooLate: ({ atMs }, nowMs, maxLoadMs) => nowMs - atMs > maxLoadMs,
  isNewer: (there, { stamp }) => there.stamp > stamp,
  stampOf: ({ stamp }) => stamp,
  stamped: (epoch, stamp) => `${epoch}:${stamp}`,
  tagsOf: ({ tags }) => tags,
  store: (entry) => entry,
  tell({ body, ...rest }, wanted) {
    return wanted && body !== undefined ? { ...rest, body } : rest
  },
  touch: (kept) => kept,
  putStamp: (stamp) => stamp,
  takesOver: (lock, { epoch }, ref, nowMs, moved) =>
    lock.endsMs <= nowMs || lock.epoch !== epoch || moved(ref.declared),
  lockEndsMs: (nowMs, lockMs) => nowMs + lockMs,
  ownsLock: (lock, node, { epoch, stamp }) => lock.node === node && lock.epoch === epoch && lock.stamp === stamp,
  releases: () => true,
  extended(lock, nowMs, lockMs) {
    if (lock === undefined || lock.endsMs <= nowMs) return undefined
    return { ...lock, endsMs: nowMs + lockMs }
  },
  extends: (held) => held,
  wakes: () => true,
  epochBump: (before, _node, nowMs, epoch) => ({ ...emptyState(epoch), clock: goodSteps.tick(before.clock, nowMs) }),
  prunesMs: (maxTtlMs, maxLoadMs) => maxTtlMs + maxLoadMs,
  floorOf: Math.max,
  purges: (fate, ofScope) => ofScope || fate === 'gone',
  purged: (count) => count,
  sameScope: (scope, of) => scope === of,
  epochTold: (state) => state?.epoch,
  hears: (node, message, by) => (message.kind === 'ack' ? message.to === node : node !== by),
  isPeer: (node, author) => node !== author,
  leaseLeftMs: (endsMs, nowMs) => endsMs - nowMs,
  leaseEndsMs: (nowMs, leaseMs) => nowMs + leaseMs,
  joinsWithLease: false,
  renewsBehind: true,
  renewTells: ({ epoch }) => epoch,
  unknownMs: (untilMs, nowMs) => Math.max(0, untilMs - nowMs),
  renewMarks: false,
  marks: true,
  leaves: true,
  publishes: (_, peers, unknownMs) => peers > 0 || unknownMs > 0,
  message: (message) => message,
  acked: (stamps) => stamps.slice(-1),
  ackTo: (from) => from,
  tellsLost: true,
  next: (queue) => queue.shift()!,
}

function emptyState(epoch: string): State {
  return { epoch, clock: 0, floor: 0, hard: new Map(), soft: new Map() }
}

/** All that one name has on the server. */
interface Server {
  state: State | undefined
  readonly entries: Map<string, { readonly ref: Ref; kept: Kept }>
  readonly locks: Map<string, Lock>
  readonly waiting: Set<string>
  /** By node, when its lease ends. With the marker, which a loss takes away. */
  leases: Map<string, number>
  marker: string | undefined
  unknownUntilMs: number
  readonly subscribers: Map<Subscriber, string>
  readonly queue: (() => void)[]
  /** What was made for nothing: a node's own count. */
  firstEpoch: string | undefined
}

interface Subscriber {
  readonly on: MemberEvents
}

/** A store of these steps, and what a test does to its server. */
export interface StoreOfSteps {
  readonly store: CacheStore
  lose(name: string, what: 'state' | 'members' | 'all'): Promise<void>
  cut(): Promise<void>
  jump(ms: number): Promise<void>
}

/** The store that these steps make. */
export function storeOfSteps(steps: Steps, clock: Clock): StoreOfSteps {
  const servers = new Map<string, Server>()
  let jumpedMs = 0
  const now = (): number => steps.nowMs(clock) + jumpedMs

  function serverOf(name: string): Server {
    const key = steps.nameOf(name)
    const server = servers.get(key) ?? newServer()
    servers.set(key, server)
    return server
  }

  return {
    store: { kind: 'memory', open: (name, o) => openTier(steps, now, () => serverOf(name), o) },
    async lose(name, what) {
      const server = serverOf(name)
      if (what !== 'members') server.state = undefined
      if (what !== 'state') {
        server.leases = new Map()
        server.marker = undefined
      }
      if (what === 'all') for (const each of [server.entries, server.locks, server.waiting]) each.clear()
    },
    async cut() {
      for (const { subscribers } of servers.values()) {
        const all = [...subscribers.keys()]
        subscribers.clear()
        for (const { on } of all) if (steps.tellsLost) on.lost()
      }
    },
    async jump(ms) {
      jumpedMs += ms
    },
  }
}

function newServer(): Server {
  return {
    state: undefined,
    entries: new Map(),
    locks: new Map(),
    waiting: new Set(),
    leases: new Map(),
    marker: undefined,
    unknownUntilMs: 0,
    subscribers: new Map(),
    queue: [],
    firstEpoch: undefined,
  }
}

function openTier(
  steps: Steps,
  now: () => number,
  serverOf: () => Server,
  {
    maxTtlMs,
    maxLoadMs,
    leaseMs: longestMs = LONGEST_LEASE_MS,
  }: { maxTtlMs: number; maxLoadMs: number; leaseMs?: number },
): CacheTier {
  const server = serverOf()

  function stateOf(node: string): State {
    server.state ??= emptyState(steps.newEpoch(node))
    server.firstEpoch ??= server.state.epoch
    return server.state
  }

  const last =
    (of: Map<string, number>, scope: string): Last =>
    (tag) =>
      of.get(steps.tagOf(scope, tag)) ?? -1
  /** Whether a tag was invalidated after `stamp`, and softly. */
  const moved = (state: State, scope: string, tags: readonly string[], stamp: number): boolean =>
    steps.moved(tags, stamp, last(state.hard, scope))
  const expired = (state: State, scope: string, tags: readonly string[], stamp: number): boolean =>
    steps.moved(tags, stamp, last(state.soft, scope))

  function fateOf(state: State, scope: string, kept: Kept): 'fresh' | 'stale' | 'gone' {
    const tags = steps.tagsOf(kept.entry)
    if (!steps.isEpoch(kept.epoch, state) || steps.isFloored(kept.stamp, state.floor)) return 'gone'
    if (moved(state, scope, tags, kept.stamp)) return 'gone'
    const soft = expired(state, scope, tags, kept.stamp)
    if (!soft && !steps.isOver(kept, now())) return 'fresh'
    const { ttlMs } = kept.entry
    const graceMs = steps.graceMs(kept, soft)
    return graceMs > 0 && kept.storedMs + ttlMs + graceMs > now() ? 'stale' : 'gone'
  }

  function told(kept: Kept, fate: 'fresh' | 'stale', body: boolean): Stored {
    const { entry, epoch, stamp, storedMs } = kept
    const ageMs = now() - storedMs
    const ttlMs = entry.ttlMs - ageMs
    return steps.tell(
      {
        ...(entry.body === undefined ? { value: entry.value } : { body: entry.body }),
        codec: entry.codec,
        tags: entry.tags,
        stamp: steps.stamped(epoch, stamp),
        fill: entry.fill,
        loadMs: entry.loadMs,
        ageMs,
        ttlMs: fate === 'fresh' ? ttlMs : Math.min(0, ttlMs),
      },
      body,
    )
  }

  function publish(message: Message, by = ''): void {
    for (const [subscriber, node] of server.subscribers) {
      if (!steps.hears(node, message, by)) continue
      later(() => {
        if (!server.subscribers.has(subscriber)) return
        if (message.kind === 'bump') subscriber.on.bump(steps.message(message.message))
        else if (message.kind === 'filled') subscriber.on.filled(message.scope, message.key)
        else subscriber.on.ack(message.stamp, message.node)
      })
    }
  }

  /** A message takes its time, and comes behind those before it. */
  function later(deliver: () => void): void {
    server.queue.push(deliver)
    setImmediate(() => setImmediate(() => steps.next(server.queue)()))
  }

  function release(ref: Ref, node: string, right: Right, method: 'fill' | 'unlock', stored: boolean): void {
    const key = steps.keyOf(ref.scope, ref.key)
    const lock = server.locks.get(key)
    if (lock === undefined || !steps.ownsLock(lock, node, right, method) || !steps.releases(method, stored)) return
    server.locks.delete(key)
    wake(ref, method, stored)
  }

  function wake({ scope, key }: Ref, method: 'fill' | 'unlock', stored: boolean): void {
    if (!server.waiting.delete(steps.keyOf(scope, key))) return
    if (steps.wakes(method, stored)) publish({ kind: 'filled', scope, key })
  }

  function mark(state: State, list: readonly Bumped[], stamp: number): void {
    for (const one of list) {
      const of = steps.isSoft(one) ? state.soft : state.hard
      for (const tag of steps.bumped(one)) of.set(steps.tagOf(one.scope ?? '', tag), stamp)
    }
    const oldest = (now() - steps.prunesMs(maxTtlMs, maxLoadMs)) * 1000
    for (const stamps of [state.hard, state.soft]) {
      for (const [tag, at] of stamps) {
        if (at >= oldest) continue
        stamps.delete(tag)
        state.floor = steps.floorOf(state.floor, at)
      }
    }
  }

  /** Who else may serve from memory, and tells them. */
  function announce(method: 'bump' | 'put', list: readonly Bumped[], stamp: string, from: string): BumpAnswer {
    if (steps.marks && server.marker === undefined) {
      server.marker = 'whole'
      server.unknownUntilMs = now() + longestMs
    }
    const unknownMs = steps.unknownMs(server.unknownUntilMs, now())
    const peers = [...server.leases]
      .map(([node, endsMs]) => ({ node, leaseLeftMs: steps.leaseLeftMs(endsMs, now()) }))
      .filter(({ node, leaseLeftMs }) => steps.isPeer(node, from) && leaseLeftMs > 0)
    if (steps.publishes(method, peers.length, unknownMs))
      publish({ kind: 'bump', message: { stamp, from, list } }, from)
    return { stamp, peers, unknownMs }
  }

  const tier: CacheTier = {
    coherence: 'leased',

    async read(refs, o) {
      const answers: (Hit | Miss)[] = []
      for (const ref of refs) {
        const key = steps.keyOf(ref.scope, ref.key)
        const gap = steps.gap('read')
        const before = server.locks.get(key)
        if (gap !== undefined) await gap
        const state = stateOf(o.node)
        const found = server.entries.get(key)
        if (found !== undefined) found.kept = steps.touch(found.kept, now())
        const fate = found === undefined ? 'gone' : fateOf(state, ref.scope, found.kept)
        if (fate === 'fresh' && !steps.refreshes(o.refresh)) {
          answers.push({ kind: 'hit', ...told(found!.kept, fate, o.body) })
          continue
        }
        const held = gap === undefined ? server.locks.get(key) : before
        const right = steps.right(state, now())
        let lock: Miss['lock'] = 'none'
        if (o.lockMs > 0) {
          const free =
            held === undefined ||
            steps.takesOver(held, state, ref, now(), (tags) => moved(state, ref.scope, tags, held.stamp))
          lock = free ? 'yours' : 'held'
          const { epoch, stamp } = right
          if (free) server.locks.set(key, { node: o.node, epoch, stamp, endsMs: steps.lockEndsMs(now(), o.lockMs) })
          else server.waiting.add(key)
        }
        const stale = fate === 'gone' ? {} : { stale: told(found!.kept, fate, o.body) }
        answers.push({ kind: 'miss', lease: JSON.stringify(right), lock, ...stale })
      }
      return answers
    },

    async fill(ref, lease, entry, node) {
      const right = JSON.parse(lease) as Right
      const key = steps.keyOf(ref.scope, ref.key)
      const decide = (): boolean => {
        const state = stateOf(node)
        const there = server.entries.get(key)?.kept
        const isBehind =
          there !== undefined && steps.isNewer(there, right) && fateOf(state, ref.scope, there) !== 'gone'
        return (
          steps.isEpoch(right.epoch, state) &&
          !steps.isFloored(right.stamp, state.floor) &&
          !moved(state, ref.scope, steps.tagsOf(entry), right.stamp) &&
          !steps.isTooLate(right, now(), maxLoadMs) &&
          !isBehind
        )
      }
      const stored = decide()
      const gap = steps.gap('fill')
      if (gap !== undefined) await gap
      if (stored) {
        const stamp = steps.stampOf(right, stateOf(node))
        const kept = { entry: steps.store(entry), epoch: stateOf(node).epoch, stamp, storedMs: now() }
        server.entries.set(key, { ref, kept })
      }
      release(ref, node, right, 'fill', stored)
      return { stored, stamp: steps.stamped(right.epoch, right.stamp) }
    },

    async put(ref, entry, node) {
      const state = stateOf(node)
      const stamp = steps.tick(state.clock, now())
      const gap = steps.gap('put')
      if (gap !== undefined) await gap
      state.clock = stamp
      const list = [{ scope: ref.scope, tags: steps.putTags(ref, entry) }]
      mark(state, list, stamp)
      const kept = { entry: steps.store(entry), epoch: state.epoch, stamp: steps.putStamp(stamp), storedMs: now() }
      server.entries.set(steps.keyOf(ref.scope, ref.key), { ref, kept })
      return announce('put', list, steps.stamped(state.epoch, stamp), node)
    },

    async bump(list, node) {
      let state = stateOf(node)
      if (list.some(({ epoch }) => epoch === true)) {
        state = server.state = steps.epochBump(state, node, now(), steps.newEpoch(node))
      }
      const stamp = steps.tick(state.clock, now())
      const gap = steps.gap('bump')
      if (gap !== undefined) await gap
      state.clock = stamp
      mark(state, list, stamp)
      return announce('bump', list, steps.stamped(state.epoch, stamp), node)
    },

    async unlock(ref, lease, node) {
      release(ref, node, JSON.parse(lease) as Right, 'unlock', false)
    },

    async extend(held, node, lockMs) {
      for (const { ref, lease } of steps.extends(held)) {
        const key = steps.keyOf(ref.scope, ref.key)
        const lock = server.locks.get(key)
        const right = JSON.parse(lease) as Right
        if (lock !== undefined && !steps.ownsLock(lock, node, right, 'extend')) continue
        const extended = steps.extended(lock ?? undefined, now(), lockMs)
        if (extended !== undefined) server.locks.set(key, extended)
      }
    },

    async join(node, { leaseMs, on }) {
      return memberOf(node, leaseMs, on)
    },

    async purge(scope) {
      let purged = 0
      const state = stateOf('')
      for (const [key, { ref, kept }] of server.entries) {
        const mine = scope === undefined || steps.sameScope(ref.scope, scope)
        if (!mine || !steps.purges(fateOf(state, ref.scope, kept), scope !== undefined)) continue
        server.entries.delete(key)
        purged++
      }
      return steps.purged(purged)
    },

    async ping() {},
    epoch: async () => steps.epochTold(server.state),
  }

  function memberOf(node: string, leaseMs: number, on: MemberEvents): Member {
    const subscriber = { on }
    server.subscribers.set(subscriber, node)
    const lease = (): void => void server.leases.set(node, steps.leaseEndsMs(now(), leaseMs))
    if (steps.joinsWithLease) lease()
    const owed = new Map<string, string[]>()
    return {
      async renew() {
        if (!server.subscribers.has(subscriber)) throw new Error('the subscription is lost')
        const state = stateOf(node)
        lease()
        if (steps.renewMarks) server.marker ??= 'whole'
        if (steps.renewsBehind) await new Promise<void>(later)
        return { epoch: steps.renewTells(state, server.firstEpoch!) }
      },
      ack({ from, stamp }) {
        if (owed.size === 0) {
          queueMicrotask(() => {
            for (const [author, stamps] of owed) {
              const to = steps.ackTo(author, node)
              for (const each of steps.acked(stamps)) publish({ kind: 'ack', to, stamp: each, node })
            }
            owed.clear()
          })
        }
        owed.set(from, [...(owed.get(from) ?? []), stamp])
      },
      async leave() {
        server.subscribers.delete(subscriber)
        if (steps.leaves) server.leases.delete(node)
      },
    }
  }

  return tier
}

type BumpAnswer = Awaited<ReturnType<CacheTier['bump']>>
