import { randomBytes } from 'node:crypto'
import { isScope, ms, traced, uuidv7, type Duration, type Effect, type Tx } from '@keelson/kernel'
import { createBackgroundLoop, stepUntil } from '@keelson/kernel/background-loop'
import { createGuardedStore } from '@keelson/kernel/guarded-store'
import { createLifecycle } from '@keelson/kernel/lifecycle'
import { allowedScopes, checkCaller } from './allowed-scopes.ts'
import { readChange } from './changing.ts'
import type { Collections } from './collections.ts'
import { createConflictDesk } from './conflict-desk.ts'
import { SyncError, type SyncErrorCode } from './error.ts'
import { createGuardedPush } from './guarded-push.ts'
import { createSyncMetrics } from './metrics.ts'
import { checkSyncOptions } from './options.ts'
import { createPull } from './pulling.ts'
import { createPushOps } from './pushing.ts'
import { recOf } from './rec-of.ts'
import { isRecordId, isShortId } from './read-op.ts'
import { readPush } from './requests.ts'
import { resultOf } from './result-text.ts'
import { scopeTags } from './scope-tag.ts'
import type { RecordKey, ServerChange, SyncStore } from './store.ts'
import { subjectDigest } from './subject.ts'
import type { Sync, SyncOptions } from './sync.ts'
import { createWaiters } from './waiters.ts'

const DRAIN_MS = 10_000
const BUDGET_MS = 60_000
const GC_MS = 3_600_000
const GC_BATCH = 1_000
const MAX_WRITES = 1_000
/** What writes all of a scope, or all there is, takes its time. */
const ALL_MS = 3_600_000
/** Of one page of an export. */
const EXPORT_ROWS = 500
const RESYNCS: readonly SyncErrorCode[] = ['CURSOR_EXPIRED', 'EPOCH_CHANGED', 'SCHEMA_CHANGED']

/** Changes of one transaction are one statement, of each store. */
const changeOf = new WeakMap<Effect, { readonly store: SyncStore; readonly change: ServerChange }>()

/**
 * The server of devices that work offline.
 * @throws SyncError OPTION_INVALID
 */
