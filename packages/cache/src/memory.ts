import { randomBytes } from 'node:crypto'
import { checkOptions, opt, systemClock, type Clock } from '@keelson/kernel'
import { optionFailure } from './error.ts'
import { decodeKey } from './key.ts'
import { createL1, type L1, type L1Entry, type L1Limits, type L1Scope, type NewL1Entry } from './l1/l1.ts'
import { leaseOf, leaseText, type MemoryLease } from './lease.ts'
import { createLocks } from './locks.ts'
import type { Bump, BumpMessage, CacheStore, CacheTier, Entry, Hit, MemberEvents, Miss, Ref, Stored } from './store.ts'
import { keyTag } from './tag.ts'
import { mayFill } from './validity.ts'

const SPEC = { clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock) }
const DEFAULT_LIMITS: L1Limits = { maxEntries: 10_000, maxBytes: 64 * 2 ** 20 }
/** What most values were encoded by, had they been: of others it is remembered. */
const USUAL_CODEC = 'json'
/** What an entry takes over its key and value, about. */
const ENTRY_BYTES = 256

/** What is kept of an entry that came as bytes: other stores' contract, never this process's cache. */
class Encoded {
  readonly body: Uint8Array
  readonly codec: string

  constructor(body: Uint8Array, codec: string) {
    this.body = body
    this.codec = codec
  }
}

const codecs = new WeakMap<L1Entry, string>()
const l1s = new WeakMap<CacheTier, (limits?: L1Limits) => L1>()

/**
 * The memory that a tier of `memoryStore` keeps everything in: a cache over it has it as its own. The first call of a
 * tier decides its limits; 10,000 entries and 64 MB. Undefined of another store's tier.
 */
export function memoryL1(tier: CacheTier, limits?: L1Limits): L1 | undefined {
  return l1s.get(tier)?.(limits)
}

/**
 * Entries of one process, which end with it: the default. Caches of one name over one store share what they keep.
 * `clock` must be the caches'.
 * @throws CacheError OPTION_INVALID
 */
export function memoryStore(options: { readonly clock?: Clock } = {}): CacheStore {
  const { clock } = checkOptions('memoryStore', options, SPEC, optionFailure)
  const tiers = new Map<string, CacheTier>()
  return {
    kind: 'memory',
    open(name, { maxLoadMs }) {
      const tier = tiers.get(name) ?? createMemoryTier(clock, maxLoadMs)
      tiers.set(name, tier)
      return tier
    },
  }
}

