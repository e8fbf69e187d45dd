import { checkOptions, KernelError, opt, systemClock, type Clock } from '@keelson/kernel'
import { decideBegin, type Decision, type StoredRecord } from './decide-begin.ts'
import { optionFailure } from './error.ts'
import { createExpiryHeap } from './expiry-heap.ts'
import type { Fingerprint } from './fingerprint.ts'
import { operationIdOf } from './nonce.ts'
import { textOf } from './text-of.ts'
import type { Claim, IdempotencyStore, Own, RecordView, SubjectRecord, Trace } from './store.ts'

const SPEC = {
  maxRecords: opt.integer(100_000, { min: 1 }),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
}

/** Texts, where they can be: a typed array of 16 bytes takes over 100. */
interface MemoryRecord {
  state: RecordView['state']
  nonce: string
  fence: bigint
  attempt: number
  alg: Fingerprint['alg'] | undefined
  digest: string
  leaseMs: number
  leaseEndsMs: number
  expiresMs: number
  beganMs: number
  /** Bytes as text, one a character, as the others: it costs the collector less, and is a copy. */
  answer: string | undefined
  checkpoint: Uint8Array | undefined
  trace: Trace | undefined
  op: string | undefined
  subject: string | undefined
}

/**
 * Records of one process: for tests, development and single-node applications. They end with the process. With
 * `maxRecords` (100,000) unexpired records a new claim is refused with STORE_UNAVAILABLE.
 * @throws IdempotencyError OPTION_INVALID
 */
