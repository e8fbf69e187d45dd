import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import type { Claimant, Decision, StoredRecord } from '../decide-begin.ts'
import type { Fingerprint } from '../fingerprint.ts'
import { goodSteps as good, storeOfSteps, type Entry, type Steps } from './store-of-steps.ts'
import type { StoreUnderTest } from './store-under-test.ts'
import { without } from './without.ts'

type Decide = (record: StoredRecord, claimant: Claimant) => Decision

/** A decision that is wrong about a record that is there. */
function decides(decide: Decide): Partial<Steps> {
  return {
    decide: (record, claimant) => (record === undefined ? good.decide(record, claimant) : decide(record, claimant)),
  }
}

/** Both fingerprints as texts, or undefined where one is missing. */
function digests(a: Fingerprint | undefined, b: Fingerprint | undefined, length = 32): [string, string] | undefined {
  if (a === undefined || b === undefined) return undefined
  const text = ({ digest }: Fingerprint): string => Buffer.from(digest.subarray(0, length)).toString('hex')
  return [text(a), text(b)]
}

const isSameNonce = (entry: Entry, nonce: Uint8Array): boolean => Buffer.compare(entry.nonce, nonce) === 0
/** What a driver's round trip is to everybody else: time to act. */
const roundTrip = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
const asText = (bytes: Uint8Array): Uint8Array => Buffer.from(Buffer.from(bytes).toString('utf8'))

