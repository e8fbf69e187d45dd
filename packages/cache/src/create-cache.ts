import { randomBytes } from 'node:crypto'
import {
  checkOptions,
  context,
  createStoreGuard,
  isScope,
  opt,
  traced,
  type Duration,
  type StoreGuard,
} from '@keelson/kernel'
import type { Caches, CacheStatus } from './caches.ts'
import { createEntries } from './entries.ts'
import { CacheError, optionFailure } from './error.ts'
import type { Flight } from './flight.ts'
import { createGate } from './gate.ts'
import { createGuardedTier } from './guarded-tier.ts'
import { createInvalidations } from './invalidations.ts'
import { createL1, type L1 } from './l1/l1.ts'
import { createLoadLocks } from './load-locks.ts'
import { createRunLoad } from './loads.ts'
import { createLookups } from './lookups.ts'
import { memoryL1 } from './memory.ts'
import { createMembership } from './membership.ts'
import { createCacheMetrics } from './metrics.ts'
import { checkCacheOptions, type CacheOptions } from './options.ts'
import { createPaidRows } from './paid-rows.ts'
import { createReadBatch } from './read-batch.ts'
import { bumpsOf, createRelay } from './relay.ts'
import { scopeCache, type CacheParts } from './scope-cache.ts'

import { createScopeStates } from './scope-states.ts'
import type { Bumped, CacheStore, DropLog } from './store.ts'
import { isImplicit } from './tag.ts'
import { createValues } from './value-codec.ts'

const SETTLE = { operation: opt.string() }
const STOP = { drain: opt.duration('5s') }
const RUN_ONCE = { budget: opt.duration('10s') }
/** So many reads over a shared store without `start()` are worth a word. */
const UNSTARTED_READS = 1_000
/** How often `stop` looks whether all is done. */
const LOOK_MS = 20
/** Rows that one step of `settle` applies. */
const SETTLE_ROWS = 1_000

/**
 * A cache with tags over a store that all nodes share. Correct at once; it serves from this process's memory, and
 * relays the drops of dead processes, after `start()`.
 * @throws CacheError OPTION_INVALID
 */
