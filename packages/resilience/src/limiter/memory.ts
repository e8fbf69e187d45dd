import { checkOptions, opt, systemClock, type Clock } from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import type { Counted } from './algorithms/algorithm.ts'
import { algorithmOf, decideTake, timeOf, type StoreTime } from './decide-take.ts'
import type { LimiterStore, QuotaSpec, StoreAnswer } from './store.ts'

const SPEC = {
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  maxSubjects: opt.integer(100_000, { min: 1 }),
}

/** Of one subject, by the key of the quota. */
type Counters = Map<string, { readonly spec: QuotaSpec; counted: Counted }>

/** What `memoryStore` answers: it also says how many subjects it holds. */
export interface MemoryStore extends LimiterStore {
  /** Subjects held, expired ones that were not swept yet included. */
  readonly size: number
}

/**
 * Counters of one process: for single-node applications, tests, and what a limiter falls back to. Beyond `maxSubjects`
 * (100,000) the one whose last take is the longest ago is forgotten. Windows go by the monotonic clock, so a wall clock
 * that is set changes only which period of a calendar it is.
 * @throws ResilienceError OPTION_INVALID
 */
export function memoryStore(options: { readonly clock?: Clock; readonly maxSubjects?: number } = {}): MemoryStore {
  const { clock, maxSubjects } = checkOptions('memoryStore', options, SPEC, optionFailure)
  // In the order of their last takes.
  const subjects = new Map<string, Counters>()

  // Fixed windows begin at full minutes, as on a server.
  const sinceMs = clock.now() - clock.monotonic()

  function time(): StoreTime {
    return { nowUs: Math.floor((sinceMs + clock.monotonic()) * 1_000), wallUs: Math.floor(clock.now() * 1_000) }
  }

  function decide(subject: string, quotas: readonly QuotaSpec[], cost: number, atLeast: number): StoreAnswer {
    const counters: Counters = subjects.get(subject) ?? new Map()
    const held = quotas.map((spec) => ({ spec, counted: counters.get(spec.key)?.counted ?? [] }))
    const { answer, counted } = decideTake(held, time(), cost, atLeast)
    if (answer.granted > 0) {
      quotas.forEach((spec, i) => counters.set(spec.key, { spec, counted: counted[i]! }))
      subjects.delete(subject)
      subjects.set(subject, counters)
      forget(subjects.size - maxSubjects)
    }
    return answer
  }

  function forget(count: number): void {
    for (const subject of subjects.keys()) {
      if (count-- <= 0) return
      subjects.delete(subject)
    }
  }

  function isExpired(counters: Counters, now: StoreTime): boolean {
    return [...counters.values()].every(
      ({ spec, counted }) => algorithmOf(spec).fullUs(spec, counted, timeOf(spec, now)) <= 0,
    )
  }

  return {
    get size() {
      return subjects.size
    },
    take: async (subject, quotas, cost, atLeast = cost) => decide(subject, quotas, cost, atLeast),
    peek: async (subject, quotas, cost) => decide(subject, quotas, 0, cost),
    async refund(subject, quotas, tokens, cost) {
      const counters = subjects.get(subject)
      const now = time()
      quotas.forEach((spec, i) => {
        const counter = counters?.get(spec.key)
        if (counter === undefined) return
        counter.counted = algorithmOf(spec).refund(spec, counter.counted, timeOf(spec, now), tokens[i]!, cost)
      })
    },
    async reset(subject, quotas) {
      const counters = subjects.get(subject)
      for (const { key } of quotas) counters?.delete(key)
      if (counters?.size === 0) subjects.delete(subject)
    },
    async sweep(count) {
      const now = time()
      let removed = 0
      for (const [subject, counters] of subjects) {
        if (removed >= count) break
        if (!isExpired(counters, now)) continue
        subjects.delete(subject)
        removed++
      }
      return removed
    },
  }
}
