import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import type { Counted } from '../limiter/algorithms/algorithm.ts'
import { algorithmOf, decideTake, timeOf, type Held, type StoreTime } from '../limiter/decide-take.ts'
import type { QuotaAnswer, QuotaSpec, StoreAnswer } from '../limiter/store.ts'
import { goodSteps as good, storeOfSteps, type Steps } from './store-of-steps.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/** What a driver's round trip is to everybody else: time to act. */
const roundTrip = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Every quota of an answer changed alike. */
function answers(change: (quota: QuotaAnswer, spec: QuotaSpec, answer: StoreAnswer) => Partial<QuotaAnswer>) {
  return {
    answer: (answer: StoreAnswer, quotas: readonly QuotaSpec[]): StoreAnswer => ({
      ...answer,
      quotas: answer.quotas.map((quota, i) => ({ ...quota, ...change(quota, quotas[i]!, answer) })),
    }),
  }
}

/** Quotas of one algorithm understood as something else. */
function reads(algorithm: QuotaSpec['algorithm'], change: (spec: any, held: Counted) => object): Partial<Steps> {
  return {
    spec: (spec, held) =>
      // A log of a large limit would fill the memory.
      spec.algorithm === algorithm && spec.limit < 1_000 ? { ...spec, ...change(spec, held) } : good.spec(spec, held),
  }
}

/** Another clock for every decision. */
function at(change: (time: StoreTime, quotas: readonly Held[]) => StoreTime): Partial<Steps> {
  return { decide: (held, time, cost, atLeast) => decideTake(held, change(time, held), cost, atLeast) }
}

/** Writes what fits, quota by quota. */
const oneByOne: Steps['decide'] = (held, time, cost, atLeast) => {
  const { answer } = decideTake(held, time, cost, atLeast)
  if (answer.quotas.length === 0) return { answer, counted: [] }
  const counted = held.map((one) => decideTake([one], time, cost, atLeast).counted[0] ?? one.counted)
  return { answer, counted }
}

/** Counts also what it refuses. */
const countsRefusals: Steps['decide'] = (held, time, cost, atLeast) => {
  const decided = decideTake(held, time, cost, atLeast)
  if (decided.counted.length > 0 || cost === 0 || decided.answer.quotas.length === 0) return decided
  const counted = held.map(({ spec, counted }) => {
    return algorithmOf(spec).take(spec, counted, timeOf(spec, time), 1).counted
  })
  return { answer: decided.answer, counted }
}

/** The newest units, whichever take they are of. */
const refundsNow: Steps['refund'] = (spec, counted, nowUs, _, units) => {
  const newest = spec.algorithm === 'buckets' ? counted.at(-2) : spec.algorithm === 'log' ? counted.at(-1) : counted[0]
  if (spec.algorithm === 'log') return counted.slice(0, Math.max(0, counted.length - units))
  if (spec.algorithm === 'gcra') return [counted[0]! - units * (spec.windowMs / spec.limit) * 1_000, counted[1]!]
  return good.refund(spec, counted, nowUs, String(newest), units)
}

/** The quotas that `decide` refuses for a reason of their own. */
const refuses = (when: (held: readonly Held[], time: StoreTime) => boolean): Partial<Steps> => ({
  decide: (held, time, cost, atLeast) =>
    decideTake(held, time, when(held, time) ? 0 : cost, when(held, time) ? Math.max(1, atLeast) : atLeast),
})

const only = (algorithm: QuotaSpec['algorithm'], refund: Steps['refund']): Partial<Steps> => ({
  refund: (spec, ...rest) => (spec.algorithm === algorithm ? refund(spec, ...rest) : good.refund(spec, ...rest)),
})

/** Counters of one algorithm that a sweep takes for expired, or for living, whatever they are. */
const sweeps = (algorithm: QuotaSpec['algorithm'], isExpired: boolean): Partial<Steps> => ({
  isExpired: (spec, ...rest) => (spec.algorithm === algorithm ? isExpired : good.isExpired(spec, ...rest)),
})

