import { randomBytes } from 'node:crypto'
import { checkOptions, context, createStoreGuard, isScope, opt, traced, type StoreGuard } from '@keelson/kernel'
import { createLifecycle } from '@keelson/kernel/lifecycle'
import { atMost } from './at-most.ts'
import { cacheStatus } from './cache-status.ts'
import type { Caches } from './caches.ts'
import { createCommittedDrops } from './committed-drops.ts'
import { CacheError, optionFailure } from './error.ts'
import { createGate } from './gate.ts'
import { createGuardedTier } from './guarded-tier.ts'
import { createInvalidations } from './invalidations.ts'
import { createMembership } from './membership.ts'
import { createCacheMetrics } from './metrics.ts'
import { checkCacheOptions, type CacheOptions } from './options.ts'
import { createOwnMemory } from './own-memory.ts'
import { createReadPath } from './read-path.ts'
import { scopeCache, type CacheParts } from './scope-cache.ts'
import { createScopeStates } from './scope-states.ts'
import type { Bumped, CacheStore, DropLog } from './store.ts'
import { until } from './until.ts'

const SETTLE = { operation: opt.string() }
const STOP = { drain: opt.duration('5s') }
const RUN_ONCE = { budget: opt.duration('10s') }
/** So many reads over a shared store without `start()` are worth a word. */
const UNSTARTED_READS = 1_000

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
  const { l1, apply } = createOwnMemory(tier, o)
  const states = createScopeStates(l1)
  let unstartedReads = 0

  const metrics = createCacheMetrics(name, {
    owed: () => invalidations.owed,
    logOldestMs: () => drops?.oldestMs ?? 0,
    entries: () => l1?.entries ?? 0,
    bytes: () => l1?.bytes ?? 0,
    leaseHeld: () => clock.monotonic() < lease.endsMs,
    evictions: () => l1?.evictions ?? 0,
  })
  const guard = guardOf(`cache ${name}`, async () => tier.ping())
  const shared = createGuardedTier(tier, guard, metrics)

  function guardOf(name: string, ping?: () => Promise<unknown>): StoreGuard {
    return createStoreGuard({ name, timeout: o.storeTimeout, maxPending: 10_000, clock, logger, ...(ping && { ping }) })
  }

  const invalidations = createInvalidations({
    shared,
    node,
    strong: o.coherence === 'strong',
    apply,
    clock,
    logger,
  })
  const drops =
    relayed === undefined
      ? undefined
      : createCommittedDrops({
          name,
          log: relayed,
          guard: guardOf(`log of cache ${name}`),
          apply: (list) => invalidations.send(list),
          relayed: (rows) => metrics.dropsRelayed.inc(metrics.labels, rows),
          reachable: () => shared.up,
          random: o.random,
          clock,
          logger,
        })
  const gate = createGate({
    reachable: () => shared.up,
    owes: () => invalidations.owed > 0,
    pay: () => invalidations.pay(),
    // For many callers, with the deadline of none.
    settle: () => context.resume({}, async () => drops?.settle()),
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
    states.find(scope)?.wakeUps.wake(key)
  }

  // Several caches over one store in this process hear of each other's loads.
  const ears = exclusive
    ? tier.join?.(node, { leaseMs: o.lease, on: { bump() {}, filled, ack() {}, lost() {} } })
    : undefined
  // Whoever is told of every invalidation needs no lease.
  const lease = exclusive ? { endsMs: Infinity } : membership.lease
  const hears = tier.coherence === 'leased' || (o.coherence === 'bounded' && !exclusive)
  const isMember = hears && tier.join !== undefined && l1 !== undefined

  const reading = createReadPath({ options: o, shared, coherence: tier.coherence, gate, node, lease, metrics })
  const life = createLifecycle({
    closed: () => new CacheError('CLOSED', 'this cache was closed'),
    async begin() {
      drops?.start()
      if (isMember) await membership.start()
    },
    async end(drain) {
      // A log that hangs is no reason to hang.
      if (drops !== undefined) await atMost(drops.stop(), drain + o.storeTimeout, clock)
      await until(() => reading.loads === 0, drain, clock)
      if (invalidations.owed > 0) await invalidations.pay().catch(() => {})
      await drops?.flush()
      await membership.stop()
    },
    async release() {
      ;(lease as { endsMs: number }).endsMs = -Infinity
      reading.close(new CacheError('CLOSED', 'this cache was closed while it loaded'))
      await (await ears)?.leave()
      guard.close()
      drops?.close()
      await tier.close?.()
    },
  })
  const { checkOpen } = life

  guard.onChange((state) => {
    if (state === 'open') {
      logger.warn({ cache: name }, 'cache.store.down')
      gate.shut()
    } else {
      logger.info({ cache: name }, 'cache.store.up')
      if (life.running) gate.pass().catch(() => {})
    }
  })

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

  async function applyDrop(list: readonly Bumped[], ids: readonly string[], operation: string): Promise<void> {
    if (log !== undefined && relayed === undefined && !inProcess) return apply(list)
    try {
      await invalidate(list)
      drops?.paid(ids)
    } catch (error) {
      logger.warn({ err: error, cache: name }, 'cache.drop.owed')
      if (o.onUnavailable === 'owe') return
      // This node has paid, or another has reached what this one cannot.
      const isPaid = async (): Promise<boolean> =>
        invalidations.owed === 0 || ((await drops?.isApplied(operation)) ?? false)
      await until(isPaid, o.lease, clock)
    }
  }

  const parts: CacheParts = {
    options: o,
    lookups: reading.lookups,
    entries: reading.entries,
    metrics,
    lease,
    exclusive,
    // What ends with this process leaves nothing to be paid by others.
    log: inProcess ? undefined : log,
    inProcess,
    checkOpen,
    counted() {
      if (life.running || inProcess || ++unstartedReads !== UNSTARTED_READS) return
      logger.warn({ cache: name }, 'this cache was not started: it has no memory of its own and relays no drops')
    },
    invalidate,
    put: invalidations.put,
    applyDrop,
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
      async beforeReplay(hints, { operationId }) {
        const isOurs = hints.some((hint) => (hint as { cache?: unknown } | null)?.cache === name)
        if (isOurs) await drops?.settle(operationId)
      },
    },
    async settle(given) {
      checkOpen()
      if (log === undefined && !inProcess) throw new CacheError('NO_LOG', 'settle() needs a cache with a "log"')
      const { operation } = checkOptions('settle', given, SETTLE, optionFailure)
      return (await drops?.settle(operation)) ?? { applied: 0 }
    },
    start: life.start,
    async stop(given) {
      const { drain } = checkOptions('stop', given, STOP, optionFailure)
      return life.stop(drain)
    },
    async runOnce(given) {
      checkOpen()
      const { budget } = checkOptions('runOnce', given, RUN_ONCE, optionFailure)
      if (invalidations.owed > 0) await invalidations.pay()
      const done = (await drops?.relay(clock.monotonic() + budget)) ?? true
      await drops?.flush()
      return { done }
    },
    async trace(correlationId) {
      checkOpen()
      return drops?.trace(correlationId) ?? []
    },
    inspect: async () =>
      cacheStatus({
        running: life.running,
        kind: store.kind,
        guard,
        shared,
        lease,
        l1,
        loads: reading.loads,
        invalidations,
        drops,
        metrics,
        clock,
      }),
    metrics: metrics.families,
    close: life.close,
    [Symbol.asyncDispose]: life.close,
  }
}

function isDropLog(store: CacheStore): store is CacheStore & DropLog {
  return typeof (store as Partial<DropLog>).statement === 'function'
}
