import { randomUUID } from 'node:crypto'
import { context, traced, type Effect, type EffectContext, type Statement, type Tx } from '@keelson/kernel'
import { createGuardedStore } from '@keelson/kernel/guarded-store'
import { createLifecycle } from '@keelson/kernel/lifecycle'
import { actorOf } from './actor-of.ts'
import type { Audit, AuditOptions, EntryInput, Receipt } from './audit.ts'
import { createDeadLetters } from './dead-letters.ts'
import { createEmitter } from './emitter.ts'
import type { Engine } from './engine.ts'
import { createEntryMaker } from './entry/make-entry.ts'
import type { EntryOptions } from './entry/options.ts'
import { createPrivacy } from './entry/privacy.ts'
import { AuditError } from './error.ts'
import { createGaps } from './gaps.ts'
import { checkDuration, checkMembers, inputFailure, shown } from './input.ts'
import { createJournal } from './journal.ts'
import { createKeys } from './keys.ts'
import { createAuditMetrics } from './metrics.ts'
import { checkAuditOptions, type CheckedAuditOptions } from './options.ts'
import type { Reading } from './reading.ts'
import { statusOf } from './status.ts'
import type { Stewardship } from './stewardship.ts'
import type { Row, StoreStatus } from './store.ts'
import type { Transparency } from './transparency.ts'
import { leafHash } from './tree/hashing.ts'

const DRAIN_MS = 10_000
const BUDGET_MS = 60_000
const FLUSH_MS = 30_000
/** Numbers for metrics are asked for again when they are older. */
const SNAPSHOT_MS = 5_000
/** Of one statement. */
const MAX_ROWS = 5_000
const MAX_BYTES = 8 * 1024 * 1024

/** Effects of one log are written together. */
const rowOf = new WeakMap<Effect, { readonly owner: string; readonly row: Row }>()

/**
 * An audit log of an application: entries are durable before a call returns, or commit with its rows.
 * @throws AuditError OPTION_INVALID
 */
