import { isKeelsonError, traced, type Clock, type Logger } from '@keelson/kernel'
import { UNREADABLE, type Entries } from './entries.ts'
import type { Policy } from './entry-options.ts'
import { isEarly } from './early.ts'
import { Flight } from './flight.ts'
import type { GuardedTier } from './guarded-tier.ts'
import { encodeKey, type Key } from './key.ts'
import type { LoadLocks } from './load-locks.ts'
import type { Loaded, Loader, RunLoad } from './loads.ts'
import type { Lookup } from './lookup.ts'
import type { CacheMetrics } from './metrics.ts'
import type { ReadBatch } from './read-batch.ts'
import type { Bypass, ScopeState } from './scope-state.ts'
import type { Coherence, Hit, Miss, Ref } from './store.ts'
import { allTags, checkTags, implicitTags } from './tag.ts'

/** One key of one scope, as a call names it. */
interface Asked {
  readonly state: ScopeState
  readonly key: Key
  readonly ref: Ref
}

/** Reads that load what is missing. */
export interface Lookups {
  asked(state: ScopeState, key: Key, policy: Policy | undefined): Asked
  /**
   * The value, out of the shared tier or loaded: what this process's memory did not have. A causal caller knows of
   * something that this node may not have heard of.
   */
  find(asked: Asked, loader: Loader, policy: Policy, causal: boolean): Promise<Lookup<unknown>>
  /** Without a load; undefined of a miss and while the store is away. Without `body` it has no value. */
  read(asked: Asked, body: boolean): Promise<Lookup<unknown> | undefined>
  /** Loads a valid entry anew, unless somebody does so already. */
  refresh(asked: Asked, loader: Loader, policy: Policy): void
}

