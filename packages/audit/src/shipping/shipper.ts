import { isKeelsonError, traced, type Clock, type Logger } from '@keelson/kernel'
import type { AuditMetrics } from '../metrics.ts'
import type { DeliveryFailure } from '../sinks/delivery-failure.ts'
import type { BatchEntry, Outcome, Sink, SinkStatus } from '../sink.ts'
import type { AuditStore, CursorClaim, SealedRow } from '../store.ts'
import { backoffMs, decideOutcomes, type Owed } from './outcomes.ts'
import { timeOf } from '../time-of.ts'
import { isFor } from './is-for.ts'

/** Brings the sealed entries of a log to one sink. */
export interface Shipper {
  readonly name: string
  /** Ships what is due. Answers the ms until more may be, 0 when there is more now. Who asks during one gets its answer. */
  turn(): Promise<number>
  /** What is there goes at once, full batch or not, until the cursor is at `size`. */
  hurry(size: number): void
  pause(): void
  resume(): void
  status(): SinkStatus
  /** What is under way at the sink is given up, and nothing more is begun there until `end`. */
  interrupt(): void
  /** Ends what is under way and gives the lease back. */
  end(): Promise<void>
}

/** What a shipper works with. */
export interface ShipperParts {
  readonly log: string
  readonly sink: Sink
  readonly store: AuditStore
  /** Behind the guard. */
  work<T>(fn: () => Promise<T>): Promise<T>
  /** SHA-256(0x00 || bytes). */
  leafHash(bytes: Uint8Array): Uint8Array
  readonly owner: string
  /** In the background: nobody waits for it, and the process may end. */
  isRunning?(): boolean
  readonly random: () => number
  readonly metrics: AuditMetrics
  readonly clock: Clock
  readonly logger: Logger
}

/** Between two looks when nothing is there; sealing in this process wakes it earlier. */
const POLL_MS = 1_000
const HALT_PROBE_MS = 30_000
/** A lease outlasts one request and what comes behind it. */
const LEASE_MARGIN_MS = 1_000
const DEAD_STEP = 500

interface Lease {
  readonly fence: number
  readonly sinceMs: number
  cursor: number
}

