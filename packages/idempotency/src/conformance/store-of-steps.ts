import type { Clock } from '@keelson/kernel'
import { decideBegin, type Claimant, type Decision, type StoredRecord } from '../decide-begin.ts'
import type { Fingerprint } from '../fingerprint.ts'
import { operationIdOf } from '../nonce.ts'
import type {
  Begin,
  Claim,
  Clearing,
  IdempotencyStore,
  Own,
  RecordView,
  Settlement,
  SubjectRecord,
  Trace,
} from '../store.ts'

/** A record of the store of steps. */
export interface Entry {
  state: RecordView['state']
  nonce: Uint8Array
  fence: bigint
  attempt: number
  fingerprint: Fingerprint | undefined
  leaseEndsMs: number
  expiresMs: number
  beganMs: number
  answer: Uint8Array | undefined
  checkpoint: Uint8Array | undefined
  trace: Trace | undefined
  subject: Uint8Array | undefined
}

type Method = 'begin' | 'settle' | 'touch' | 'clear'
type Part = 'nonce' | 'digest' | 'answer' | 'checkpoint' | 'told'

/** A small memory store, step by step: replace one, and the store is broken in just that way. */
export interface Steps {
  key(ref: Uint8Array): string
  ref(key: string): Uint8Array
  nowMs(clock: Clock): number
  /** Between what a method reads and what it writes. A good store has nothing there. */
  gap(method: Method): Promise<unknown> | undefined
  /** Bytes on their way in. */
  keep(given: Uint8Array, part: Part): Uint8Array
  /** Bytes on their way out. */
  give(kept: Uint8Array): Uint8Array
  decide(record: StoredRecord | undefined, claimant: Claimant): Decision
  nextFence(before: Entry | undefined, last: bigint): bigint
  /** A claim as it is written; `before` is what was there, a later attempt takes it over. */
  claimed(entry: Entry, before: Entry | undefined, claim: Claim): Entry
  expiresMs(claim: Claim, nowMs: number): number
  /** A begin that is sent again. */
  renew(entry: Entry, claim: Claim, nowMs: number, nextFence: () => bigint): void
  owns(entry: Entry, own: Own, method: Method, nowMs: number): boolean
  /** The end of an own run: 'gone' removes the record. */
  end(entry: Entry, as: Settlement, retainMs: number, nowMs: number): 'ok' | 'lost' | 'gone'
  touch(entry: Entry, leaseMs: number, checkpoint: Uint8Array | undefined, nowMs: number): 'ok' | 'lost'
  view(entry: Entry, nowMs: number): RecordView | null
  /** 'gone' removes the record. */
  clear(entry: Entry, how: Clearing, nowMs: number, nextFence: () => bigint): boolean | 'gone'
  /** Whether who waits hears of this end. */
  wakes(end: Settlement['kind'] | 'clear'): boolean
  /** How many of those who wait wake up. */
  woken(waiting: number): number
  /** What a signal does to a wait: end it or not. */
  heeds(signal: AbortSignal): boolean
  /** Which records a sweep removes, and what it says. */
  sweep(expired: string[], living: string[], limit: number, lapsed: string[]): { remove: string[]; say: number }
  count(counted: number): number
  /** What a record has of a person. */
  held(entry: Entry): Pick<SubjectRecord, 'kind' | 'bytes'> | undefined
  isOf(entry: Entry, subject: Uint8Array, how: 'export' | 'erase', nowMs: number): boolean
  /** Takes away what is held. */
  erase(entry: Entry, nowMs: number): void
  /** A record whose owner still runs. */
  isRunning(entry: Entry, nowMs: number): boolean
  /** Which of all records wait for an operator. */
  stuck(entries: [string, Entry][], max: number, nowMs: number): [string, Entry][]
}