export function createLookups(o: {
  readonly shared: GuardedTier
  readonly reads: ReadBatch
  readonly entries: Entries
  readonly locks: LoadLocks
  readonly runLoad: RunLoad
  readonly metrics: CacheMetrics
  readonly lease: Readonly<{ endsMs: number }>
  readonly coherence: Coherence
  readonly node: string
  readonly name: string
  readonly early: number
  readonly prefixDepth: number
  readonly random: () => number
  readonly clock: Clock
  readonly logger: Logger
}): Lookups {
  const { shared, reads, entries, locks, runLoad, metrics, lease, coherence, node, name, clock, logger } = o

  function asked(state: ScopeState, key: Key, policy: Policy | undefined): Asked {
    const encoded = encodeKey(key)
    const tags = implicitTags(key, encoded, o.prefixDepth)
    const known = Array.isArray(policy?.tags) ? [...tags, ...(policy.tags as readonly string[])] : tags
    return { state, key, ref: { scope: state.name, key: encoded, declared: known } }
  }

  /** While this node would know of an invalidation, whatever began after the last one may be shared. */
  function joinable(state: ScopeState, flight: Flight, causal: boolean): boolean {
    if (flight.ended) return false
    if (flight.born === undefined) return true
    return !causal && clock.monotonic() < lease.endsMs && flight.born === state.l1?.generation
  }

  async function find(ask: Asked, loader: Loader, policy: Policy, causal: boolean): Promise<Lookup<unknown>> {
    const { state, ref } = ask
    policy.signal?.throwIfAborted()
    const running = state.flights.get(ref.key)
    if (running !== undefined && joinable(state, running, causal)) {
      if (running.stale !== undefined) return running.stale
      const found = await running.wait(policy.signal)
      return found.state === 'loaded' ? { ...found, state: 'joined' } : found
    }
    const flight = new Flight()
    const waiting = flight.wait(policy.signal)
    take(ask, flight, loader, policy)
    return waiting
  }

  /** Lets a flight go its way; it is the newest of its key until it ends. */
  function take(ask: Asked, flight: Flight, loader: Loader, policy: Policy): void {
    const { flights } = ask.state
    const { key } = ask.ref
    flights.set(key, flight)
    fly(ask, flight, loader, policy, false)
      .catch((error: unknown) => flight.answer.reject(error))
      .finally(() => {
        flight.ended = true
        if (flights.get(key) === flight) flights.delete(key)
        ask.state.wakeUps.wake(key)
      })
  }

  async function fly(ask: Asked, flight: Flight, loader: Loader, policy: Policy, refreshes: boolean): Promise<void> {
    const { state, ref } = ask
    let asMiss = refreshes
    let unreadable = false
    for (;;) {
      let found: Hit | Miss
      let at = 0
      const lock = !state.backoffs.holds(ref.key, clock.monotonic())
      try {
        const sent = (): void => {
          at = state.l1?.generation ?? 0
          flight.born = at
        }
        found = await askTier(ask, { lock, refresh: asMiss }, sent)
      } catch {
        return refreshes ? undefined : bypass(ask, flight, loader, policy)
      }
      if (found.kind === 'hit') {
        const value = await entries.open(found, policy)
        if (value !== UNREADABLE) {
          entries.keep(state, ask.key, at, value, found)
          flight.answer.resolve(entries.fromStore(found, value, 'l2'))
          if (isEarly(found.ttlMs, found.loadMs, o.early, o.random)) refresh(ask, loader, policy)
          return
        }
        // It is asked for again as a miss: a lease comes only with one.
        asMiss = unreadable = true
        continue
      }
      if (found.stale !== undefined && !unreadable) {
        const value = await entries.open(found.stale, policy)
        if (value !== UNREADABLE) flight.stale = entries.fromStore(found.stale, value, 'stale')
      }
      if (found.lock === 'yours') return load(ask, flight, found, at, loader, policy)
      if (flight.stale !== undefined) return flight.answer.resolve(flight.stale)
      if (refreshes || flight.abandoned) return
      asMiss = unreadable = false
      flight.born = undefined
      // A backoff ends with the stale data that it was for.
      if (found.lock === 'none') state.backoffs.delete(ref.key)
      else await state.wakeUps.wait(ref.key, clock)
    }
  }

  /** Under 'validated' the memory has the body: only whether it is still true is asked. */
  async function askTier(
    ask: Asked,
    { lock, refresh }: { lock: boolean; refresh: boolean },
    sent: () => void,
  ): Promise<Hit | Miss> {
    const local = coherence === 'validated' && !refresh ? ask.state.l1?.get(ask.key) : undefined
    if (local !== undefined) {
      const found = await reads.read(ask.ref, { lock, body: false, refresh }, sent)
      const { kind } = found
      const stored = kind === 'miss' ? found.stale : found
      const isOurs = stored?.stamp === local.stamp && stored.fill === local.fill
      if (kind === 'hit' && isOurs) return { ...found, value: local.value }
      if (kind === 'miss') {
        const { stale: _, ...miss } = found
        return isOurs ? { ...miss, stale: { ...found.stale!, value: local.value } } : miss
      }
    }
    return reads.read(ask.ref, { lock, body: true, refresh }, sent)
  }

  async function load(
    { state, key, ref }: Asked,
    flight: Flight,
    { lease: right }: Miss,
    at: number,
    loader: Loader,
    policy: Policy,
  ): Promise<void> {
    if (flight.abandoned) return void shared.call((tier) => tier.unlock(ref, right, node)).catch(() => {})
    const release = locks.hold(ref, right)
    const soft = softly(flight, policy)
    let filled = false
    try {
      const loaded = await runLoad(flight, loader, policy)
      const packed = pack(ref, loaded, policy)
      if (packed === undefined) {
        flight.answer.resolve(unstored(loaded.value, 'loaded'))
        return
      }
      const { stored, stamp } = await traced(
        'cache:fill',
        () => ({ cache: name }),
        () => shared.call((tier) => tier.fill(ref, right, packed.entry, node)),
      ).catch(() => ({ stored: undefined, stamp: '' }))
      filled = stored !== undefined
      if (stored === true) entries.keep(state, key, at, packed.value, { entry: packed.entry, stamp })
      if (stored === false) metrics.fillsRefused.inc(metrics.labels)
      state.backoffs.delete(ref.key)
      const { entry, value } = packed
      const found = entries.fromStore({ ...entry, stamp, ageMs: 0, ttlMs: entry.ttlMs }, value, 'loaded')
      flight.answer.resolve(stored === true ? found : { ...found, version: '' })
    } catch (error) {
      if (flight.stale === undefined || flight.abandoned) throw error
      state.backoffs.add(ref.key, clock.monotonic())
      flight.answer.resolve(flight.stale)
    } finally {
      soft?.cancel()
      release()
      if (!filled) await shared.call((tier) => tier.unlock(ref, right, node)).catch(() => {})
    }
  }

  /** Undefined for what is not to be stored, or cannot be. @throws CacheError TAG_INVALID */
  function pack(ref: Ref, { value, notes, loadMs }: Loaded, policy: Policy) {
    if (value === undefined || notes.skipped) return undefined
    const told = typeof policy.tags === 'function' ? checkTags(policy.tags(value), { implicit: false }) : []
    const more = [...told, ...notes.tags]
    const tags = more.length === 0 ? ref.declared : allTags(ref.declared, more)
    try {
      return entries.pack(value, tags, { policy, notes, loadMs })
    } catch (error) {
      if (!isKeelsonError(error, 'VALUE_UNSUPPORTED')) throw error
      metrics.unsupported.inc(metrics.labels)
      logger.warn({ err: error, cache: name }, 'a loaded value was not stored')
      return undefined
    }
  }

  /** After `softTimeout` those who wait get stale data; the load goes on. */
  function softly(flight: Flight, { softTimeout }: Policy): { cancel(): void } | undefined {
    const { stale } = flight
    if (stale === undefined || softTimeout === undefined) return undefined
    if (softTimeout > 0) return clock.timer(() => flight.answer.resolve(stale), softTimeout, { ref: true })
    flight.answer.resolve(stale)
    return undefined
  }

  /** The store is away: load, nothing is stored, and only who came before a load began has its value. */
  async function bypass({ state, ref }: Asked, flight: Flight, loader: Loader, policy: Policy): Promise<void> {
    const { flights, bypasses } = state
    const before = bypasses.get(ref.key)
    if (before?.queued?.abandoned === false) {
      // Whoever comes from here on may come after that load began.
      flight.ended = true
      return flight.answer.resolve(await before.queued.wait(undefined))
    }
    if (before !== undefined) {
      before.queued = flight
      await before.running.catch(() => {})
    }
    flight.ended = true
    if (flights.get(ref.key) === flight) flights.delete(ref.key)
    if (flight.abandoned) {
      if (before?.queued === flight) bypasses.delete(ref.key)
      return
    }
    const running = runLoad(flight, loader, policy)
    const mine: Bypass = { running, queued: undefined }
    bypasses.set(ref.key, mine)
    try {
      const { value } = await running
      flight.answer.resolve(unstored(value, 'bypass'))
    } finally {
      if (mine.queued === undefined) bypasses.delete(ref.key)
    }
  }

  function refresh(ask: Asked, loader: Loader, policy: Policy): void {
    const { refreshing } = ask.state
    const { key } = ask.ref
    if (refreshing.has(key)) return
    refreshing.add(key)
    // Nobody joins it: the entry is still valid.
    const flight = new Flight()
    flight.keep()
    fly(ask, flight, loader, policy, true)
      .catch(() => {})
      .finally(() => {
        refreshing.delete(key)
        ask.state.wakeUps.wake(key)
      })
  }

  /** A value that no store has. */
  function unstored(value: unknown, state: 'loaded' | 'bypass'): Lookup<unknown> {
    return { value: entries.own(value), version: '', stamp: '', tags: [], age: 0, ttl: 0, state }
  }

  return {
    asked,
    find,
    async read(ask, body) {
      const { state } = ask
      let at = 0
      const sent = (): void => void (at = state.l1?.generation ?? 0)
      let found: Hit | Miss
      try {
        found = body
          ? await askTier(ask, { lock: false, refresh: false }, sent)
          : await reads.read(ask.ref, { lock: false, body, refresh: false }, sent)
      } catch {
        return undefined
      }
      if (found.kind === 'miss') return undefined
      const value = body ? await entries.open(found, undefined) : undefined
      if (value === UNREADABLE) return undefined
      if (body) entries.keep(state, ask.key, at, value, found)
      return entries.fromStore(found, value, 'l2')
    },
    refresh,
  }
}