export function createSync<const C extends Collections>(given: SyncOptions<C>): Sync<C> {
  const options = checkSyncOptions(given)
  const { store, collections, cursorKey, waker, clock, logger, storeTimeout, retention } = options
  /** In stamps of this process. */
  const node = `s${BigInt(`0x${randomBytes(6).toString('hex')}`).toString(36)}`.slice(0, 12)
  const guarded = createGuardedStore({
    name: 'sync',
    store,
    timeoutMs: storeTimeout,
    away: (message, more) => new SyncError('STORE_UNAVAILABLE', `the store of sync is away: ${message}`, more),
    clock,
    logger,
  })
  const waiters = createWaiters({
    changed: (since, scopes) => guarded.work(() => store.changed(since, scopes)),
    max: options.limits.waiters,
    clock,
    logger,
  })
  const metrics = createSyncMetrics({ waiters: () => waiters.count })

  function wake(scopes: readonly string[]): void {
    if (scopes.length === 0) return
    waiters.wake(scopes)
    waker?.wake(scopes)
  }

  const pushOps = createPushOps({
    options,
    push: createGuardedPush(store, guarded),
    told({ results, records, conflicts }, { incoming, sentAtMs }, nowMs) {
      for (const [i, { status }] of results.entries()) {
        const one = incoming[i]!
        metrics.ops.inc({ collection: one.kind === 'op' ? one.op.c : '', status })
      }
      for (const { c, code } of conflicts) metrics.conflicts.inc({ collection: c, code })
      if (sentAtMs !== undefined) metrics.driftSeconds.observe(Math.abs(nowMs - sentAtMs) / 1_000)
      wake([...new Set(records.map(({ scope }) => scope))])
    },
  })
  const took = (pageMs: number): void => metrics.pullSeconds.observe(pageMs / 1_000)
  const pullNow = createPull({ options, ask: guarded.ask, waiters, took })

  const gc: Sync['gc'] = async ({ batch = GC_BATCH } = {}) => {
    checkOpen()
    if (!Number.isInteger(batch) || batch < 1 || batch > 100_000) throw inputInvalid('gc: "batch" must be 1 to 100,000')
    return guarded.work(() => store.gc({ tombstonesMs: retention.tombstones, opsMs: retention.ops, batch }))
  }
  /** True when nothing is left to remove. */
  const gcStep = async (): Promise<boolean> => {
    const { tombstones, ops } = await gc()
    return tombstones < GC_BATCH && ops < GC_BATCH
  }
  const upkeep = createBackgroundLoop({
    turn: () => stepUntil(Infinity, async () => !lifecycle.running || gcStep(), clock),
    // Nodes that start together must not work together.
    pauseMs: () => GC_MS * (0.5 + Math.random()),
    failed: (error) => logger.warn({ err: error }, 'sync.gc_failed'),
    clock,
  })
  const lifecycle = createLifecycle({
    async begin() {
      upkeep.start()
    },
    end: () => upkeep.stop(),
    async release() {
      waiters.close()
      guarded.guard.close()
      await waker?.close()
      await store.close()
    },
    closed: () => new SyncError('CLOSED', 'this sync was closed'),
  })
  const { checkOpen } = lifecycle
  waker?.on((scopes) => waiters.wake(scopes))

  const push: Sync<C>['push'] = async (who, request, { tx, collection } = {}) => {
    checkOpen()
    checkTx('push', tx)
    checkCollection('push', collection)
    const read = readPush(request, { ...options.limits, collections, only: collection })
    const scopes = await allowedScopes(options.scopes, who, cursorKey)
    const details = () => ({ client: read.client, ops: read.incoming.length })
    const beganMs = clock.monotonic()
    const response = await traced('sync:push', details, () => pushOps(who, scopes, read, { tx }))
    metrics.pushSeconds.observe((clock.monotonic() - beganMs) / 1_000)
    return response
  }
  const pull: Sync<C>['pull'] = async (who, request, { signal, collection } = {}) => {
    checkOpen()
    checkCollection('pull', collection)
    const details = () => ({ client: request?.client })
    try {
      const page = await traced('sync:pull', details, () => pullNow(who, request, { signal, collection }))
      metrics.pulls.inc({ mode: page.mode })
      return page
    } catch (error) {
      if (error instanceof SyncError && RESYNCS.includes(error.code)) metrics.resyncs.inc({ reason: error.code })
      throw error
    }
  }

  function checkCollection(owner: string, name: unknown): void {
    if (name === undefined || (typeof name === 'string' && collections.has(name))) return
    throw new SyncError('NOT_FOUND', `${owner}: there is no collection ${JSON.stringify(name)}`)
  }

  async function forget(q: Parameters<typeof store.forget>[0]) {
    checkOpen()
    checkScope('forget', q.scope)
    const done = await guarded.work(() => store.forget(q, node), { limitMs: ALL_MS })
    wake([q.scope])
    return done
  }

  const sync: Sync<C> = {
    push,
    applyOperations: push,
    pull,
    getDelta: pull,

    change(c, change, { scope, id = uuidv7(clock) }) {
      checkOpen()
      const read = readChange('change', collections, c, change, scope)
      const effect: ReturnType<Sync<C>['change']> = {
        kind: 'sync.change',
        id,
        ...(store.changeStatements === undefined
          ? { perform: async () => void (await guarded.work(() => store.change([read], node))) }
          : {
              statements: () => store.changeStatements!([read], node),
              combine(others, ctx) {
                const own = others.flatMap((other) => {
                  const known = changeOf.get(other)
                  return known?.store === store ? [known.change] : []
                })
                const foreign = others.filter((other) => changeOf.get(other)?.store !== store)
                return [
                  ...store.changeStatements!([read, ...own], node),
                  ...foreign.flatMap((other) => other.statements?.(ctx) ?? []),
                ]
              },
            }),
        afterCommit: () => wake([scope, ...(read.to === undefined ? [] : [read.to])]),
      }
      changeOf.set(effect, { store, change: read })
      return effect
    },
    async write(changes, { tx } = {}) {
      checkOpen()
      checkTx('write', tx)
      if (!Array.isArray(changes) || changes.length > MAX_WRITES) {
        throw inputInvalid(`write: at most ${MAX_WRITES} changes, as an array`)
      }
      const read = changes.map(({ c, x, scope }) => readChange('write', collections, c, x, scope))
      const change = () => store.change(read, node, tx === undefined ? {} : { tx })
      const stamps = await traced(
        'sync:change',
        () => ({ changes: read.length }),
        () => (tx === undefined ? guarded.work(change) : change()),
      )
      if (tx === undefined)
        wake([...new Set(read.flatMap(({ scope, to }) => (to === undefined ? [scope] : [scope, to])))])
      return { stamps: stamps.map((stamp) => stamp ?? '') }
    },

    conflicts: createConflictDesk({ options, node, pushOps, ask: guarded.ask }),

    async status(who, client) {
      checkOpen()
      checkCaller(who)
      if (!isShortId(client)) return undefined
      const [row, openConflicts] = await guarded.ask(() =>
        Promise.all([store.client(client), store.openConflicts(client)]),
      )
      if (row === undefined || row.principal !== who.principal.id) return undefined
      const { principal, pushed, offsetMs, pushedAtMs, pulledAtMs } = row
      const date = (atMs: number | null): Date | null => (atMs === null ? null : new Date(atMs))
      const times = { lastPushAt: date(pushedAtMs), lastPullAt: date(pulledAtMs) }
      return { client, principal, ...times, pushed, offset: offsetMs, openConflicts }
    },

    forget: async (q) => forget(readForgotten(q)),
    eraseSubject: async (scope, subject) => forget({ scope, subject: personOf('eraseSubject', subject) }),
    async *exportSubject(scope, subject) {
      checkOpen()
      checkScope('exportSubject', scope)
      const person = personOf('exportSubject', subject)
      const tagOf = scopeTags(cursorKey)
      let after: RecordKey | undefined
      do {
        const rows = await guarded.work(() => store.ofSubject(scope, person, after, EXPORT_ROWS))
        for (const row of rows) yield { ...recOf(row, tagOf, true), c: row.c }
        after = rows.length < EXPORT_ROWS ? undefined : rows.at(-1)
      } while (after !== undefined)
    },
    gc,
    async rebase() {
      checkOpen()
      return { era: await guarded.work(() => store.rebase(), { limitMs: ALL_MS }) }
    },

    async inspect() {
      const { openedAt, lastError, state } = guarded.guard.stats()
      const found = state === 'open' ? undefined : await guarded.ask(() => store.inspect())
      const { records = 0, tombstones = 0, ops = 0, openConflicts = 0, era = 0, horizonAgeMs = null } = found ?? {}
      return {
        name: 'sync',
        state: found === undefined ? 'down' : 'ok',
        counts: { records, tombstones, ops, openConflicts, waiters: waiters.count },
        era,
        horizonAgeMs,
        ...(openedAt === undefined
          ? {}
          : { lastError: { code: 'STORE_UNAVAILABLE', at: openedAt, message: String(lastError) } }),
      }
    },
    async trace(correlationId) {
      checkOpen()
      if (typeof correlationId !== 'string' || correlationId === '') return []
      const rows = await guarded.ask(() => store.trace(correlationId))
      return rows.map(({ atMs, client, op, result }) => {
        const { status, code } = resultOf(op, result)
        const text = `operation ${op} of ${client}: ${status}${code === undefined ? '' : ` (${code})`}`
        return { at: atMs, kind: 'sync.op', text }
      })
    },
    metrics: () => metrics.families(),
    bodyBytes: options.limits.bodyBytes,
    drain: waiters.drain,
    start: lifecycle.start,
    async stop({ drain = DRAIN_MS } = {}) {
      return lifecycle.stop(checkDuration('stop', 'drain', drain))
    },
    async runOnce({ budget = BUDGET_MS } = {}) {
      checkOpen()
      const untilMs = clock.monotonic() + checkDuration('runOnce', 'budget', budget)
      return lifecycle.alone(
        async () => ({ done: await stepUntil(untilMs, gcStep, clock) }),
        () => inputInvalid('runOnce: this sync runs already'),
      )
    },
    close: lifecycle.close,
    [Symbol.asyncDispose]: lifecycle.close,
  }
  return sync
}