/** One wrong step each; the name says what is wrong. */
const wrongSteps: Record<string, Partial<Steps>> = {
  // Who may have it.
  'get, then set': { gap: (method) => (method === 'begin' ? roundTrip() : undefined) },
  'settle reads, then writes': { gap: (method) => (method === 'settle' ? roundTrip() : undefined) },
  'touch reads, then writes': { gap: (method) => (method === 'touch' ? roundTrip() : undefined) },
  'clear reads, then writes': { gap: (method) => (method === 'clear' ? roundTrip() : undefined) },
  'refs are cut to 15 bytes': { key: (ref) => good.key(ref.subarray(0, 15)) },
  'refs are kept as UTF-8 text': { key: (ref) => Buffer.from(ref).toString('utf8') },
  'refs are read without their offset': { key: (ref) => Buffer.from(ref.buffer as ArrayBuffer, 0, 16).toString('hex') },

  // The order of the decision.
  'mismatch after state': decides((record, claimant) => {
    const decided = good.decide(record, without(claimant, 'fingerprint'))
    return decided.kind === 'take' ? good.decide(record, claimant) : decided
  }),
  'mismatch is not seen in flight': decides((record, claimant) =>
    record.state === 'inflight' && record.leaseLeftMs > 0
      ? good.decide(record, without(claimant, 'fingerprint'))
      : good.decide(record, claimant),
  ),
  'mismatch is not seen of a lapsed record': decides((record, claimant) =>
    record.state === 'inflight' && record.leaseLeftMs === 0
      ? good.decide(record, without(claimant, 'fingerprint'))
      : good.decide(record, claimant),
  ),
  'mismatch is not seen of an unknown record': decides((record, claimant) =>
    good.decide(record, record.state === 'unknown' ? without(claimant, 'fingerprint') : claimant),
  ),
  'mismatch after nonce': decides((record, claimant) =>
    record.state === 'inflight' && record.operationId === claimant.operationId
      ? { kind: 'mine' }
      : good.decide(record, claimant),
  ),
  'an expired record still mismatches': decides((record, claimant) =>
    good.decide({ ...record, expired: false }, claimant).kind === 'mismatch'
      ? { kind: 'mismatch' }
      : good.decide(record, claimant),
  ),
  'half of a digest is compared': decides((record, claimant) => {
    const texts = digests(record.fingerprint, claimant.fingerprint, 16)
    return texts !== undefined && texts[0] === texts[1]
      ? good.decide(without(record, 'fingerprint'), claimant)
      : good.decide(record, claimant)
  }),
  'another algorithm is a mismatch': decides((record, claimant) => {
    const texts = digests(record.fingerprint, claimant.fingerprint)
    return !record.expired && texts !== undefined && texts[0] !== texts[1]
      ? { kind: 'mismatch' }
      : good.decide(record, claimant)
  }),
  'a missing fingerprint is a mismatch': decides((record, claimant) =>
    !record.expired && (record.fingerprint === undefined) !== (claimant.fingerprint === undefined)
      ? { kind: 'mismatch' }
      : good.decide(record, claimant),
  ),
  'a skipped comparison is not told': decides((record, claimant) => {
    const decided = good.decide(record, claimant)
    return 'fingerprintSkipped' in decided ? without(decided, 'fingerprintSkipped') : decided
  }),
  'begin knows no nonce': decides((record, claimant) => good.decide(record, without(claimant, 'operationId'))),
  'begin knows its nonce only while the lease is alive': decides((record, claimant) =>
    good.decide(record, record.leaseLeftMs > 0 ? claimant : without(claimant, 'operationId')),
  ),
  'a nonce claims again after its end': decides((record, claimant) =>
    !record.expired && record.operationId === claimant.operationId && record.state !== 'inflight'
      ? { kind: 'take', attempt: record.attempt }
      : good.decide(record, claimant),
  ),
  'expired never taken': decides((record, claimant) => good.decide({ ...record, expired: false }, claimant)),
  'a lapsed record is taken from who asked for a report': decides((record, claimant) =>
    good.decide(record, { ...claimant, onLapsed: 'take' }),
  ),
  'a lapsed record is only ever reported': decides((record, claimant) =>
    good.decide(record, { ...claimant, onLapsed: 'report' }),
  ),
  'a lease never lapses': decides((record, claimant) => good.decide({ ...record, leaseLeftMs: 1 }, claimant)),
  'a living lease is taken': decides((record, claimant) => good.decide({ ...record, leaseLeftMs: 0 }, claimant)),
  'an unknown record runs again': decides((record, claimant) => {
    const decided = good.decide(record, claimant)
    return decided.kind === 'unknown' ? { kind: 'take', attempt: record.attempt + 1 } : decided
  }),
  'a tombstone runs again': decides((record, claimant) => {
    const decided = good.decide(record, claimant)
    return decided.kind === 'tombstone' ? { kind: 'take', attempt: record.attempt + 1 } : decided
  }),
  'a tombstone is an empty answer': decides((record, claimant) =>
    good.decide(record.state === 'tombstone' ? { ...record, state: 'done' } : record, claimant),
  ),
  'an empty answer is a tombstone': decides((record, claimant) =>
    good.decide(
      record.state === 'done' && record.answer?.length === 0 ? { ...record, state: 'tombstone' } : record,
      claimant,
    ),
  ),
  'a take-over counts no attempt': decides((record, claimant) => {
    const decided = good.decide(record, claimant)
    return decided.kind === 'take' ? { kind: 'take', attempt: 1 } : decided
  }),
  'an expired record counts on': decides((record, claimant) =>
    record.expired ? { kind: 'take', attempt: record.attempt + 1 } : good.decide(record, claimant),
  ),
  'an answer names who asks': decides((record, claimant) => {
    const decided = good.decide(record, claimant)
    return decided.kind === 'done' ? { ...decided, operationId: claimant.operationId! } : decided
  }),
  'an answer has no trace': decides((record, claimant) => good.decide(without(record, 'trace'), claimant)),
  'what is left of a lease is told in seconds': decides((record, claimant) => {
    const decided = good.decide(record, claimant)
    return decided.kind === 'busy' ? { ...decided, leaseLeftMs: decided.leaseLeftMs / 1000 } : decided
  }),

  // The claim as it is written.
  'fences begin again with each record': { nextFence: (before) => (before?.fence ?? 0n) + 1n },
  'a take-over keeps the fence': { nextFence: (before, last) => before?.fence ?? last + 1n },
  'a begin that is sent again has a new fence': {
    renew(entry, claim, nowMs, nextFence) {
      good.renew(entry, claim, nowMs, nextFence)
      entry.fence = nextFence()
    },
  },
  'a begin that is sent again keeps its old lease': { renew() {} },
  'a begin that is sent again does not renew its record': {
    renew(entry, claim, nowMs) {
      entry.leaseEndsMs = nowMs + claim.leaseMs
    },
  },
  'a take-over loses what was saved': { claimed: (entry) => entry },
  'a checkpoint outlives its record': { claimed: (entry, before) => ({ ...entry, checkpoint: before?.checkpoint }) },
  'a take-over keeps the old trace': {
    claimed: (entry, before, claim) => ({
      ...good.claimed(entry, before, claim),
      trace: before === undefined ? entry.trace : before.trace,
    }),
  },
  'a take-over keeps the age': {
    claimed: (entry, before, claim) => ({
      ...good.claimed(entry, before, claim),
      beganMs: before?.beganMs ?? entry.beganMs,
    }),
  },
  'a record lives as long as its lease': { expiresMs: (claim, nowMs) => nowMs + claim.leaseMs },
  'a record in flight ends before its lease': { expiresMs: (claim, nowMs) => nowMs + claim.retainMs },
  'clock of the node': { nowMs: (clock) => clock.now() },

  // The owner.
  'settle without fence': {
    owns: (entry, own, method, nowMs) =>
      method === 'settle' ? isSameNonce(entry, own.nonce) : good.owns(entry, own, method, nowMs),
  },
  'settle without nonce': {
    owns: (entry, own, method, nowMs) =>
      method === 'settle' ? entry.fence === own.fence : good.owns(entry, own, method, nowMs),
  },
  'settle with an older fence': {
    owns: (entry, own) => isSameNonce(entry, own.nonce) && entry.fence >= own.fence,
  },
  'settle with a newer fence': {
    owns: (entry, own) => isSameNonce(entry, own.nonce) && entry.fence <= own.fence,
  },
  'touch without fence': {
    owns: (entry, own, method, nowMs) =>
      method === 'touch' ? isSameNonce(entry, own.nonce) : good.owns(entry, own, method, nowMs),
  },
  'touch without nonce': {
    owns: (entry, own, method, nowMs) =>
      method === 'touch' ? entry.fence === own.fence : good.owns(entry, own, method, nowMs),
  },
  'who is late has lost': {
    owns: (entry, own, method, nowMs) =>
      good.owns(entry, own, method, nowMs) && (entry.state !== 'inflight' || entry.leaseEndsMs > nowMs),
  },

  // Ends.
  'a settle that is sent again is lost': {
    end: (entry, as, retainMs, nowMs) => (entry.state === 'inflight' ? good.end(entry, as, retainMs, nowMs) : 'lost'),
  },
  'a settle that is sent again counts anew': {
    end(entry, as, retainMs, nowMs) {
      if (entry.state === as.kind) entry.state = 'inflight'
      return good.end(entry, as, retainMs, nowMs)
    },
  },
  'a settle that is sent again prolongs the record': {
    end(entry, as, retainMs, nowMs) {
      const again = entry.state === as.kind
      const ended = good.end(entry, as, retainMs, nowMs)
      if (again) entry.expiresMs = nowMs + retainMs
      return ended
    },
  },
  'an end can be changed by its owner': {
    end(entry, as, retainMs, nowMs) {
      entry.state = 'inflight'
      return good.end(entry, as, retainMs, nowMs)
    },
  },
  'any end is told as ok after an end': {
    end: (entry, as, retainMs, nowMs) => (entry.state === 'inflight' ? good.end(entry, as, retainMs, nowMs) : 'ok'),
  },
  'a release leaves a lapsed record': {
    end: (entry, as, retainMs, nowMs) =>
      good.end(entry, as.kind === 'release' ? { kind: 'lapse' } : as, retainMs, nowMs),
  },
  'a lapse releases': {
    end: (entry, as, retainMs, nowMs) =>
      good.end(entry, as.kind === 'lapse' ? { kind: 'release' } : as, retainMs, nowMs),
  },
  'a lapse loses what was saved': {
    end(entry, as, retainMs, nowMs) {
      if (as.kind === 'lapse') entry.checkpoint = undefined
      return good.end(entry, as, retainMs, nowMs)
    },
  },
  'a lapse waits for the lease': {
    end: (entry, as, retainMs, nowMs) => (as.kind === 'lapse' ? 'ok' : good.end(entry, as, retainMs, nowMs)),
  },
  'an unknown end is a release': {
    end: (entry, as, retainMs, nowMs) =>
      good.end(entry, as.kind === 'unknown' ? { kind: 'release' } : as, retainMs, nowMs),
  },
  'retention counts from the claim': {
    end(entry, as, retainMs, nowMs) {
      const ended = good.end(entry, as, retainMs, nowMs)
      if (entry.state !== 'inflight') entry.expiresMs = entry.beganMs + retainMs
      return ended
    },
  },
  'a record keeps the retention of its claim': {
    end(entry, as, retainMs, nowMs) {
      const { expiresMs } = entry
      const ended = good.end(entry, as, retainMs, nowMs)
      entry.expiresMs = expiresMs
      return ended
    },
  },
  'an end keeps the longer retention': {
    end(entry, as, retainMs, nowMs) {
      const { expiresMs } = entry
      const ended = good.end(entry, as, retainMs, nowMs)
      entry.expiresMs = Math.max(expiresMs, entry.expiresMs)
      return ended
    },
  },
  'tombstones do not expire': {
    end(entry, as, retainMs, nowMs) {
      const ended = good.end(entry, as, retainMs, nowMs)
      if (as.kind === 'tombstone') entry.expiresMs = Infinity
      return ended
    },
  },

  // Leases.
  'touch renews nothing': {
    touch(entry, leaseMs, checkpoint, nowMs) {
      const { leaseEndsMs } = entry
      const touched = good.touch(entry, leaseMs, checkpoint, nowMs)
      entry.leaseEndsMs = leaseEndsMs
      return touched
    },
  },
  'touch adds to the lease': {
    touch(entry, leaseMs, checkpoint, nowMs) {
      const { leaseEndsMs } = entry
      const touched = good.touch(entry, leaseMs, checkpoint, nowMs)
      entry.leaseEndsMs = leaseEndsMs + leaseMs
      return touched
    },
  },
  'touch does not renew the record': {
    touch(entry, leaseMs, checkpoint, nowMs) {
      const { expiresMs } = entry
      const touched = good.touch(entry, leaseMs, checkpoint, nowMs)
      entry.expiresMs = expiresMs
      return touched
    },
  },
  'touch makes a record live as long as its lease': {
    touch(entry, leaseMs, checkpoint, nowMs) {
      const touched = good.touch(entry, leaseMs, checkpoint, nowMs)
      entry.expiresMs = nowMs + leaseMs
      return touched
    },
  },
  'touch without a checkpoint forgets the last one': {
    touch(entry, leaseMs, checkpoint, nowMs) {
      entry.checkpoint = undefined
      return good.touch(entry, leaseMs, checkpoint, nowMs)
    },
  },
  'the first checkpoint stays': {
    touch: (entry, leaseMs, checkpoint, nowMs) => good.touch(entry, leaseMs, entry.checkpoint ?? checkpoint, nowMs),
  },
  'touch brings an ended run back': {
    touch(entry, leaseMs, checkpoint, nowMs) {
      entry.state = 'inflight'
      return good.touch(entry, leaseMs, checkpoint, nowMs)
    },
  },

  // Bytes.
  'bytes are an alias': { keep: (given) => given },
  'an answer is an alias': { keep: (given, part) => (part === 'answer' ? given : good.keep(given, part)) },
  'a checkpoint is an alias': { keep: (given, part) => (part === 'checkpoint' ? given : good.keep(given, part)) },
  'a nonce is an alias': { keep: (given, part) => (part === 'nonce' ? given : good.keep(given, part)) },
  'a digest is an alias': { keep: (given, part) => (part === 'digest' ? given : good.keep(given, part)) },
  'an operator’s answer is an alias': { keep: (given, part) => (part === 'told' ? given : good.keep(given, part)) },
  'who is answered holds what is stored': { give: (kept) => kept },
  'answers are kept as UTF-8 text': {
    keep: (given, part) => (part === 'answer' ? asText(given) : good.keep(given, part)),
  },
  'checkpoints are kept as UTF-8 text': {
    keep: (given, part) => (part === 'checkpoint' ? asText(given) : good.keep(given, part)),
  },
  'answers end at their first zero': {
    give: (kept) => good.give(kept.includes(0) ? kept.subarray(0, kept.indexOf(0)) : kept),
  },
  'answers are cut at 64 kB': { give: (kept) => good.give(kept.subarray(0, 65_535)) },
  'answers are plain arrays': { give: (kept) => [...kept] as never },

  // What operators see and do.
  'peek shows no lease': { view: (entry, nowMs) => without(good.view(entry, nowMs)!, 'leaseLeftMs') },
  'peek shows the lease of an ended run': {
    view: (entry, nowMs) => ({ ...good.view(entry, nowMs)!, leaseLeftMs: Math.max(0, entry.leaseEndsMs - nowMs) }),
  },
  'peek shows a negative lease': {
    view: (entry, nowMs) => ({
      ...good.view(entry, nowMs)!,
      ...(entry.state === 'inflight' ? { leaseLeftMs: entry.leaseEndsMs - nowMs } : {}),
    }),
  },
  'peek counts a checkpoint as answer': {
    view: (entry, nowMs) => ({ ...good.view(entry, nowMs)!, bytes: (entry.answer ?? entry.checkpoint)?.length ?? 1 }),
  },
  'peek renews': {
    view(entry, nowMs) {
      const view = good.view(entry, nowMs)
      entry.leaseEndsMs = nowMs + 1
      return view
    },
  },
  'peek tells the whole lease': {
    view: (entry, nowMs) => ({ ...good.view(entry, nowMs)!, expiresInMs: entry.expiresMs - entry.beganMs }),
  },
  'forget takes from a living owner': {
    clear: (entry, how, ...o) => (how === 'forget' ? 'gone' : good.clear(entry, how, ...o)),
  },
  'forget leaves what has lapsed': {
    clear: (entry, how, ...o) =>
      how === 'forget' && entry.state === 'inflight' ? false : good.clear(entry, how, ...o),
  },
  'retry takes an answer away': {
    clear: (entry, how, ...o) => good.clear(entry, how === 'retry' ? 'forget' : how, ...o),
  },
  'an operator’s answer replaces another': {
    clear(entry, how, ...o) {
      if (typeof how !== 'string' && entry.state === 'done') entry.state = 'unknown'
      return good.clear(entry, how, ...o)
    },
  },
  'an operator’s answer replaces a tombstone': {
    clear(entry, how, ...o) {
      if (typeof how !== 'string' && entry.state === 'tombstone') entry.state = 'unknown'
      return good.clear(entry, how, ...o)
    },
  },
  'an operator’s answer lets the old owner in': {
    clear: (entry, how, nowMs) => good.clear(entry, how, nowMs, () => entry.fence),
  },
  'a retry is only a lapse': {
    clear(entry, how, nowMs, nextFence) {
      const cleared = good.clear(entry, how, nowMs, nextFence)
      if (how !== 'retry' || cleared !== 'gone') return cleared
      Object.assign(entry, { state: 'inflight', leaseEndsMs: nowMs })
      return true
    },
  },
  'clear always says that it did': { clear: (...o) => good.clear(...o) || true },
  'sweep removes more than it is told': {
    sweep: (expired) => ({ remove: expired, say: expired.length }),
  },
  'sweep removes the living': {
    sweep: (expired, living, limit) => good.sweep([...expired, ...living], [], limit, []),
  },
  'sweep removes the lapsed': {
    sweep: (expired, living, limit, lapsed) => good.sweep([...expired, ...lapsed], living, limit, lapsed),
  },
  "an operator's answer is short-lived": {
    clear(entry, how, nowMs, nextFence) {
      if (typeof how === 'object') entry.expiresMs = Math.max(nowMs + 1, entry.leaseEndsMs)
      return good.clear(entry, how, nowMs, nextFence)
    },
  },
  'a take-over without a fingerprint keeps the last one': {
    claimed: (entry, before, claim) => ({
      ...good.claimed(entry, before, claim),
      fingerprint: entry.fingerprint ?? (entry.attempt > 1 ? before?.fingerprint : undefined),
    }),
  },
  'a take-over keeps the longer life': {
    claimed: (entry, before, claim) => ({
      ...good.claimed(entry, before, claim),
      expiresMs: Math.max(entry.expiresMs, entry.attempt > 1 ? before!.expiresMs : 0),
    }),
  },
  'a begin that is sent again never shortens the lease': {
    renew(entry, claim, nowMs, nextFence) {
      const { leaseEndsMs } = entry
      good.renew(entry, claim, nowMs, nextFence)
      entry.leaseEndsMs = Math.max(leaseEndsMs, entry.leaseEndsMs)
    },
  },
  'a begin that is sent again is young again': {
    renew(entry, claim, nowMs, nextFence) {
      good.renew(entry, claim, nowMs, nextFence)
      entry.beganMs = nowMs
    },
  },
  'attempts end at 8': {
    claimed: (entry, before, claim) => ({
      ...good.claimed(entry, before, claim),
      attempt: Math.min(8, entry.attempt),
    }),
  },
  'a retention over 31 bits is 1 ms': {
    expiresMs: (claim, nowMs) =>
      good.expiresMs({ ...claim, retainMs: claim.retainMs > 2 ** 31 ? 1 : claim.retainMs }, nowMs),
  },
  'an end lives at most a day': {
    end: (entry, as, retainMs, nowMs) => good.end(entry, as, Math.min(retainMs, 86_400_000), nowMs),
  },
  'sweep says nothing': { sweep: (...o) => ({ ...good.sweep(...o), say: 0 }) },
  'sweep only counts': { sweep: (...o) => ({ ...good.sweep(...o), remove: [] }) },
  'stuck is all that runs': {
    stuck: (entries, max) => entries.filter(([, { state }]) => /unknown|inflight/.test(state)).slice(0, max),
  },
  'stuck forgets what has lapsed': {
    stuck: (entries, max, nowMs) => good.stuck(entries, max, nowMs).filter(([, { state }]) => state === 'unknown'),
  },
  'stuck has no limit': { stuck: (entries, _max, nowMs) => good.stuck(entries, Infinity, nowMs) },
  'stuck shows the newest first': { stuck: (...o) => good.stuck(...o).toReversed() },
  'counts tells one too many': { count: (counted) => counted + (counted > 1 ? 1 : 0) },

  // Whom it speaks of.
  'subjects are not kept': { isOf: () => false },
  "everybody's records are a subject's": { isOf: () => true },
  'what has expired is exported': { isOf: (entry, subject, _, nowMs) => good.isOf(entry, subject, 'erase', nowMs) },
  'what has expired is not erased': { isOf: (entry, subject, _, nowMs) => good.isOf(entry, subject, 'export', nowMs) },
  'an erasure only tells': { erase: () => undefined },
  'an erasure frees the key': {
    erase: (entry, nowMs) => {
      good.erase(entry, nowMs)
      entry.expiresMs = nowMs
    },
  },
  'an erasure leaves an empty answer': {
    erase(entry, nowMs) {
      good.erase(entry, nowMs)
      entry.state = 'done'
      entry.answer = new Uint8Array(0)
    },
  },
  'an erasure leaves the fingerprint': {
    erase(entry, nowMs) {
      const { fingerprint } = entry
      good.erase(entry, nowMs)
      entry.fingerprint = fingerprint
    },
  },
  'an erasure ends a run': { isRunning: () => false },
  "checkpoints are nobody's": { held: (entry) => (entry.answer === undefined ? undefined : good.held(entry)) },
  'an erasure misses what has lapsed': { isRunning: (entry) => entry.state === 'inflight' },

  // Who waits.
  'wake-up without a message': { wakes: () => false },
  'a lapse wakes nobody': { wakes: (end) => end !== 'lapse' },
  'a release wakes nobody': { wakes: (end) => end !== 'release' },
  'only an answer wakes': { wakes: (end) => end === 'done' },
  'an operator wakes nobody': { wakes: (end) => end !== 'clear' },
  'one of those who wait is woken': { woken: (waiting) => Math.min(1, waiting) },
  'a wait has no signal': { heeds: () => false },
}

/** Stores that are broken on purpose, each in one way, for `scoreMutants`: what a suite of stores must catch. */
export const brokenStores: Readonly<Record<string, Subject<StoreUnderTest>>> = Object.fromEntries(
  Object.entries(wrongSteps).map(([name, wrong]) => [name, inVirtualTime({ ...good, ...wrong })]),
)

/** A store of these steps whose time passes only when told; its node's wall clock stands still. */
function inVirtualTime(steps: Steps): Subject<StoreUnderTest> {
  return {
    has: ['wait', 'sweep', 'counts', 'stuck', 'ofSubject'],
    async make() {
      const clock = virtualClock()
      return {
        store: storeOfSteps(steps, clock),
        async elapse(ms) {
          await clock.advance(ms)
          clock.jumpWall(-ms)
        },
        async dispose() {},
      }
    },
  }
}