/** One wrong step each; the name says what is wrong. */
const wrongSteps: Record<string, Partial<Steps>> = {
  // Atomic steps.
  'get, then set': { gap: (method) => (method === 'take' ? roundTrip() : undefined) },
  'refund reads, then writes': {
    gap: (method) => (method === 'refund' ? roundTrip() : undefined),
    refund: (() => {
      // What was read before the gap is what is written.
      const seen = new Map<string, Counted>()
      return (spec: QuotaSpec, counted: Counted, nowUs: number, token: string, units: number) => {
        const stale = seen.get(spec.key) ?? counted
        seen.set(spec.key, counted)
        return good.refund(spec, stale, nowUs, token, units)
      }
    })(),
  },
  'quotas are counted one by one': { decide: oneByOne },
  'a refusal is counted': { decide: countsRefusals },
  'only the first quota decides': {
    decide: (held, time, cost, atLeast) => {
      const { answer } = decideTake(held, time, cost, atLeast)
      const { answer: first, counted } = decideTake(held.slice(0, 1), time, cost, atLeast)
      return { answer: { ...answer, granted: first.granted }, counted }
    },
  },

  // Who is counted.
  'all subjects are one': { key: (_, { key }) => key },
  'subjects are cut': { key: (subject, { key }) => `${subject.slice(0, 9)}\n${key}` },
  'quotas in any case are one': { key: (subject, { key }) => `${subject}\n${key.toLowerCase()}` },
  'all quotas are one': { key: (subject, { algorithm }) => `${subject}\n${algorithm}` },

  // How much.
  'every take costs 1': { cost: (cost, atLeast) => [Math.min(1, cost), Math.min(1, atLeast)] },
  'a part is granted to who did not ask for it': { cost: (cost) => [cost, Math.min(1, cost)] },
  'a part is never granted': { cost: (cost) => [cost, cost] },
  'at least as many is exactly as many': { cost: (cost, atLeast) => [Math.min(cost, atLeast), atLeast] },
  'one too many': { spec: (spec) => ({ ...spec, limit: spec.limit + 1 }) },
  'one too few': { spec: (spec) => ({ ...spec, limit: Math.max(1, spec.limit - 1) }) },
  'more is granted than was asked for': {
    answer: (answer) => ({ ...answer, granted: answer.granted === 0 ? 0 : answer.granted + 1 }),
  },
  'the first limit stays': {
    spec: (() => {
      const limits = new WeakMap<Counted, number>()
      const first = new Map<string, number>()
      return (spec: QuotaSpec, held: Counted) => {
        const limit = held.length === 0 ? spec.limit : (limits.get(held) ?? first.get(spec.key) ?? spec.limit)
        if (held.length === 0) first.set(spec.key, spec.limit)
        return { ...spec, limit }
      }
    })(),
  },
  'limits have 24 bits': { spec: (spec) => ({ ...spec, limit: Math.min(spec.limit, 2 ** 24) }) },
  'a burst is the limit': reads('gcra', ({ limit }) => ({ burst: limit })),
  'a burst is always 1': reads('gcra', () => ({ burst: 1 })),
  'gcra has no burst but its window': reads('gcra', ({ limit, burst }) => ({ burst: Math.max(limit, burst) })),

  // How it is counted.
  'a fixed window sold as sliding': reads('log', () => ({ algorithm: 'fixed' })),
  'fixed windows sold as buckets': reads('buckets', () => ({ algorithm: 'fixed' })),
  'a gcra sold as sliding': reads('log', ({ limit }) => ({ algorithm: 'gcra', burst: limit })),
  'a gcra sold as buckets': reads('buckets', ({ limit }) => ({ algorithm: 'gcra', burst: limit })),
  'a log sold as gcra': reads('gcra', () => ({ algorithm: 'log' })),
  'a log sold as fixed': reads('fixed', () => ({ algorithm: 'log' })),
  'a log of half the window': reads('log', ({ windowMs }) => ({ windowMs: windowMs / 2 })),
  'buckets of half the window': reads('buckets', ({ windowMs }) => ({ windowMs: windowMs / 2 })),
  'a gcra twice as fast': reads('gcra', ({ limit, burst }) => ({ limit: 2 * limit, burst })),
  'a gcra at half its speed': reads('gcra', ({ windowMs }) => ({ windowMs: 2 * windowMs })),
  'a fixed window of twice its length': reads('fixed', ({ windowMs }) => ({ windowMs: 2 * windowMs })),
  'a fixed window of half its length': reads('fixed', ({ windowMs }) => ({ windowMs: windowMs / 2 })),
  'units leave a ms early': reads('log', ({ windowMs }) => ({ windowMs: windowMs - 1 })),
  'units leave a ms late': reads('log', ({ windowMs }) => ({ windowMs: windowMs + 1 })),
  'units never leave': reads('log', () => ({ windowMs: 1e9 })),
  'buckets never leave': reads('buckets', () => ({ windowMs: 1e9 })),
  'windows count seconds as ms': {
    spec: (spec) => ('windowMs' in spec ? { ...spec, windowMs: Math.ceil(spec.windowMs / 1_000) } : spec),
  },
  'whoever was refused once stays refused': refuses((held) =>
    held.some(({ spec, counted }) => spec.algorithm === 'log' && counted.length >= spec.limit),
  ),

  // Whose time.
  'the caller says which period it is': at((time, held) => {
    const calendar = held.find(({ spec }) => spec.algorithm === 'calendar')?.spec
    return calendar?.algorithm === 'calendar' ? { ...time, wallUs: calendar.bounds[1] * 1_000 } : time
  }),
  'a calendar is a window': reads('calendar', ({ bounds }) => ({
    algorithm: 'log',
    windowMs: bounds[2] - bounds[1],
  })),
  'a period is never over': reads('calendar', ({ bounds }) => ({
    bounds: [bounds[0], bounds[1], bounds[1] + 1e12, bounds[1] + 2e12],
  })),
  'the previous period is the current one': reads('calendar', ({ bounds }) => ({
    bounds: [bounds[0] - 1, bounds[0], bounds[2], bounds[3]],
  })),
  'a time in no period is the last one': reads('calendar', ({ bounds }) => ({
    bounds: [bounds[0], bounds[1], bounds[2], 1e15],
  })),
  'a time in no period is the first one': reads('calendar', ({ bounds }) => ({
    bounds: [0, bounds[1], bounds[2], bounds[3]],
  })),
  'a clock of its own is not told': { answer: (answer) => ({ ...answer, nowMs: 0 }) },
  'time stands still': { time: () => ({ nowUs: 1.8e15, wallUs: 1.8e15 }) },

  // What is told.
  'nobody has to wait': answers(() => ({ retryAfterMs: 0 })),
  'everybody waits for the whole window': answers(({ retryAfterMs }, spec) => ({
    retryAfterMs: retryAfterMs > 0 && 'windowMs' in spec ? spec.windowMs : retryAfterMs,
  })),
  'the wait is too short': answers(({ retryAfterMs }) => ({ retryAfterMs: Math.floor(retryAfterMs / 2) })),
  'the wait is in seconds': answers(({ retryAfterMs }) => ({ retryAfterMs: Math.ceil(retryAfterMs / 1_000) })),
  'the wait is rounded down': answers(({ retryAfterMs }) => ({ retryAfterMs: Math.max(0, retryAfterMs - 1) })),
  'the wait is given to who was granted': answers((quota, _, { granted }) => ({
    retryAfterMs: granted > 0 ? quota.resetMs : quota.retryAfterMs,
  })),
  'never is a number': answers(({ retryAfterMs }) => ({
    retryAfterMs: retryAfterMs === Infinity ? 2 ** 31 : retryAfterMs,
  })),
  'what is left is told from before': answers(({ remaining }, _, { granted }) => ({ remaining: remaining + granted })),
  'what is left is never told': answers(() => ({ remaining: 0 })),
  'less than nothing is left': answers(({ remaining }, _, { granted }) => ({
    remaining: granted === 0 && remaining === 0 ? -1 : remaining,
  })),
  'a reset is at once': answers(() => ({ resetMs: 0 })),
  'a reset is never': answers(() => ({ resetMs: Infinity })),
  'a reset is a fraction': answers(({ resetMs }) => ({ resetMs: resetMs / 7 })),
  'no tokens': answers(() => ({ token: '' })),
  'a token for a refusal': answers(({ token }) => ({ token: token === '' ? 'none' : token })),
  'one token for all': answers((_, __, { granted }) => ({ token: granted > 0 ? '1' : '' })),
  'answers in the order of their names': {
    answer: (answer, quotas) => ({
      ...answer,
      quotas: quotas
        .map(({ key }, i) => [key, answer.quotas[i]!] as const)
        .toSorted(([a], [b]) => (a < b ? -1 : 1))
        .map(([, quota]) => quota)
        .slice(0, answer.quotas.length),
    }),
  },
  'a peek counts': { peekWrites: true },

  // Back.
  'a refund does nothing': { refund: (_, counted) => counted },
  'a refund forgets everything': { refund: () => [] },
  'a refund is of one unit': { refund: (spec, counted, nowUs, token) => good.refund(spec, counted, nowUs, token, 1) },
  'a refund is twice as much': {
    refund: (spec, counted, nowUs, token, units) => good.refund(spec, counted, nowUs, token, 2 * units),
  },
  'a refund to the new period': { refund: refundsNow },
  'a refund of a log takes the newest': only('log', refundsNow),
  'a refund of buckets takes from the newest': only('buckets', refundsNow),
  'a refund of a gcra takes what flows off': only('gcra', refundsNow),
  'a refund of a fixed window takes from the next': only('fixed', refundsNow),
  'a refund of a calendar takes from the next period': only('calendar', refundsNow),
  'a refund reaches the first quota only': {
    reached: (method, quotas) => (method === 'refund' ? quotas.slice(0, 1) : quotas),
  },
  'a refund reaches all but calendars': {
    reached: (method, quotas) =>
      method === 'refund' ? quotas.filter(({ algorithm }) => algorithm !== 'calendar') : quotas,
  },
  'a reset does nothing': { reached: (method, quotas) => (method === 'reset' ? [] : quotas) },
  'a reset reaches the first quota only': {
    reached: (method, quotas) => (method === 'reset' ? quotas.slice(0, 1) : quotas),
  },
  'a reset reaches all quotas': {
    reached: (method, quotas, all) =>
      method === 'reset'
        ? [...new Set(all.map((key) => key.split('\n')[1]!))].map((key) => ({ ...quotas[0]!, key }))
        : quotas,
  },

  // Sweeps.
  'a sweep removes the living': { isExpired: () => true },
  'a sweep removes nothing': { isExpired: () => false },
  ...Object.fromEntries(
    (['log', 'buckets', 'fixed', 'gcra', 'calendar'] as const).flatMap((algorithm) => [
      [`a sweep removes the living of ${algorithm}`, sweeps(algorithm, true)],
      [`a sweep removes nothing of ${algorithm}`, sweeps(algorithm, false)],
    ]),
  ),
  'a sweep knows no bound': { sweepCount: () => Infinity },
}

/** Stores in memory with one mistake each: what {@link limiterStoreSuite} must catch. */
export const brokenStores: Readonly<Record<string, Subject<StoreUnderTest>>> = Object.fromEntries(
  Object.entries(wrongSteps).map(([name, wrong]) => [
    name,
    {
      has: ['sweep', 'elapse'],
      async make() {
        const clock = virtualClock()
        return {
          store: storeOfSteps({ ...good, ...wrong }, clock),
          elapse: (ms: number) => clock.advance(ms),
          async dispose() {},
        }
      },
    },
  ]),
)