export function createShipper(o: ShipperParts): Shipper {
  const { log, sink, store, work, owner, random, metrics, clock, logger } = o
  const { name, ordered } = sink
  const ttlMs = 2 * sink.timeoutMs + LEASE_MARGIN_MS
  let lease: Lease | undefined
  /** Of the last claim: ours in the store before the sink is open, and to give back. */
  let claimedFence: number | undefined
  let isSetUp = false
  /** The first index that was not read yet. */
  let next = 0
  /** In order of index: read, and the sink has it not. */
  let owed: readonly Owed[] = []
  /** Places that the cursor may take when nothing was lost for so long. */
  let trail: { readonly to: number; readonly atMs: number }[] = []
  /** Since when what is owed waits for a full batch. */
  let waitsSinceMs: number | undefined
  let limit = sink.maxBatchEntries
  let failures = 0
  let backoffUntilMs = -Infinity
  let halted: string | undefined
  let paused = false
  let hurriedTo = 0
  let size = 0
  let pruned = 0
  let dead = 0
  let countedAtMs = -Infinity
  let lastAckAt: number | null = null
  let lastError: string | null = null
  let under: AbortController | undefined
  let turning: Promise<number> | undefined
  let isStopping = false

  const cursorOf = (): number => owed[0]?.entry.index ?? next

  async function take(): Promise<Lease | undefined> {
    const nowMs = clock.monotonic()
    if (lease !== undefined && nowMs - lease.sinceMs < ttlMs / 3) return lease
    const claimed = await work(() => store.claim(log, name, owner, ttlMs))
    claimedFence = claimed?.fence
    if (claimed === null) {
      lose()
      return undefined
    }
    // What we hold already goes on where it stands: nobody else had it since.
    const isOurs = lease !== undefined && claimed.at === lease.cursor
    if (!isOurs) {
      // One that could not be opened is opened again: it is not ours before.
      lease = undefined
      startAgain(claimed.at)
      await limited(async () => sink.open?.(claimed.state, { clock, logger }))
      if (!(await keepFirstState(claimed))) return undefined
    }
    lease = { fence: claimed.fence, sinceMs: nowMs, cursor: claimed.at }
    return lease
  }

  /** What was written before the cursor moved for the first time must be told from what stood there before. */
  async function keepFirstState({ fence, at, state }: CursorClaim): Promise<boolean> {
    const first = state === null ? (sink.state?.() ?? null) : null
    return first === null || work(() => store.advance(log, name, fence, at, ttlMs, first))
  }

  /** A call of a sink, which may never answer and need not hear the signal. */
  async function limited<T>(call: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (isStopping) throw new Error('stopped')
    const controller = new AbortController()
    under = controller
    const late = new Error(`no answer in ${sink.timeoutMs} ms`)
    const timer = clock.timer(() => controller.abort(late), sink.timeoutMs, { ref: o.isRunning?.() !== true })
    const aborted = new Promise<never>((_, reject) => {
      controller.signal.addEventListener('abort', () => reject(controller.signal.reason as Error), { once: true })
    })
    try {
      return await Promise.race([call(controller.signal), aborted])
    } finally {
      timer.cancel()
      under = undefined
    }
  }

  function lose(): void {
    lease = undefined
    startAgain(next)
  }

  /** Reads on until a batch is full or nothing is left. True: there may be more. */
  async function fill(): Promise<boolean> {
    const bytes = owed.reduce((sum, { entry }) => sum + entry.bytes.length, 0)
    const entries = limit - owed.length
    if (entries <= 0 || bytes >= sink.maxBatchBytes) return true
    const read = await work(() => store.read(log, next, { entries, bytes: sink.maxBatchBytes - bytes }))
    // Behind the head that we know there may be forged ones, or those that were sealed meanwhile: not passed by.
    const rows = read.filter((row) => row.leaf.index < size)
    const wanted = rows.filter((row) => isFor(sink, row.leaf))
    const fresh = wanted.filter((row) => row.bytes !== null)
    await buryMissing(wanted)
    const last = rows.at(-1)
    // What was taken out of the log is not waited for: `verify` finds it.
    if (last === undefined) return false
    next = last.leaf.index + 1
    owed = [...owed, ...fresh.map((row) => ({ entry: entryOf(row), tries: 0, notBeforeMs: -Infinity }))]
    if (fresh.length > 0) waitsSinceMs ??= clock.monotonic()
    return next < size
  }

  /** What is not there any more can never be sent: the cursor must not pass it by in silence. */
  async function buryMissing(rows: readonly SealedRow[]): Promise<void> {
    const missing = rows.filter(({ leaf, bytes }) => bytes === null && leaf.index >= pruned)
    if (missing.length > 0) await bury(missing.map(({ leaf }) => ({ entry: leaf, reason: 'its bytes are missing' })))
  }

  function entryOf({ leaf: { index, id, scope, action, atMs }, bytes }: SealedRow): BatchEntry {
    return { index, id, scope, action, atMs, bytes: bytes!, leaf: o.leafHash(bytes!) }
  }

  /** Those that may go now: an ordered sink waits for its first one. */
  function dueNow(nowMs: number): readonly Owed[] {
    if (ordered) return (owed[0]?.notBeforeMs ?? Infinity) > nowMs ? [] : owed.slice(0, limit)
    return owed.filter(({ notBeforeMs }) => notBeforeMs <= nowMs).slice(0, limit)
  }

  const deliver = async (entries: readonly BatchEntry[]): Promise<unknown> =>
    limited(async (signal) => {
      if (!isSetUp) await sink.setup?.(signal)
      signal.throwIfAborted()
      isSetUp = true
      return traced(
        'audit:deliver',
        () => ({ sink: name, entries: entries.length }),
        async () => sink.deliver({ log, entries }, signal),
      )
    })

  async function ship(sent: readonly Owed[]): Promise<void> {
    const entries = sent.map(({ entry }) => entry)
    const outcomes = await deliver(entries).catch((error: unknown) => wholeBatch(entries, error))
    const result = decideOutcomes(sent, outcomes, { ordered, nowMs: clock.monotonic(), random })
    const nowMs = clock.now()
    // Before the cursor passes them by.
    if (result.dead.length > 0) await bury(result.dead)
    const isSent = new Set(sent)
    owed = [...owed.filter((one) => !isSent.has(one)), ...result.owed].toSorted((a, b) => a.entry.index - b.entry.index)
    waitsSinceMs = owed.length > 0 ? clock.monotonic() : undefined
    if (result.settled > 0) {
      lastAckAt = nowMs
      metrics.shipped.inc({ sink: name }, result.settled)
    }
    if (result.retry !== undefined) {
      lastError = result.retry
      metrics.retries.inc({ sink: name, reason: result.settled > 0 ? 'item' : 'request' }, result.owed.length)
    }
    const gotOn = result.settled + result.dead.length > 0
    if (gotOn) limit = Math.min(sink.maxBatchEntries, limit * 2)
    failures = gotOn ? 0 : failures + 1
    setHalted(result.halt)
    await moveCursor()
  }

  async function bury(
    letters: readonly { readonly entry: { readonly index: number; readonly id: string }; readonly reason: string }[],
  ): Promise<void> {
    const atMs = clock.now()
    const rows = letters.map(({ entry: { index, id }, reason }) => ({ sink: name, index, id, reason, atMs }))
    await work(() => store.deadLetters.bury(log, rows))
    countedAtMs = -Infinity
    dead += rows.length
    metrics.dead.inc({ sink: name }, rows.length)
    for (const { index, id, reason } of rows) logger.warn({ sink: name, index, id, reason }, 'audit.dead_letter')
  }

  /** What a rejection says of all: 413 halves the batch, the rest is tried again. */
  function wholeBatch(entries: readonly BatchEntry[], error: unknown): readonly Outcome[] {
    const { status, retryAfter, halt } = (error ?? {}) as Partial<DeliveryFailure>
    const why = wordsOf(error)
    if (halt === true) return entries.map(() => ({ halt: why }))
    if (status === 413) {
      if (entries.length === 1) return [{ reject: why }]
      limit = Math.ceil(entries.length / 2)
      return entries.map(() => ({ retry: why, after: 0 }))
    }
    const waitMs = backoffMs(failures, retryAfter, random)
    backoffUntilMs = clock.monotonic() + waitMs
    return entries.map(() => ({ retry: why, after: waitMs }))
  }

  function setHalted(reason: string | undefined): void {
    if (reason !== undefined) {
      if (halted === undefined) logger.error({ sink: name, reason }, 'audit.sink.halted')
      lastError = reason
      backoffUntilMs = clock.monotonic() + HALT_PROBE_MS
    } else if (halted !== undefined) {
      logger.info({ sink: name }, 'audit.sink.recovered')
    }
    halted = reason
  }

  /** Up to where the sink has everything, as far as that is proved. */
  function settledTo(from: number): number {
    const { settleAfterMs } = sink
    if (settleAfterMs === undefined) return cursorOf()
    const nowMs = clock.monotonic()
    const to = cursorOf()
    if (to > (trail.at(-1)?.to ?? from)) trail.push({ to, atMs: nowMs })
    const proved = trail.findLastIndex(({ atMs }) => nowMs - atMs >= settleAfterMs)
    return trail.splice(0, proved + 1).at(-1)?.to ?? from
  }

  /** What was sent over a connection that broke goes again. */
  function startAgain(from: number): void {
    next = from
    owed = []
    trail = []
    waitsSinceMs = undefined
  }

  async function moveCursor(): Promise<void> {
    if (lease === undefined) return
    const to = settledTo(lease.cursor)
    if (to === lease.cursor) return
    const { fence } = lease
    const moved = await work(() => store.advance(log, name, fence, to, ttlMs, sink.state?.() ?? null))
    if (moved) lease = { fence, sinceMs: clock.monotonic(), cursor: to }
    else lose()
  }

  /** Entries that were refused and are wanted there again. True: some were delivered. */
  async function replay(): Promise<boolean> {
    if (dead === 0) return false
    const wanted = await work(() =>
      store.deadLetters.list(log, { sink: name, again: true, limit: Math.min(limit, DEAD_STEP) }),
    )
    if (wanted.length === 0) return false
    const all = await Promise.all(wanted.map(({ id }) => work(() => store.find(log, id))))
    const found = all.filter((row) => row !== null)
    const rows = found.filter((row) => row.bytes !== null)
    await buryMissing(found)
    const known = new Set(found.filter(({ leaf, bytes }) => bytes !== null || leaf.index >= pruned).map(idOf))
    const gone = wanted.filter(({ id }) => !known.has(id)).map(({ id }) => id)
    const sent = rows.map((row) => ({ entry: entryOf(row), tries: 0, notBeforeMs: -Infinity }))
    const entries = sent.map(({ entry }) => entry)
    const outcomes =
      sent.length === 0 ? [] : await deliver(entries).catch((error: unknown) => wholeBatch(entries, error))
    const result = decideOutcomes(sent, outcomes, { ordered: false, nowMs: clock.monotonic(), random })
    const open = new Set([...result.owed.map((one) => one.entry.id), ...result.dead.map((one) => one.entry.id)])
    const done = [...gone, ...entries.map(({ id }) => id).filter((id) => !open.has(id))]
    if (done.length > 0) dead -= await work(() => store.deadLetters.remove(log, { sink: name, ids: done }))
    if (result.dead.length > 0) await bury(result.dead)
    setHalted(result.halt)
    if (result.settled > 0) metrics.shipped.inc({ sink: name }, result.settled)
    return result.owed.length === 0
  }

  function idleMs(nowMs: number): number {
    const [first] = trail
    if (first === undefined) return POLL_MS
    return Math.min(POLL_MS, Math.max(1, first.atMs + sink.settleAfterMs! - nowMs))
  }

  /** Another node, or the command line, may have moved them. */
  async function countDead(nowMs: number): Promise<void> {
    if (nowMs - countedAtMs < POLL_MS) return
    countedAtMs = nowMs
    dead = (await work(() => store.deadLetters.count(log)))[name] ?? 0
  }

  async function shipOnce(): Promise<number> {
    let nowMs = clock.monotonic()
    if (paused) return POLL_MS
    if (nowMs < backoffUntilMs) return backoffUntilMs - nowMs
    const held = await take()
    if (held === undefined) return POLL_MS
    if (sink.lost?.() === true) startAgain(held.cursor)
    ;({ size, pruned } = await work(() => store.head(log)))
    await countDead(nowMs)
    if (await replay()) return 0
    // Behind something that goes again an ordered sink takes nothing more.
    const more = next < size && (!ordered || owed.every(({ tries }) => tries === 0)) ? await fill() : next < size
    nowMs = clock.monotonic()
    const due = dueNow(nowMs)
    if (due.length === 0) {
      await moveCursor()
      if (owed.length === 0) return more ? 0 : idleMs(nowMs)
      const nextMs = ordered ? owed[0]!.notBeforeMs : Math.min(...owed.map(({ notBeforeMs }) => notBeforeMs))
      return Math.max(0, nextMs - nowMs)
    }
    const waitedMs = nowMs - (waitsSinceMs ?? nowMs)
    const isFull = more || due.some(({ tries }) => tries > 0) || hurriedTo > cursorOf()
    if (!isFull && waitedMs < sink.flushMs) return sink.flushMs - waitedMs
    await ship(due)
    return Math.max(0, Math.min(backoffUntilMs - clock.monotonic(), POLL_MS))
  }

  async function turn(): Promise<number> {
    try {
      return await shipOnce()
    } catch (error) {
      if (isStopping) return POLL_MS
      if (!isKeelsonError(error)) lastError = wordsOf(error)
      throw error
    }
  }

  return {
    name,
    turn: async () =>
      (turning ??= turn().finally(() => {
        turning = undefined
      })),
    hurry(to) {
      hurriedTo = to
    },
    pause() {
      paused = true
    },
    resume() {
      paused = false
      backoffUntilMs = -Infinity
      owed = owed.map((one) => ({ ...one, notBeforeMs: -Infinity }))
    },
    status() {
      const nowMs = clock.monotonic()
      const cursor = lease?.cursor ?? cursorOf()
      const oldest = owed[0]?.entry.id
      return {
        state: paused ? 'paused' : halted !== undefined ? 'halted' : nowMs < backoffUntilMs ? 'backoff' : 'running',
        cursor,
        pending: Math.max(0, size - cursor),
        oldestMs: oldest === undefined ? null : Math.max(0, clock.now() - timeOf(oldest)),
        lastAckAt,
        lastError,
        dead,
      }
    },
    interrupt() {
      isStopping = true
      under?.abort(new Error('stopped'))
    },
    async end() {
      isStopping = true
      under?.abort(new Error('stopped'))
      await turning?.catch(() => {})
      const held = claimedFence
      claimedFence = undefined
      lose()
      if (held !== undefined) await work(() => store.release(log, name, held)).catch(() => {})
      isStopping = false
      // Whoever closes us must not wait for a sink that does not end.
      await limited(async () => sink.close?.()).catch((error: unknown) => {
        logger.warn({ sink: name, err: error }, 'a sink of audit could not be closed')
      })
    },
  }
}

const idOf = ({ leaf }: SealedRow): string => leaf.id

function wordsOf(error: unknown): string {
  const { message } = (error ?? {}) as { message?: unknown }
  return typeof message === 'string' ? message : String(error)
}
