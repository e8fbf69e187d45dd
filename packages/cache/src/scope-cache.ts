import { tracingChannel } from 'node:diagnostics_channel'
import { traced, type Duration } from '@keelson/kernel'
import type { Cache } from './cache.ts'
import { dropEffect, type DropEffect } from './drop-effect.ts'
import { versionOf, type Entries } from './entries.ts'
import { checkEntryOptions, type EntryOptions, type Policy } from './entry-options.ts'
import { CacheError } from './error.ts'
import { isEarly } from './early.ts'
import { groupLoad } from './group-load.ts'
import { encodeKey, type Key, type KeyPart } from './key.ts'
import type { L1Entry } from './l1/l1.ts'
import type { Loader } from './loads.ts'
import type { Dropped, Lookup } from './lookup.ts'
import type { Lookups } from './lookups.ts'
import { READ_OF, type CacheMetrics, type ReadResult, type ReadTier } from './metrics.ts'
import type { CheckedOptions } from './options.ts'
import type { ScopeState } from './scope-state.ts'
import type { Bump, Bumped, DropLog, Entry, Ref } from './store.ts'
import { prefixParts, checkTags, keyOf, SCOPE_TAG } from './tag.ts'

/** What the caches of all scopes share. */
export interface CacheParts {
  readonly options: CheckedOptions
  readonly lookups: Lookups
  readonly entries: Entries
  readonly metrics: CacheMetrics
  readonly lease: Readonly<{ endsMs: number }>
  /** All invalidations go through this process. */
  readonly exclusive: boolean
  readonly log: DropLog | undefined
  readonly inProcess: boolean
  checkOpen(): void
  /** A read of the shared tier was needed. */
  counted(): void
  /** Rejects with STORE_UNAVAILABLE. Answers the stamp. */
  invalidate(list: readonly Bumped[]): Promise<string>
  put(ref: Ref, entry: Entry): Promise<Bump>
  /** After the commit of a drop. */
  applyDrop(list: readonly Bumped[], ids: readonly string[], operation: string): Promise<void>
}

const MAX_KEYS = 1_000
const readChannel = tracingChannel('keelson:cache:read')

/** What listeners are told of a read; `result` and `error` are those of the channel. */
interface ReadMessage {
  readonly cache: string
  readonly tier: ReadTier
  outcome?: ReadResult
}