/** Each step as it should be. */
export const goodSteps: Steps = {
  key: (ref) => Buffer.from(ref).toString('hex'),
  ref: (key) => Buffer.from(key, 'hex'),
  nowMs: (clock) => clock.monotonic(),
  gap: () => undefined,
  keep: (given) => new Uint8Array(given),
  give: (kept) => new Uint8Array(kept),
  decide: decideBegin,
  nextFence: (_, last) => last + 1n,
  claimed: (entry, before) => ({ ...entry, checkpoint: entry.attempt > 1 ? before?.checkpoint : undefined }),
  expiresMs: (claim, nowMs) => nowMs + Math.max(claim.retainMs, claim.leaseMs),
  renew(entry, claim, nowMs) {
    entry.leaseEndsMs = nowMs + claim.leaseMs
    entry.expiresMs = Math.max(entry.expiresMs, entry.leaseEndsMs)
  },
  owns: (entry, own) => Buffer.compare(entry.nonce, own.nonce) === 0 && entry.fence === own.fence,
  end(entry, as, retainMs, nowMs) {
    if (entry.state !== 'inflight') return entry.state === as.kind ? 'ok' : 'lost'
    if (as.kind === 'release') return 'gone'
    if (as.kind === 'lapse') entry.leaseEndsMs = nowMs
    else {
      entry.state = as.kind
      entry.answer = as.kind === 'done' ? as.bytes : undefined
      entry.checkpoint = undefined
      entry.expiresMs = nowMs + retainMs
    }
    return 'ok'
  },
  touch(entry, leaseMs, checkpoint, nowMs) {
    if (entry.state !== 'inflight') return 'lost'
    entry.leaseEndsMs = nowMs + leaseMs
    entry.expiresMs = Math.max(entry.expiresMs, entry.leaseEndsMs)
    entry.checkpoint = checkpoint ?? entry.checkpoint
    return 'ok'
  },
  view: (entry, nowMs) => ({
    state: entry.state,
    attempt: entry.attempt,
    ageMs: nowMs - entry.beganMs,
    ...(entry.state === 'inflight' ? { leaseLeftMs: Math.max(0, entry.leaseEndsMs - nowMs) } : {}),
    expiresInMs: entry.expiresMs - nowMs,
    bytes: entry.answer?.length ?? 0,
    operationId: operationIdOf(entry.nonce),
  }),
  clear(entry, how, nowMs, nextFence) {
    const alive = entry.state === 'inflight' && entry.leaseEndsMs > nowMs
    const answered = entry.state === 'done' || entry.state === 'tombstone'
    if (alive || (how !== 'forget' && answered)) return false
    if (typeof how === 'string') return 'gone'
    entry.state = 'done'
    entry.answer = how.bytes
    entry.fence = nextFence()
    return true
  },
  wakes: () => true,
  woken: (waiting) => waiting,
  heeds: () => true,
  sweep(expired, _living, limit) {
    const remove = expired.slice(0, limit)
    return { remove, say: remove.length }
  },
  count: (counted) => counted,
  held({ answer, checkpoint }) {
    if (answer !== undefined) return answer.length === 0 ? undefined : { kind: 'answer', bytes: answer }
    return checkpoint === undefined ? undefined : { kind: 'checkpoint', bytes: checkpoint }
  },
  isOf: ({ subject, expiresMs }, wanted, how, nowMs) =>
    subject !== undefined && Buffer.compare(subject, wanted) === 0 && (how === 'erase' || expiresMs > nowMs),
  erase(entry) {
    entry.state = 'tombstone'
    entry.answer = entry.checkpoint = entry.fingerprint = undefined
  },
  isRunning: (entry, nowMs) => entry.state === 'inflight' && entry.leaseEndsMs > nowMs,
  stuck: (entries, max, nowMs) =>
    entries
      .filter(([, { state, leaseEndsMs }]) => state === 'unknown' || (state === 'inflight' && leaseEndsMs <= nowMs))
      .toSorted(([, a], [, b]) => a.beganMs - b.beganMs)
      .slice(0, max),
}