export function createCache(given: CacheOptions): Caches {
  const o = checkCacheOptions(given)
  const { name, store, clock, logger } = o
  const node = randomBytes(9).toString('base64url')
  const tier = store.open(name, { maxTtlMs: o.maxTtl, maxLoadMs: o.maxLoad, leaseMs: o.lease })
  const inProcess = store.kind === 'memory'
  const exclusive = tier.coherence === 'exclusive'
  const log: DropLog | undefined = o.log ?? (isDropLog(store) ? store : undefined)
  // Rows of the tier's own log are what makes entries invalid: nobody has to apply them.
  const relayed = inProcess || log === (store as unknown) ? undefined : log
  const l1 = memoryOf()
  const states = createScopeStates(l1)
  const loads = new Set<Flight>()
  let running = false
  let closed = false
  let unstartedReads = 0
  let turn: Promise<void> = Promise.resolve()

  const metrics = createCacheMetrics(name, {
    owed: () => invalidations.owed,
    logOldestMs: () => relay?.oldestMs ?? 0,
    entries: () => l1?.entries ?? 0,
    bytes: () => l1?.bytes ?? 0,
    leaseHeld: () => clock.monotonic() < lease.endsMs,
    evictions: () => l1?.evictions ?? 0,
  })
  const guard = guardOf(`cache ${name}`, async () => tier.ping())
  const logGuard = relayed === undefined ? undefined : guardOf(`log of cache ${name}`)
  const shared = createGuardedTier(tier, guard, metrics)

  /** Of a store in this process it is the store's own. */
  function memoryOf(): L1 | undefined {
    if (inProcess) return memoryL1(tier, o.l1 || undefined)
    return o.l1 === false ? undefined : createL1(o.l1, { clock, maxLoadMs: o.maxLoad })
  }

  function guardOf(name: string, ping?: () => Promise<unknown>): StoreGuard {
    return createStoreGuard({ name, timeout: o.storeTimeout, maxPending: 10_000, clock, logger, ...(ping && { ping }) })
  }

  /** What was invalidated leaves this process's memory. */
  function apply(list: readonly Bumped[]): void {
    // The store does it: this memory is its own.
    if (inProcess) return
    for (const { scope, tags, soft, epoch } of list) {
      if (epoch === true) l1?.drop()
      else if (scope !== undefined) l1?.scope(scope).bump(tags, soft)
    }
  }

  const invalidations = createInvalidations({
    shared,
    node,
    strong: o.coherence === 'strong',
    apply,
    clock,
    logger,
  })
  const gate = createGate({
    reachable: () => shared.up,
    owes: () => invalidations.owed > 0,
    pay: () => invalidations.pay(),
    // For many callers, with the deadline of none.
    settle: () => context.resume({}, () => settle({})),
  })
  const membership = createMembership({
    tier,
    shared,
    gate,
    node,
    leaseMs: o.lease,
    on: { bump: ({ list }) => apply(list), filled, ack: invalidations.heard },
    forget: () => l1?.drop(),
    clock,
    logger,
  })
  /** A load has ended elsewhere. */
  function filled(scope: string, key: string): void {
    const state = states.find(scope)
    if (state !== undefined) lookups.wake(state, key)
  }

  // Several caches over one store in this process hear of each other's loads.
  const ears = exclusive
    ? tier.join?.(node, { leaseMs: o.lease, on: { bump() {}, filled, ack() {}, lost() {} } })
    : undefined
  // Whoever is told of every invalidation needs no lease.
  const lease = exclusive ? { endsMs: Infinity } : membership.lease
  const isMember = tier.join !== undefined && l1 !== undefined && joins()

  function joins(): boolean {
    if (exclusive) return false
    return tier.coherence === 'leased' || o.coherence === 'bounded'
  }

  const reads = createReadBatch({ shared, gate, node, lockMs: o.lockTtl })
  const locks = createLoadLocks({ shared, node, lockMs: o.lockTtl, maxLoadMs: o.maxLoad, clock })
  const entries = createEntries({
    values: createValues(o.codec, o.compressAbove),
    // Of other codecs come values that freezing does not protect: Map, Date.
    share: o.share === 'freeze' && o.codec !== 'json' ? 'clone' : o.share,
    inProcess,
    jitter: o.jitter,
    random: o.random,
    metrics,
    clock,
    logger,
  })
  const runLoad = createRunLoad({
    name,
    metrics,
    running: loads,
    maxTtl: o.maxTtl,
    handOut: entries.handOut,
    clock,
    logger,
  })
  const lookups = createLookups({
    shared,
    reads,
    entries,
    locks,
    runLoad,
    metrics,
    lease,
    coherence: tier.coherence,
    node,
    name,
    early: o.early,
    prefixDepth: o.prefixDepth,
    random: o.random,
    clock,
    logger,
  })
  const paid = createPaidRows(deletePaid, clock, logger)
  const relay =
    relayed === undefined
      ? undefined
      : createRelay({
          name,
          log: relayed,
          apply: (list) => invalidations.send(list),
          relayed: (rows) => metrics.dropsRelayed.inc(metrics.labels, rows),
          reachable: () => shared.up,
          random: o.random,
          clock,
          logger,
        })
  guard.onChange((state) => {
    if (state === 'open') {
      logger.warn({ cache: name }, 'cache.store.down')
      gate.shut()
    } else {
      logger.info({ cache: name }, 'cache.store.up')
      if (running) gate.pass().catch(() => {})
    }
  })

  function checkOpen(): void {
    if (closed) throw new CacheError('CLOSED', 'this cache was closed')
  }

  async function invalidate(list: readonly Bumped[]): Promise<string> {
    return traced(
      'cache:invalidate',
      () => ({ cache: name, tags: list.reduce((sum, { tags }) => sum + tags.length, 0) }),
      async () => {
        const startMs = clock.monotonic()
        const stamp = await invalidations.send(list)
        metrics.invalidations.inc(metrics.labels)
        metrics.invalidateWaitSeconds.observe((clock.monotonic() - startMs) / 1000, metrics.labels)
        return stamp
      },
    )
  }

  function logAway(cause: Error): never {
    throw new CacheError('STORE_UNAVAILABLE', `the log of cache drops is away: ${cause.message}`, { cause })
  }

  /** Of many callers, so with the deadline of none. */
  async function deletePaid(ids: readonly string[]): Promise<void> {
    await context.resume({}, async () => logGuard?.call(() => relayed!.done(ids)))
  }

  /** One step after another, so that a long log is not held in memory. */
  async function settle({ operation }: { readonly operation?: string | undefined }): Promise<{ applied: number }> {
    if (relayed === undefined || logGuard === undefined) return { applied: 0 }
    const of = { limit: SETTLE_ROWS, ...(operation === undefined ? {} : { operation }) }
    return traced(
      'cache:settle',
      () => ({ cache: name }),
      async () => {
        let applied = 0
        for (;;) {
          const rows = await logGuard.call(() => relayed.pending(name, of)).catch(logAway)
          if (rows.length === 0) return { applied }
          await invalidations.send(bumpsOf(rows))
          applied += rows.length
          paid.add(rows.map(({ id }) => id))
          if (rows.length < SETTLE_ROWS) return { applied }
          if (!(await paid.flush())) logAway(new Error('it deletes nothing'))
        }
      },
    )
  }

  async function applyDrop(list: readonly Bumped[], ids: readonly string[], operation: string): Promise<void> {
    if (log !== undefined && relayed === undefined && !inProcess) return apply(list)
    try {
      await invalidate(list)
      paid.add(ids)
    } catch (error) {
      logger.warn({ err: error, cache: name }, 'cache.drop.owed')
      if (o.onUnavailable === 'wait')
        await within(o.lease, async () => invalidations.owed === 0 || isRelayed(operation))
    }
  }

  /** Another node has reached what this one cannot. */
  async function isRelayed(operation: string): Promise<boolean> {
    if (relayed === undefined || logGuard === undefined) return false
    const of = { operation, limit: 1 }
    return logGuard
      .call(async () => relayed.pending(name, of))
      .then(
        ({ length }) => length === 0,
        () => false,
      )
  }

  /** Looks until it is so, at most for that long. */
  async function within(limitMs: number, isSo: () => boolean | Promise<boolean>): Promise<void> {
    const untilMs = clock.monotonic() + limitMs
    while (!(await isSo()) && clock.monotonic() < untilMs) await clock.sleep(LOOK_MS)
  }

  async function atMost(limitMs: number, work: Promise<unknown>): Promise<void> {
    const over = new AbortController()
    await Promise.race([work, clock.sleep(limitMs, over.signal)]).finally(() => over.abort())
  }

  const parts: CacheParts = {
    options: o,
    lookups,
    entries,
    metrics,
    lease,
    exclusive,
    // What ends with this process leaves nothing to be paid by others.
    log: inProcess ? undefined : log,
    inProcess,
    checkOpen,
    counted() {
      if (running || inProcess || ++unstartedReads !== UNSTARTED_READS) return
      logger.warn({ cache: name }, 'this cache was not started: it has no memory of its own and relays no drops')
    },
    invalidate,
    applyDrop,
    async put(ref, entry) {
      const own = { scope: ref.scope, tags: ref.declared.slice(0, 1) }
      apply([own])
      let bump
      try {
        bump = await shared.call((tier) => tier.put(ref, entry, node))
      } catch (error) {
        await invalidations.send([own]).catch(() => {})
        throw error
      }
      if (!inProcess) apply([own])
      await invalidations.acknowledged(bump)
      return bump
    },
  }

  async function inspect(): Promise<CacheStatus> {
    const { openedAt, lastError } = guard.stats()
    const isUp = guard.state === 'closed'
    const nowMs = clock.monotonic()
    const owed = { tags: invalidations.owed, oldestMs: invalidations.oldestOwedMs }
    const backlog = await logGuard?.call(() => relayed!.backlog(name)).catch(() => undefined)
    return {
      name: 'cache',
      state: isUp && owed.tags === 0 ? 'ok' : 'degraded',
      counts: { entries: l1?.entries ?? 0, loads: loads.size, owed: owed.tags },
      ...(openedAt === undefined
        ? {}
        : { lastError: { code: 'STORE_UNAVAILABLE', at: openedAt, message: lastError ?? '' } }),
      running,
      store: { kind: store.kind, state: isUp ? 'up' : 'down', ...(openedAt === undefined ? {} : { since: openedAt }) },
      lease: {
        held: nowMs < lease.endsMs,
        expiresInMs: Math.max(0, lease.endsMs - nowMs),
        peers: invalidations.peers,
      },
      l1: { entries: l1?.entries ?? 0, bytes: l1?.bytes ?? 0, tags: l1?.tags ?? 0, hitRatio: metrics.hitRatio() },
      loads: { running: loads.size },
      owed,
      log: backlog ?? null,
      epoch: await shared.call((tier) => tier.epoch()).catch(() => undefined),
    }
  }

  /** Starts and stops, one after another. */
  async function inTurn(work: () => Promise<void>): Promise<void> {
    return (turn = turn.catch(() => {}).then(work))
  }

  async function stop(given?: { readonly drain?: Duration }): Promise<void> {
    const { drain } = checkOptions('stop', given, STOP, optionFailure)
    return inTurn(() => end(drain))
  }

  async function end(drain: number): Promise<void> {
    running = false
    // A log that hangs is no reason to hang.
    if (relay !== undefined) await atMost(drain + o.storeTimeout, relay.stop())
    await within(drain, () => loads.size === 0)
    if (invalidations.owed > 0) await invalidations.pay().catch(() => {})
    await paid.flush()
    await membership.stop()
  }

  let closing: Promise<void> | undefined
  async function closeOnce(): Promise<void> {
    return (closing ??= close())
  }

  async function close(): Promise<void> {
    closed = true
    await stop({ drain: 0 })
    ;(lease as { endsMs: number }).endsMs = -Infinity
    for (const load of loads) load.abort(new CacheError('CLOSED', 'this cache was closed while it loaded'))
    locks.close()
    await (await ears)?.leave()
    guard.close()
    logGuard?.close()
    await tier.close?.()
  }

  return {
    scope(scope) {
      const state = states.of(scope)
      return (state.cache ??= scopeCache(parts, state))
    },
    async clear() {
      checkOpen()
      return { stamp: await invalidate([{ tags: [], epoch: true }]), tags: [] }
    },
    async purge(scope) {
      checkOpen()
      if (scope !== undefined && !isScope(scope))
        throw new CacheError('SCOPE_INVALID', 'purge() needs a scope, or none')
      // It takes as long as there are entries: no store call's deadline fits.
      return { entries: await tier.purge(scope) }
    },
    replayGuard: {
      kind: 'cache.drop',
      async beforeReplay(hints, ctx) {
        const isOurs = hints.some((hint) => (hint as { cache?: unknown } | null)?.cache === name)
        if (isOurs) await settle({ operation: ctx.operationId })
      },
    },
    async settle(given) {
      checkOpen()
      if (log === undefined && !inProcess) throw new CacheError('NO_LOG', 'settle() needs a cache with a "log"')
      return settle(checkOptions('settle', given, SETTLE, optionFailure))
    },
    async start() {
      checkOpen()
      return inTurn(async () => {
        checkOpen()
        if (running) return
        running = true
        relay?.start()
        if (isMember) await membership.start()
      })
    },
    stop,
    async runOnce(given) {
      checkOpen()
      const { budget } = checkOptions('runOnce', given, RUN_ONCE, optionFailure)
      if (invalidations.owed > 0) await invalidations.pay()
      const done = (await relay?.once(clock.monotonic() + budget)) ?? true
      await paid.flush()
      return { done }
    },
    async trace(correlationId) {
      checkOpen()
      if (relayed?.trace === undefined || logGuard === undefined) return []
      const rows = await logGuard.call(async () => relayed.trace!(name, correlationId)).catch(logAway)
      return rows.map(({ at, scope, tag }) => ({
        at,
        kind: 'cache.drop',
        text: `${isImplicit(tag) ? 'a key or a prefix' : `tag '${tag}'`} of scope '${scope}': committed, not applied yet`,
      }))
    },
    inspect,
    metrics: metrics.families,
    close: closeOnce,
    [Symbol.asyncDispose]: closeOnce,
  }
}

function isDropLog(store: CacheStore): store is CacheStore & DropLog {
  return typeof (store as Partial<DropLog>).statement === 'function'
}