export function memoryStore(
  options: { readonly maxRecords?: number; readonly clock?: Clock } = {},
): IdempotencyStore & { readonly transactional: false } {
  const { maxRecords, clock } = checkOptions('memoryStore', options, SPEC, optionFailure)
  const records = new Map<string, MemoryRecord>()
  const expiries = createExpiryHeap()
  const waiters = new Map<string, Set<() => void>>()
  let lastFence = 0n

  function live(key: string): MemoryRecord | undefined {
    const record = records.get(key)
    return record === undefined || record.expiresMs <= clock.monotonic() ? undefined : record
  }

  /** Removes at most `limit` expired records. */
  function expire(limit: number): number {
    const nowMs = clock.monotonic()
    let removed = 0
    while (removed < limit) {
      const key = expiries.popDue(nowMs)
      if (key === undefined) break
      const record = records.get(key)
      if (record === undefined) continue
      // It was renewed since: its turn comes again.
      if (record.expiresMs > nowMs) expiries.push(record.expiresMs, key)
      else {
        records.delete(key)
        removed++
      }
    }
    return removed
  }

  /** Records that were released leave their entries behind; they must not outnumber the living. */
  function compact(): void {
    if (expiries.size < 2 * records.size + 1_000) return
    expiries.clear()
    for (const [key, { expiresMs }] of records) expiries.push(expiresMs, key)
  }

  function take(key: string, claim: Claim, attempt: number, before: MemoryRecord | undefined): MemoryRecord {
    const nowMs = clock.monotonic()
    const { fingerprint, trace, op, subject } = claim
    const record: MemoryRecord = {
      state: 'inflight',
      nonce: textOf(claim.nonce),
      fence: ++lastFence,
      attempt,
      alg: fingerprint?.alg,
      digest: fingerprint === undefined ? '' : textOf(fingerprint.digest),
      leaseMs: claim.leaseMs,
      leaseEndsMs: nowMs + claim.leaseMs,
      expiresMs: nowMs + Math.max(claim.retainMs, claim.leaseMs),
      // Whole numbers take no object of their own, and this one is only shown.
      beganMs: Math.floor(nowMs),
      answer: undefined,
      checkpoint: before?.checkpoint,
      trace: trace?.correlationId === undefined && trace?.traceparent === undefined ? undefined : trace,
      op,
      subject: subject === undefined ? undefined : textOf(subject),
    }
    records.set(key, record)
    expiries.push(record.expiresMs, key)
    compact()
    return record
  }

  /** The record must outlive its lease: its fence refuses a late owner. */
  function renew(record: MemoryRecord, leaseMs: number): void {
    record.leaseEndsMs = clock.monotonic() + leaseMs
    record.expiresMs = Math.max(record.expiresMs, record.leaseEndsMs)
  }

  function ownedBy(key: string, own: Own): MemoryRecord | undefined {
    const record = live(key)
    return record !== undefined && record.nonce === textOf(own.nonce) && record.fence === own.fence ? record : undefined
  }

  function wallOf({ beganMs }: MemoryRecord): number {
    return clock.now() - Math.max(0, clock.monotonic() - beganMs)
  }

  function wake(key: string): void {
    const woken = waiters.get(key)
    waiters.delete(key)
    for (const resolve of woken ?? []) resolve()
  }

  return {
    transactional: false,

    async begin(ref, claim) {
      const key = textOf(ref)
      const held = live(key)
      const decided = held === undefined ? FIRST : decide(held, claim, clock.monotonic())
      switch (decided.kind) {
        case 'mine': {
          renew(held!, claim.leaseMs)
          return yours(held!)
        }
        case 'take': {
          expire(2)
          if (!records.has(key) && records.size >= maxRecords && expire(1) === 0) throw full(maxRecords)
          return yours(take(key, claim, decided.attempt, held))
        }
        default:
          return decided
      }
    },

    async settle(ref, own, as, retainMs) {
      const key = textOf(ref)
      const record = ownedBy(key, own)
      if (record === undefined) return 'lost'
      if (record.state !== 'inflight') return record.state === as.kind ? 'ok' : 'lost'
      if (as.kind === 'release') records.delete(key)
      else if (as.kind === 'lapse') record.leaseEndsMs = clock.monotonic()
      else {
        record.state = as.kind
        record.answer = as.kind === 'done' ? textOf(as.bytes) : undefined
        record.checkpoint = undefined
        record.expiresMs = clock.monotonic() + retainMs
        // Its entry may come later than that.
        if (retainMs < record.leaseMs) expiries.push(record.expiresMs, key)
      }
      wake(key)
      return 'ok'
    },

    async touch(ref, own, leaseMs, checkpoint) {
      const record = ownedBy(textOf(ref), own)
      if (record?.state !== 'inflight') return 'lost'
      renew(record, leaseMs)
      if (checkpoint !== undefined) record.checkpoint = new Uint8Array(checkpoint)
      return 'ok'
    },

    async peek(ref) {
      const record = live(textOf(ref))
      return record === undefined ? null : viewOf(record, clock.monotonic())
    },

    async clear(ref, how) {
      const key = textOf(ref)
      const record = live(key)
      if (record === undefined) return false
      const alive = record.state === 'inflight' && record.leaseEndsMs > clock.monotonic()
      const ended = record.state === 'done' || record.state === 'tombstone'
      if (alive || (how !== 'forget' && ended)) return false
      if (typeof how === 'string') records.delete(key)
      else {
        record.state = 'done'
        record.answer = textOf(how.bytes)
        record.checkpoint = undefined
        record.fence = ++lastFence // a late settle of the old owner changes nothing
      }
      wake(key)
      return true
    },

    wait(ref, signal) {
      const key = textOf(ref)
      return new Promise((resolve) => {
        const waiting = waiters.get(key) ?? new Set()
        waiters.set(key, waiting)
        const done = (): void => {
          waiting.delete(done)
          if (waiting.size === 0 && waiters.get(key) === waiting) waiters.delete(key)
          signal.removeEventListener('abort', done)
          resolve()
        }
        waiting.add(done)
        signal.addEventListener('abort', done, { once: true })
        if (signal.aborted) done()
      })
    },

    async *ofSubject(subject, how) {
      const wanted = textOf(subject)
      for (const [key, record] of records) {
        if (record.subject !== wanted) continue
        if (how === 'export' && record.expiresMs <= clock.monotonic()) continue
        const held = how === 'export' ? heldBy(record) : erase(record, clock.monotonic())
        if (held !== undefined) yield { ref: bytes(key), at: wallOf(record), ...held }
      }
    },

    async sweep(limit) {
      return expire(limit)
    },

    async trace(correlationId, limit) {
      const nowMs = clock.monotonic()
      const found = [...records].filter(([, record]) => {
        return record.trace?.correlationId === correlationId && record.expiresMs > nowMs
      })
      return found.slice(0, limit).map(([key, { state, attempt, nonce, op, answer, beganMs }]) => ({
        ref: bytes(key),
        atMs: clock.now() - (nowMs - beganMs),
        state,
        attempt,
        operationId: operationIdOf(bytes(nonce)),
        ...(op === undefined ? {} : { op }),
        ...(answer === undefined ? {} : { bytes: bytes(answer) }),
      }))
    },

    async counts() {
      const counts: Partial<Record<RecordView['state'], number>> = {}
      for (const { state } of records.values()) counts[state] = (counts[state] ?? 0) + 1
      return counts
    },

    async stuck(max) {
      const nowMs = clock.monotonic()
      return [...records]
        .filter(([, { expiresMs }]) => expiresMs > nowMs)
        .filter(([, { state, leaseEndsMs }]) => state === 'unknown' || (state === 'inflight' && leaseEndsMs <= nowMs))
        .toSorted(([, a], [, b]) => a.beganMs - b.beganMs)
        .slice(0, max)
        .map(([key, record]) => ({ ref: bytes(key), ...viewOf(record, nowMs) }))
    },

    async health() {},
  }
}