/** @param causal Reads that must know of a stamp: nothing that began earlier will do. */
export function scopeCache(parts: CacheParts, state: ScopeState, causal = false): Cache {
  const { options, lookups, entries, metrics, lease } = parts
  const { clock } = options
  const scope = state.name
  const skipsMemory = causal && !parts.exclusive
  /** Of the newest look into memory: a hit reads the clock once. */
  let hitAtMs = 0

  /** What may be served from this process's memory. One clock read. */
  function local(key: Key): L1Entry | undefined {
    if (state.l1 === undefined || skipsMemory || (typeof key !== 'string' && !Array.isArray(key))) return undefined
    hitAtMs = clock.monotonic()
    if (hitAtMs >= lease.endsMs) return undefined
    const entry = state.l1.get(key)
    return entry !== undefined && hitAtMs < entry.endsMs ? entry : undefined
  }

  function policyOf(o: Duration | EntryOptions | undefined): Policy {
    return checkEntryOptions('a cache entry', o, options)
  }

  /** The slow half of a lookup, counted. */
  async function found(key: Key, loader: Loader, o: Duration | EntryOptions | undefined): Promise<Lookup<unknown>> {
    parts.checkOpen()
    checkFunction('a loader', loader)
    const policy = policyOf(o)
    const asked = lookups.asked(state, key, policy)
    return shared(async (message) => {
      const result = await lookups.find(asked, loader, policy, causal)
      const [tier, outcome] = READ_OF[result.state]
      message.outcome = outcome
      metrics.read(tier, outcome)
      return result
    })
  }

  /** A hit in memory, counted; one with a loader may be refreshed before its time. */
  function hit(entry: L1Entry, key: Key, loader?: Loader, o?: Duration | EntryOptions): unknown {
    metrics.l1.hits++
    if (loader !== undefined && isEarly(entry.endsMs - hitAtMs, entry.loadMs, options.early, options.random)) {
      const policy = policyOf(o)
      lookups.refresh(lookups.asked(state, key, policy), loader, policy)
    }
    return entries.handOut(entry.value)
  }

  async function read(key: Key, body: boolean): Promise<Lookup<unknown> | undefined> {
    parts.checkOpen()
    const asked = lookups.asked(state, key, undefined)
    return shared(async (message) => {
      const result = await lookups.read(asked, body)
      message.outcome = result === undefined ? 'miss' : 'hit'
      metrics.read('l2', message.outcome)
      return result
    })
  }

  /** A read that this process's memory did not answer, told to who listens. */
  function shared<T>(read: (message: ReadMessage) => Promise<T>): Promise<T> {
    const message: ReadMessage = { cache: options.name, tier: 'l2' }
    parts.counted()
    return traced(
      'cache:read',
      () => message,
      () => read(message),
    )
  }

  async function drop(list: readonly Bumped[], tags: readonly string[]): Promise<Dropped> {
    parts.checkOpen()
    return { stamp: await parts.invalidate(list), tags }
  }

  /** @throws CacheError TAG_INVALID, also for what no entry can have as a tag: it would invalidate nothing */
  function given(tags: readonly string[], what: string): readonly string[] {
    if (tags.length === 0) throw new CacheError('TAG_INVALID', `${what}() needs at least one tag`)
    const checked = checkTags(tags, { implicit: true })
    const deepest = Math.max(...checked.map(prefixParts))
    if (deepest <= options.prefixDepth) return checked
    throw new CacheError(
      'TAG_INVALID',
      `${what}(): prefix() has at most "prefixDepth" parts, ${options.prefixDepth} (got ${deepest})`,
    )
  }

  function checkKeys(keys: readonly Key[]): void {
    parts.checkOpen()
    if (Array.isArray(keys) && keys.length <= MAX_KEYS) return
    const got = Array.isArray(keys) ? keys.length : typeof keys
    throw new CacheError('INPUT_INVALID', `keys must be an array of at most ${MAX_KEYS} (got ${got})`)
  }

  const heard = (): boolean => readChannel.hasSubscribers

  /** The hit, told to who listens. */
  function told<T>(value: T): Promise<T> {
    if (!heard()) return Promise.resolve(value)
    const message: ReadMessage = { cache: options.name, tier: 'l1', outcome: 'hit' }
    return traced(
      'cache:read',
      () => message,
      () => Promise.resolve(value),
    )
  }

  const cache: Cache = {
    name: scope,

    getOrSet<T>(key: Key, loader: Loader, o?: Duration | EntryOptions): Promise<T> {
      const entry = local(key)
      if (entry !== undefined) return told(hit(entry, key, loader, o) as T)
      return found(key, loader, o).then(({ value }) => entries.handOut(value) as T)
    },

    async lookup<T>(key: Key, loader: Loader, o?: Duration | EntryOptions): Promise<Lookup<T>> {
      const entry = local(key)
      if (entry !== undefined) {
        const about = entries.fromL1(entry, hitAtMs)
        return { ...about, value: (await told(hit(entry, key, loader, o))) as T }
      }
      const result = await found(key, loader, o)
      return { ...result, value: entries.handOut(result.value) as T }
    },

    async get<T>(key: Key) {
      const entry = local(key)
      if (entry !== undefined) return told(hit(entry, key) as T)
      const result = await read(key, true)
      return result === undefined ? undefined : (entries.handOut(result.value) as T)
    },

    async has(key) {
      if (local(key) !== undefined) return told(true)
      return (await read(key, false)) !== undefined
    },

    peek<T>(key: Key) {
      const entry = local(key)
      if (entry !== undefined) return hit(entry, key) as T
      encodeKey(key)
      return undefined
    },

    async getMany<T>(keys: readonly Key[]) {
      checkKeys(keys)
      return Promise.all(keys.map(async (key) => cache.get<T>(key)))
    },

    async getOrSetMany<T>(
      keys: readonly Key[],
      load: (missing: readonly Key[]) => Promise<readonly T[]>,
      o?: EntryOptions<T>,
    ) {
      checkKeys(keys)
      checkFunction('load', load)
      const loadOne = groupLoad(load)
      return Promise.all(keys.map(async (key) => cache.getOrSet<T>(key, () => loadOne(key), o)))
    },

    async set(key, value, o) {
      parts.checkOpen()
      const policy = policyOf(o)
      const { ref } = lookups.asked(state, key, policy)
      if (value === undefined) throw new CacheError('VALUE_UNSUPPORTED', 'undefined cannot be stored: use delete()')
      const tags = typeof policy.tags === 'function' ? checkTags(policy.tags(value), { implicit: false }) : []
      const packed = entries.pack(value, [...new Set([...ref.declared, ...tags])], { policy, loadMs: 0 })
      const { stamp } = await parts.put(ref, packed.entry)
      return { stamp, tags: [keyOf(key)] }
    },

    async delete(...keys: Key[]) {
      const tags = given(keys.map(keyOf), 'delete')
      return drop([{ scope, tags }], tags)
    },

    async invalidate(...tags) {
      const checked = given(tags, 'invalidate')
      return drop([{ scope, tags: checked }], checked)
    },

    clear: async () => drop([{ scope, tags: [SCOPE_TAG] }], []),

    async expire(...tags) {
      const checked = given(tags, 'expire')
      return drop([{ scope, tags: checked, soft: true }], checked)
    },

    drop(...tags): DropEffect {
      parts.checkOpen()
      const checked = given(tags, 'drop')
      return dropEffect({
        name: options.name,
        scope,
        tags: checked,
        log: parts.log,
        inProcess: parts.inProcess,
        apply: (ids, { operationId }) => parts.applyDrop([{ scope, tags: checked }], ids, operationId),
      })
    },

    async fresh(key, version) {
      const entry = local(key)
      if (entry !== undefined && versionOf(entry) === version) return told(true)
      return (await read(key, false))?.version === version
    },

    wrap<A extends (KeyPart | undefined)[], T>(name: string, fn: (...args: A) => Promise<T>, o?: EntryOptions<T>) {
      encodeKey([name])
      checkFunction('what is wrapped', fn)
      policyOf(o)
      return function (this: unknown, ...args: A) {
        // A parameter that is left out, or given as undefined, is one call.
        const parts = args.slice(0, args.findLastIndex((arg) => arg !== undefined) + 1) as KeyPart[]
        return cache.getOrSet<T>([name, ...parts], () => fn.apply(this, args), o)
      }
    },

    at(stamp) {
      if (typeof stamp === 'string' && stamp !== '') return scopeCache(parts, state, true)
      throw new CacheError('INPUT_INVALID', `at() needs a stamp of this cache (got ${typeof stamp})`)
    },
  }
  return cache
}

function checkFunction(what: string, given: unknown): void {
  if (typeof given !== 'function')
    throw new CacheError('INPUT_INVALID', `${what} must be a function (got ${typeof given})`)
}
