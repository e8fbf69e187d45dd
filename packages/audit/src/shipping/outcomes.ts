import type { BatchEntry, Outcome } from '../sink.ts'

/** An entry that a sink has not, with what was tried. */
export interface Owed {
  readonly entry: BatchEntry
  /** Failed deliveries. */
  readonly tries: number
  /** On the monotonic clock. */
  readonly notBeforeMs: number
}

/** What one delivery came to. */
export interface Delivered {
  /** Again, in order of index. */
  readonly owed: readonly Owed[]
  readonly dead: readonly { readonly entry: BatchEntry; readonly reason: string }[]
  /** How many the sink has now, and how many of them it had before. */
  readonly settled: number
  readonly duplicates: number
  /** Nothing more goes until somebody mends it. */
  readonly halt: string | undefined
  /** Why entries are tried again. */
  readonly retry: string | undefined
}

const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 1_000
/** A sink cannot send us to sleep for longer. */
const MAX_AFTER_MS = 60_000
/** Some sinks answer with half a document. */
const MAX_REASON = 2_000

/** Until the next try: doubles from 100 ms to 1 s, full jitter; what the sink asks for wins, up to a minute. */
export function backoffMs(tries: number, after: unknown, random: () => number): number {
  if (typeof after === 'number' && after >= 0) return Math.min(after, MAX_AFTER_MS)
  return random() * Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 10))
}

/**
 * What a sink's answers make of a batch. A short answer, or one that is no answer, settles nothing. In an ordered sink
 * everything behind an entry that goes again goes again too.
 */
export function decideOutcomes(
  sent: readonly Owed[],
  outcomes: unknown,
  at: { readonly ordered: boolean; readonly nowMs: number; readonly random: () => number },
): Delivered {
  const owed: Owed[] = []
  const dead: { entry: BatchEntry; reason: string }[] = []
  let settled = 0
  let duplicates = 0
  let halt: string | undefined
  let retry: string | undefined
  const whole = Array.isArray(outcomes) && outcomes.length === sent.length
  const short: Outcome = { retry: `${shownCount(outcomes)} for ${sent.length} entries` }
  for (const [i, one] of sent.entries()) {
    const outcome = whole ? readOutcome(outcomes[i]) : short
    if (at.ordered && owed.length > 0) owed.push({ ...one, notBeforeMs: owed[0]!.notBeforeMs })
    else if (outcome === 'ok' || outcome === 'duplicate') {
      settled++
      if (outcome === 'duplicate') duplicates++
    } else if ('reject' in outcome) dead.push({ entry: one.entry, reason: outcome.reject })
    else if ('halt' in outcome) {
      halt ??= outcome.halt
      owed.push({ ...one, notBeforeMs: at.nowMs })
    } else {
      const { retry: why, after } = outcome
      retry ??= why
      owed.push({
        entry: one.entry,
        tries: one.tries + 1,
        notBeforeMs: at.nowMs + backoffMs(one.tries, after, at.random),
      })
    }
  }
  return { owed, dead, settled, duplicates, halt, retry }
}

/** Sinks are written by others: what is no outcome settles nothing, and is tried again. */
function readOutcome(given: unknown): Outcome {
  if (given === 'ok' || given === 'duplicate') return given
  if (typeof given !== 'object' || given === null) return { retry: 'no answer' }
  const { reject, halt, retry, after } = given as Record<string, unknown>
  if (reject !== undefined) return { reject: reasonOf(reject) }
  if (halt !== undefined) return { halt: reasonOf(halt) }
  const why = retry === undefined ? 'no answer' : reasonOf(retry)
  return typeof after === 'number' ? { retry: why, after } : { retry: why }
}

function reasonOf(given: unknown): string {
  return typeof given === 'string' && given !== '' ? given.slice(0, MAX_REASON) : 'no reason given'
}

function shownCount(outcomes: unknown): string {
  return Array.isArray(outcomes) ? `${outcomes.length} answers` : 'no answers'
}