const FIRST: Decision = decideBegin(undefined, { onLapsed: 'take' })

function decide(record: MemoryRecord, claim: Claim, nowMs: number): Decision {
  const { state, alg, attempt, leaseEndsMs, answer, trace } = record
  const held: StoredRecord = {
    state,
    ...(alg === undefined ? {} : { fingerprint: { alg, digest: bytes(record.digest) } }),
    operationId: operationIdOf(bytes(record.nonce)),
    attempt,
    expired: false,
    leaseLeftMs: Math.max(0, leaseEndsMs - nowMs),
    ...(answer === undefined ? {} : { answer: bytes(answer) }),
    ...(trace === undefined ? {} : { trace }),
  }
  return decideBegin(held, { ...claim, operationId: operationIdOf(claim.nonce) })
}

function viewOf(record: MemoryRecord, nowMs: number): RecordView {
  return {
    state: record.state,
    attempt: record.attempt,
    ageMs: nowMs - record.beganMs,
    ...(record.state === 'inflight' ? { leaseLeftMs: Math.max(0, record.leaseEndsMs - nowMs) } : {}),
    expiresInMs: record.expiresMs - nowMs,
    bytes: record.answer?.length ?? 0,
    operationId: operationIdOf(bytes(record.nonce)),
    ...(record.op === undefined ? {} : { op: record.op }),
  }
}

function yours({ fence, attempt, checkpoint }: MemoryRecord) {
  // A copy: whoever is answered must not change what is stored.
  return {
    kind: 'yours',
    fence,
    attempt,
    ...(checkpoint === undefined ? {} : { checkpoint: new Uint8Array(checkpoint) }),
  } as const
}

/** What a record has of a person. */
function heldBy({
  state,
  answer,
  checkpoint,
  op,
}: MemoryRecord): Pick<SubjectRecord, 'kind' | 'op' | 'bytes'> | undefined {
  const named = op === undefined ? {} : { op }
  if (state === 'done' && answer !== undefined && answer !== '')
    return { kind: 'answer', ...named, bytes: bytes(answer) }
  return checkpoint === undefined ? undefined : { kind: 'checkpoint', ...named, bytes: new Uint8Array(checkpoint) }
}

/** Takes it away, unless its owner still runs. */
function erase(record: MemoryRecord, nowMs: number): ReturnType<typeof heldBy> {
  const held = heldBy(record)
  if (record.state === 'inflight' && ((record.leaseEndsMs > nowMs && record.expiresMs > nowMs) || held === undefined)) {
    return undefined
  }
  if (held !== undefined) record.state = 'tombstone'
  Object.assign(record, { answer: undefined, checkpoint: undefined, alg: undefined, digest: '', op: undefined })
  return held
}

function full(maxRecords: number): KernelError {
  return new KernelError('STORE_UNAVAILABLE', `memoryStore holds ${maxRecords} records that have not expired`, {
    retryAfter: 1_000,
    details: { reason: 'overload' },
  })
}

function bytes(given: string): Uint8Array {
  return Buffer.from(given, 'latin1')
}