/** One record, or all of a scope: a member that is missing or misspelt must not erase more than was meant. */
function readForgotten(given: Parameters<Sync['forget']>[0]): Parameters<Sync['forget']>[0] {
  const names = Object.keys(given ?? {})
  if (names.every((name) => name === 'scope')) return { scope: given?.scope }
  const { scope, c, id } = given as { scope: string; c?: unknown; id?: unknown }
  if (names.length === 3 && isShortId(c) && isRecordId(id)) return { scope, c, id }
  throw inputInvalid('forget: give { scope, c, id } for one record, or { scope } alone for all of a scope')
}

/** A person as stores know them. */
function personOf(owner: string, subject: unknown): string {
  if (typeof subject === 'string') return subjectDigest(subject)
  throw inputInvalid(`${owner}: "subject" must be a text (got ${subject === null ? 'null' : typeof subject})`)
}

/** Null is a transaction that somebody forgot: without it the writes would outlive a rollback. */
function checkTx(owner: string, tx: Tx | null | undefined): void {
  if (tx === undefined || typeof tx?.query === 'function') return
  throw inputInvalid(`${owner}: "tx" must be an open transaction, an object with query()`)
}

function checkScope(owner: string, scope: unknown): void {
  if (isScope(scope)) return
  throw new SyncError('SCOPE_INVALID', `${owner}: "scope" must be 1 to 128 bytes of text (got ${typeof scope})`)
}

function checkDuration(owner: string, name: string, value: Duration): number {
  try {
    return ms(value)
  } catch (cause) {
    throw new SyncError('INPUT_INVALID', `${owner}: "${name}" must be a Duration such as 250 or '5s'`, { cause })
  }
}

const inputInvalid = (message: string): SyncError => new SyncError('INPUT_INVALID', message)