export function createAudit(options: AuditOptions): Audit {
  const o = checkAuditOptions(options)
  const { store, spool, log, clock, logger } = o
  const timeoutMs = store.timeoutMs ?? o.storeTimeout
  const guarded = createGuardedStore({
    name: 'audit',
    store,
    timeoutMs,
    away: (message, more) => new AuditError('STORE_UNAVAILABLE', `the journal is away: ${message}`, more),
    clock,
    logger,
  })
  const privacy = o.privacy === undefined ? undefined : createPrivacy(o.privacy)
  const maker = createEntryMaker(entryOptionsOf(o))
  /** `own`: of the log about itself. */
  function make(entry: EntryInput, own = false): Row {
    const { principal, correlationId, traceparent } = context.get() ?? {}
    const known = {
      ...(principal && { principal }),
      ...(correlationId && { correlationId }),
      ...(traceparent && { traceparent }),
    }
    return maker(entry, { nowMs: clock.now(), own, ...known }).row
  }
  const keys = createKeys(o.key)
  const owner = randomUUID()
  let snapshot: StoreStatus | undefined
  let snapshotMs = -Infinity
  let spooled: { readonly entries: number; readonly oldestMs: number | null } = { entries: 0, oldestMs: null }

  const sinkStatus = (name: string) => engine?.shippers.find((shipper) => shipper.name === name)?.status()
  const metrics = createAuditMetrics({
    sealLagSeconds: () => (snapshot?.oldestUnsealedMs ?? 0) / 1_000,
    sealedSize: () => snapshot?.size ?? 0,
    spooled: () => spooled.entries,
    storeBytes: () => snapshot?.bytes ?? 0,
    sinks: o.sinks.map(({ name }) => ({
      name,
      lagSeconds: () => (sinkStatus(name)?.oldestMs ?? 0) / 1_000,
      pending: () => sinkStatus(name)?.pending ?? 0,
    })),
  })
  const gaps = createGaps({ make: (entry) => make(entry, true), metrics, clock, logger })
  const journal = createJournal({ log, store, guarded, spool, timeoutMs, gaps, metrics, clock })
  const emitter = createEmitter({ journal, gaps, max: o.emitBuffer, clock })

  /** Checked and serialised; what is refused is counted. */
  function made(entry: EntryInput, own = false): Row {
    try {
      return make(entry, own)
    } catch (error) {
      if (error instanceof AuditError) metrics.refused.inc({ code: error.code })
      throw error
    }
  }

  async function record(entry: EntryInput, how: Parameters<Audit['record']>[1] = {}): Promise<Receipt> {
    const { tx, required } = checkMembers('record', how, ['tx', 'required'])
    if (required !== undefined && typeof required !== 'boolean') {
      throw inputFailure(`record: "required" must be true or false (got ${shown(required)})`)
    }
    // Null is a transaction that somebody forgot: without it the entry would outlive a rollback.
    if (tx !== undefined && typeof (tx as Partial<Tx> | null)?.query !== 'function') {
      throw inputFailure(`record: "tx" must be an open transaction, an object with query() (got ${shown(tx)})`)
    }
    return append(made(entry), { ...(tx && { tx }), ...(required && { required }) })
  }

  /** Entries of the log about itself. */
  const recordOwn = async (entry: EntryInput): Promise<Receipt> => append(made(entry, true), {})

  async function append(row: Row, how: Parameters<typeof journal.append>[1]): Promise<Receipt> {
    const accepted = await traced(
      'audit:record',
      () => ({ id: row.id }),
      () => journal.append(row, how),
    )
    const { id, bytes } = row
    return {
      id,
      ...accepted,
      // Few ask for it.
      get leaf() {
        return leafHash(bytes).toString('base64')
      },
    }
  }

  const parts = { log, store, ask: guarded.ask, work: guarded.work, privacy, clock }

  // What signs, ships and reads is loaded by those who do.
  let engine: Engine | undefined
  async function openEngine(): Promise<Engine> {
    const { createEngine } = await import('./engine.ts')
    return (engine ??= createEngine({
      ...parts,
      ...o.checkpoint,
      intervalMs: o.checkpoint.interval,
      heartbeatMs: o.heartbeatMs,
      keys,
      journal,
      emitter,
      sinks: o.sinks,
      owner,
      isRunning: () => lifecycle.running,
      checkOpen,
      record: recordOwn,
      async applyRetention() {
        if (o.keepMs !== undefined) await (await openStewardship()).applyRetention()
      },
      random: Math.random,
      metrics,
      logger,
    }))
  }
  const lifecycle = createLifecycle({
    begin: async () => (await openEngine()).begin(),
    async end(drainMs) {
      await emitter.end(drainMs)
      await engine?.end(drainMs)
    },
    interrupt: () => engine?.interrupt(),
    async release() {
      if (gaps.isOwed) await journal.tellGap().catch(() => {})
      guarded.guard.close()
      // The spool has a lock to give back, whatever becomes of the store.
      const closed = await Promise.allSettled([store.close(), spool?.close()])
      for (const one of closed) if (one.status === 'rejected') throw one.reason
    },
    closed: () => new AuditError('CLOSED', 'this audit log was closed'),
  })
  const { checkOpen } = lifecycle

  let reading: Reading | undefined
  async function openReading(): Promise<Reading> {
    checkOpen()
    const { createReading } = await import('./reading.ts')
    return (reading ??= createReading({
      ...parts,
      auditReads: o.auditReads,
      tell: async (action, { scope, by, query }) =>
        recordOwn({
          scope,
          action,
          data: { query: JSON.stringify(query) },
          actor: by === undefined ? { type: 'system', id: 'keelson.audit' } : actorOf('by', by),
        }),
    }))
  }

  let stewardship: Stewardship | undefined
  async function openStewardship(): Promise<Stewardship> {
    checkOpen()
    const { createStewardship } = await import('./stewardship.ts')
    return (stewardship ??= createStewardship({
      ...parts,
      sinks: o.sinks,
      spool,
      withoutDrain: journal.withoutDrain,
      record: recordOwn,
      check: (entry) => void made(entry, true),
      keepMs: o.keepMs,
      rootAt: async () => (await (await openTransparency()).root()).toString('base64'),
    }))
  }

  let transparency: Transparency | undefined
  async function openTransparency(): Promise<Transparency> {
    checkOpen()
    const { createTransparency } = await import('./transparency.ts')
    return (transparency ??= createTransparency({ ...parts, keys, logger }))
  }

  const audit: Audit = {
    entry(entry) {
      checkOpen()
      const row = made(entry)
      const effect: ReturnType<Audit['entry']> = {
        kind: 'audit.entry',
        id: row.id,
        action: entry.action,
        ...(store.statements === undefined
          ? { perform: async () => void (await journal.append(row)) }
          : {
              statements: () => store.statements!(log, [row]),
              combine: (others: readonly Effect[], ctx: EffectContext) => statementsOf([effect, ...others], ctx),
            }),
        afterCommit() {
          if (store.statements !== undefined) metrics.recorded.inc({ durability: store.durability })
        },
      }
      rowOf.set(effect, { owner, row })
      return effect
    },

    async record(entry, how) {
      checkOpen()
      return record(entry, how)
    },
    emit(entry) {
      try {
        checkOpen()
        emitter.emit(made(entry))
      } catch (error) {
        gaps.lost(error instanceof AuditError ? error.code : 'UNKNOWN')
      }
    },
    async logModification(actor, given, action, old, now, more = {}) {
      checkOpen()
      if (typeof given !== 'object' || given === null) {
        throw inputFailure(`logModification: "target" must be an object with scope, type and id (got ${shown(given)})`)
      }
      const { scope, ...target } = given
      return record({ ...more, scope, action, actor, target, old, new: now })
    },

    get: async (id) => (await openReading()).get(id),
    query: async (q, by) => (await openReading()).query(q, by),
    async *export(q, how) {
      yield* (await openReading()).export(q, how)
    },
    async *exportSubject(scope, subject, how) {
      yield* (await openReading()).exportSubject(scope, subject, how)
    },

    checkpoint: async () => (await openTransparency()).checkpoint(),
    proof: async (id) => (await openTransparency()).proof(id),
    consistency: async (oldSize, newSize) => (await openTransparency()).consistency(oldSize, newSize),
    verify: async (how) => (await openTransparency()).verify(how),
    tile: async (path) => (await openTransparency()).tile(path),
    exportTiles: async (dir) => (await openTransparency()).exportTiles(dir),

    eraseSubject: async (scope, subject, how) => (await openStewardship()).eraseSubject(scope, subject, how),
    hold: async (h) => (await openStewardship()).hold(h),
    release: async (id) => (await openStewardship()).release(id),
    applyRetention: async () => (await openStewardship()).applyRetention(),

    deadLetters: createDeadLetters({
      ...parts,
      async ask(fn) {
        checkOpen()
        return guarded.ask(fn)
      },
      record: recordOwn,
      wake: () => engine?.wake(),
    }),

    sink(name) {
      checkOpen()
      if (!o.sinks.some((sink) => sink.name === name)) {
        throw new AuditError('NOT_FOUND', `sink: there is no sink ${shown(name)}`)
      }
      const shipper = () => {
        const found = engine?.shippers.find((one) => one.name === name)
        if (found === undefined) throw inputFailure('sink: nothing is shipped before start()')
        return found
      }
      return {
        pause: () => shipper().pause(),
        resume() {
          shipper().resume()
          engine?.wake()
        },
        status: () => shipper().status(),
      }
    },

    async flush(how = {}) {
      checkOpen()
      const { to = 'sealed', timeout = FLUSH_MS } = checkMembers('flush', how, ['to', 'timeout'])
      if (to !== 'sealed' && to !== 'shipped') {
        throw inputFailure(`flush: "to" must be sealed or shipped (got ${shown(to)})`)
      }
      const timeoutMs = checkDuration('flush', 'timeout', timeout)
      await (await openEngine()).flush(to, timeoutMs)
    },
    start: lifecycle.start,
    async stop(how = {}) {
      const { drain = DRAIN_MS } = checkMembers('stop', how, ['drain'])
      return lifecycle.stop(checkDuration('stop', 'drain', drain))
    },
    async runOnce(how = {}) {
      checkOpen()
      const { budget = BUDGET_MS } = checkMembers('runOnce', how, ['budget'])
      const budgetMs = checkDuration('runOnce', 'budget', budget)
      return lifecycle.alone(
        async () => (await openEngine()).once(budgetMs),
        () => inputFailure('runOnce: this audit log runs already'),
      )
    },

    async inspect() {
      await look(guarded.ask)
      const root = await rootNow()
      const sinks = engine?.shippers.map((shipper) => [shipper.name, shipper.status()] as const) ?? []
      return statusOf({
        kind: store.kind,
        guard: guarded.guard,
        last: snapshot,
        root,
        checkpointAt: engine?.sealer.checkpointAt ?? null,
        spool: { ...spooled, takes: spool !== undefined },
        sinks: Object.fromEntries(sinks),
        dropped: gaps.dropped,
        gaps: gaps.told,
      })
    },
    metrics() {
      refresh()
      return metrics.families()
    },
    async trace(correlationId) {
      if (typeof correlationId !== 'string' || correlationId === '') return []
      const rows = await guarded.ask(() =>
        store.search(log, { scope: null, correlationId, order: 'asc', limit: MAX_TRACED }),
      )
      return rows.map(({ leaf: { atMs, id, action, outcome } }) => ({
        at: atMs,
        kind: 'audit.entry',
        text: `${action} ${outcome} ${id}`,
      }))
    },
    close: lifecycle.close,
    [Symbol.asyncDispose]: lifecycle.close,
  }

  /** Of these effects, those that are ours in as few statements as may be; each other one as it says itself. */
  function statementsOf(effects: readonly Effect[], ctx: EffectContext): readonly Statement[] {
    const rows: Row[] = []
    const foreign: Effect[] = []
    for (const effect of effects) {
      const known = rowOf.get(effect)
      if (known?.owner === owner) rows.push(known.row)
      else foreign.push(effect)
    }
    return [
      ...chunked(rows).flatMap((some) => store.statements!(log, some)),
      ...foreign.flatMap((effect) => effect.statements?.(ctx) ?? []),
    ]
  }

  async function look(call: typeof guarded.ask): Promise<void> {
    snapshotMs = clock.monotonic()
    const [status, waiting] = await Promise.allSettled([call(() => store.inspect(log)), spool?.waiting?.(log)])
    if (status.status === 'fulfilled') snapshot = status.value
    if (waiting.status === 'fulfilled' && waiting.value !== undefined) spooled = waiting.value
  }

  async function rootNow(): Promise<string> {
    return openTransparency()
      .then(
        async (tree) => (await tree.root()).toString('base64'),
        () => '',
      )
      .catch(() => '')
  }

  /** Gauges of the store are as old as the last reading, at most. */
  function refresh(): void {
    if (!lifecycle.running || clock.monotonic() - snapshotMs < SNAPSHOT_MS) return
    void context.resume({}, () => look(guarded.work))
  }

  return audit
}

const MAX_TRACED = 1_000

/** Those that say how entries are written, without what is not given. */
function entryOptionsOf(o: CheckedAuditOptions): EntryOptions {
  const { service, host, redact, actions, strict, privacy, maxEntryBytes, clock } = o
  const given = { service: defined(service), host, redact, actions, strict, privacy, maxEntryBytes, clock }
  return defined(given)
}

function defined(members: object): object {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined))
}

function chunked(rows: readonly Row[]): readonly (readonly Row[])[] {
  const chunks: Row[][] = []
  let bytes = Infinity
  for (const row of rows) {
    const last = chunks.at(-1)
    if (last === undefined || last.length === MAX_ROWS || bytes + row.bytes.length > MAX_BYTES) {
      chunks.push([row])
      bytes = row.bytes.length
    } else {
      last.push(row)
      bytes += row.bytes.length
    }
  }
  return chunks
}