/** The store that these steps make. */
export function storeOfSteps(steps: Steps, clock: Clock): IdempotencyStore {
  const entries = new Map<string, Entry>()
  const waiting = new Map<string, Set<() => void>>()
  let lastFence = 0n
  const now = (): number => steps.nowMs(clock)
  const isExpired = (entry: Entry): boolean => entry.expiresMs <= now()
  const nextFence = (before?: Entry): bigint => (lastFence = steps.nextFence(before, lastFence))

  function live(key: string): Entry | undefined {
    const entry = entries.get(key)
    return entry === undefined || isExpired(entry) ? undefined : entry
  }

  /** A record as a method goes on with it: with a gap as it was before, so what others wrote in it is lost. */
  function read(method: Method, entry: Entry | undefined): Entry | undefined | Promise<Entry | undefined> {
    const gap = steps.gap(method)
    if (gap === undefined) return entry
    const copy = entry === undefined ? undefined : { ...entry }
    return gap.then(() => copy)
  }

  function wake(key: string): void {
    const all = [...(waiting.get(key) ?? [])]
    for (const done of all.slice(0, steps.woken(all.length))) done()
  }

  function yours({ fence, attempt, checkpoint }: Entry): Begin {
    return {
      kind: 'yours',
      fence,
      attempt,
      ...(checkpoint === undefined ? {} : { checkpoint: steps.give(checkpoint) }),
    }
  }

  return {
    transactional: false,

    async begin(ref, claim) {
      const key = steps.key(ref)
      const held = entries.get(key)
      const record = held === undefined ? undefined : stored(held, isExpired(held), now(), steps)
      const decided = steps.decide(record, { ...claim, operationId: operationIdOf(claim.nonce) })
      const reading = read('begin', held)
      const before = reading instanceof Promise ? await reading : reading
      if (decided.kind === 'mine') {
        steps.renew(before!, claim, now(), nextFence)
        entries.set(key, before!)
        return yours(before!)
      }
      if (decided.kind !== 'take') return decided
      const { fingerprint, trace } = claim
      const entry: Entry = {
        state: 'inflight',
        nonce: steps.keep(claim.nonce, 'nonce'),
        fence: nextFence(before),
        attempt: decided.attempt,
        fingerprint: fingerprint && { alg: fingerprint.alg, digest: steps.keep(fingerprint.digest, 'digest') },
        leaseEndsMs: now() + claim.leaseMs,
        expiresMs: steps.expiresMs(claim, now()),
        beganMs: now(),
        answer: undefined,
        checkpoint: undefined,
        trace,
        subject: claim.subject && steps.keep(claim.subject, 'digest'),
      }
      const written = steps.claimed(entry, before, claim)
      entries.set(key, written)
      return yours(written)
    },

    async settle(ref, own, as, retainMs) {
      const key = steps.key(ref)
      const found = live(key)
      if (found === undefined || !steps.owns(found, own, 'settle', now())) return 'lost'
      const reading = read('settle', found)
      const entry = (reading instanceof Promise ? await reading : reading)!
      const kept = as.kind === 'done' ? { ...as, bytes: steps.keep(as.bytes, 'answer') } : as
      const ended = steps.end(entry, kept, retainMs, now())
      if (ended === 'gone') entries.delete(key)
      else entries.set(key, entry)
      if (ended !== 'lost' && steps.wakes(as.kind)) wake(key)
      return ended === 'lost' ? 'lost' : 'ok'
    },

    async touch(ref, own, leaseMs, checkpoint) {
      const key = steps.key(ref)
      const found = live(key)
      if (found === undefined || !steps.owns(found, own, 'touch', now())) return 'lost'
      const reading = read('touch', found)
      const entry = (reading instanceof Promise ? await reading : reading)!
      entries.set(key, entry)
      return steps.touch(entry, leaseMs, checkpoint && steps.keep(checkpoint, 'checkpoint'), now())
    },

    async peek(ref) {
      const entry = live(steps.key(ref))
      return entry === undefined ? null : steps.view(entry, now())
    },

    async clear(ref, how) {
      const key = steps.key(ref)
      const found = live(key)
      if (found === undefined) return false
      const reading = read('clear', found)
      const entry = (reading instanceof Promise ? await reading : reading)!
      const kept = typeof how === 'string' ? how : { bytes: steps.keep(how.bytes, 'told') }
      const cleared = steps.clear(entry, kept, now(), nextFence)
      if (cleared === 'gone') entries.delete(key)
      else entries.set(key, entry)
      if (cleared !== false && steps.wakes('clear')) wake(key)
      return cleared !== false
    },

    wait(ref, signal) {
      const key = steps.key(ref)
      return new Promise((resolve) => {
        const those = waiting.get(key) ?? new Set()
        waiting.set(key, those)
        const done = (): void => {
          those.delete(done)
          resolve()
        }
        those.add(done)
        if (!steps.heeds(signal)) return
        signal.addEventListener('abort', done, { once: true })
        if (signal.aborted) done()
      })
    },

    async sweep(limit) {
      const [expired, living]: [string[], string[]] = [[], []]
      for (const [key, entry] of entries) (isExpired(entry) ? expired : living).push(key)
      const lapsed = living.filter(
        (key) => entries.get(key)!.state === 'inflight' && entries.get(key)!.leaseEndsMs <= now(),
      )
      const { remove, say } = steps.sweep(expired, living, limit, lapsed)
      for (const key of remove) entries.delete(key)
      return say
    },

    async *ofSubject(subject, how): AsyncIterable<SubjectRecord> {
      for (const [key, entry] of entries) {
        if (!steps.isOf(entry, subject, how, now())) continue
        if (how === 'erase' && steps.isRunning(entry, now())) continue
        const held = steps.held(entry)
        if (how === 'erase' && held !== undefined) steps.erase(entry, now())
        else if (how === 'erase' && entry.state !== 'inflight') entry.fingerprint = undefined
        if (held !== undefined) yield { ref: steps.ref(key), at: Date.now(), ...held }
      }
    },

    async counts() {
      const counts: Partial<Record<RecordView['state'], number>> = {}
      for (const { state } of entries.values()) counts[state] = (counts[state] ?? 0) + 1
      for (const [state, count] of Object.entries(counts)) counts[state as RecordView['state']] = steps.count(count)
      return counts
    },

    async stuck(max) {
      const living = [...entries].filter(([, entry]) => !isExpired(entry))
      return steps.stuck(living, max, now()).flatMap(([key, entry]) => {
        const view = steps.view(entry, now())
        return view === null ? [] : [{ ref: Buffer.from(key, 'hex'), ...view }]
      })
    },

    async health() {},
  }
}

function stored(entry: Entry, expired: boolean, nowMs: number, { give }: Steps): StoredRecord {
  return {
    state: entry.state,
    ...(entry.fingerprint === undefined ? {} : { fingerprint: entry.fingerprint }),
    operationId: operationIdOf(entry.nonce),
    attempt: entry.attempt,
    expired,
    leaseLeftMs: Math.max(0, entry.leaseEndsMs - nowMs),
    ...(entry.answer === undefined ? {} : { answer: give(entry.answer) }),
    ...(entry.trace === undefined ? {} : { trace: entry.trace }),
  }
}