/** The port as a model: one process, one thread, so each method is a step by itself. */
function createMemoryTier(clock: Clock, maxLoadMs: number): CacheTier {
  const members = new Map<string, MemberEvents>()
  const locks = createLocks()
  let epoch = newEpoch()
  let made: L1 | undefined
  const l1 = (limits = DEFAULT_LIMITS): L1 => (made ??= createL1(limits, { clock, maxLoadMs }))

  function miss(scope: L1Scope, ref: Ref, nowMs: number, o: { lockMs: number; node: string }): Miss {
    const right = { epoch, stamp: scope.generation, atMs: nowMs }
    const lease = leaseText(right)
    if (o.lockMs === 0) return { kind: 'miss', lease, lock: 'none' }
    const isOutdated = ({ stamp }: MemoryLease): boolean => scope.moved(ref.declared, stamp)
    return { kind: 'miss', lease, lock: locks.take(ref, { node: o.node, lease: right }, o.lockMs, isOutdated) }
  }

  /** With the stamp of that generation. False when a tag was invalidated since. */
  function keep(scope: L1Scope, at: number, ref: Ref, entry: Entry): boolean {
    const kept = scope.put(decodeKey(ref.key), at, newEntry(ref, entry, String(at), clock.monotonic()))
    if (kept !== undefined && entry.codec !== USUAL_CODEC) codecs.set(kept, entry.codec)
    return kept !== undefined
  }

  function wake(scope: string, key: string, nodes: Iterable<string>): void {
    for (const node of nodes) members.get(node)?.filled(scope, key)
  }

  /** `list` was applied here before this: all that reads goes through this process. */
  function tell(stamp: string, from: string, list: BumpMessage['list']): Bump {
    for (const [node, on] of members) if (node !== from) on.bump({ stamp, from, list })
    return { stamp, peers: [], unknownMs: 0 }
  }

  const tier: CacheTier = {
    coherence: 'exclusive',

    async read(refs, { lockMs, node, body, refresh = false }) {
      const nowMs = clock.monotonic()
      return refs.map((ref): Hit | Miss => {
        const scope = l1().scope(ref.scope)
        const entry = scope.get(decodeKey(ref.key))
        const stored = entry === undefined || entry.goneMs <= nowMs ? undefined : storedOf(entry, nowMs, body)
        if (stored !== undefined && stored.ttlMs > 0 && !refresh) return { kind: 'hit', ...stored }
        const missed = miss(scope, ref, nowMs, { lockMs, node })
        return stored === undefined ? missed : { ...missed, stale: stored }
      })
    },

    async fill(ref, lease, entry, node) {
      const scope = l1().scope(ref.scope)
      const key = decodeKey(ref.key)
      const nowMs = clock.monotonic()
      const own = leaseOf(lease)
      const stamp = String(own.stamp)
      const stored =
        mayFill(own, { epoch, nowMs, maxLoadMs, storedStamp: Number(scope.get(key)?.stamp ?? 0) }) &&
        keep(scope, own.stamp, ref, entry)
      wake(ref.scope, ref.key, locks.release(ref, { node, lease: own }))
      return { stored, stamp }
    },

    async put(ref, entry, node) {
      const scope = l1().scope(ref.scope)
      const tags = [keyTag(ref.key)]
      scope.bump(tags)
      const stamp = String(scope.generation)
      keep(scope, scope.generation, ref, entry)
      wake(ref.scope, ref.key, locks.waiting(ref))
      return tell(stamp, node, [{ scope: ref.scope, tags }])
    },

    async bump(list, node) {
      if (list.some((one) => one.epoch)) {
        epoch = newEpoch()
        l1().drop()
      }
      for (const { scope, tags, soft } of list) if (scope !== undefined) l1().scope(scope).bump(tags, soft)
      return tell(String(l1().generation), node, list)
    },

    async unlock(ref, lease, node) {
      wake(ref.scope, ref.key, locks.release(ref, { node, lease: leaseOf(lease) }))
    },

    async extend(held, node, lockMs) {
      const nowMs = clock.monotonic()
      for (const { ref, lease } of held) locks.extend(ref, { node, lease: leaseOf(lease) }, nowMs, lockMs)
    },

    async join(node, { on }) {
      members.set(node, on)
      return {
        renew: async () => ({ epoch }),
        ack: ({ from, stamp }) => members.get(from)?.ack(stamp, node),
        async leave() {
          if (members.get(node) === on) members.delete(node)
        },
      }
    },

    purge: async (scope) => l1().purge(scope),
    async ping() {},
    epoch: async () => epoch,
  }
  l1s.set(tier, l1)
  return tier
}

function newEntry(ref: Ref, entry: Entry, stamp: string, nowMs: number): NewL1Entry {
  const { value, body, bytes = body?.byteLength ?? 0, codec, tags, fill, ttlMs, graceMs, loadMs } = entry
  return {
    value: body === undefined ? value : new Encoded(new Uint8Array(body), codec),
    bytes: bytes + ref.key.length + ENTRY_BYTES,
    tags,
    stamp,
    fill,
    loadMs,
    storedMs: nowMs,
    endsMs: nowMs + ttlMs,
    goneMs: nowMs + ttlMs + graceMs,
  }
}

function storedOf(entry: L1Entry, nowMs: number, withBody: boolean): Stored {
  const { value, stamp, fill, loadMs, storedMs, endsMs } = entry
  const encoded = value instanceof Encoded ? value : undefined
  const content = encoded === undefined ? { value } : { body: new Uint8Array(encoded.body) }
  return {
    ...(withBody ? content : {}),
    codec: encoded?.codec ?? codecs.get(entry) ?? USUAL_CODEC,
    tags: entry.tags(),
    stamp,
    fill,
    loadMs,
    ageMs: nowMs - storedMs,
    ttlMs: endsMs - nowMs,
  }
}

function newEpoch(): string {
  return randomBytes(8).toString('base64url')
}
