import type { Clock } from '@keelson/kernel'
import type { Algorithm, Counted } from '../limiter/algorithms/algorithm.ts'
import { algorithmOf, decideTake, timeOf, type Held, type StoreTime } from '../limiter/decide-take.ts'
import type { LimiterStore, QuotaSpec, StoreAnswer } from '../limiter/store.ts'

/** The steps of a store in memory, each of which can be replaced by a wrong one. */
export interface Steps {
  /** Where a counter is kept. */
  key(subject: string, spec: QuotaSpec): string
  time(clock: Clock): StoreTime
  /** What a call asks of, as the store understands it. */
  spec(spec: QuotaSpec, held: Counted): QuotaSpec
  cost(cost: number, atLeast: number): readonly [cost: number, atLeast: number]
  decide: typeof decideTake
  answer(answer: StoreAnswer, quotas: readonly QuotaSpec[]): StoreAnswer
  /** Between reading and writing. */
  gap(method: 'take' | 'refund'): Promise<void> | undefined
  /** A peek that writes is none. */
  peekWrites: boolean
  refund: Algorithm<QuotaSpec>['refund']
  /** Of the quotas of a call, those that a refund or a reset reaches. */
  reached(method: 'refund' | 'reset', quotas: readonly QuotaSpec[], all: readonly string[]): readonly QuotaSpec[]
  isExpired(spec: QuotaSpec, counted: Counted, nowUs: number): boolean
  sweepCount(count: number): number
}

/** The steps of a good store. */
export const goodSteps: Steps = {
  key: (subject, { key }) => `${subject}\n${key}`,
  time: (clock) => ({ nowUs: Math.floor(clock.now() * 1_000), wallUs: Math.floor(clock.now() * 1_000) }),
  spec: (spec) => spec,
  cost: (cost, atLeast) => [cost, atLeast],
  decide: decideTake,
  answer: (answer) => answer,
  gap: () => undefined,
  peekWrites: false,
  refund: (spec, ...rest) => algorithmOf(spec).refund(spec, ...rest),
  reached: (_, quotas) => quotas,
  isExpired: (spec, counted, nowUs) => algorithmOf(spec).fullUs(spec, counted, nowUs) <= 0,
  sweepCount: (count) => count,
}

/** A store made of these steps. */
export function storeOfSteps(steps: Steps, clock: Clock): LimiterStore {
  const counters = new Map<string, { readonly spec: QuotaSpec; readonly counted: Counted }>()

  async function decide(
    subject: string,
    quotas: readonly QuotaSpec[],
    asked: readonly [cost: number, atLeast: number],
    writes: boolean,
  ): Promise<StoreAnswer> {
    const held: Held[] = quotas.map((spec) => {
      const counted = counters.get(steps.key(subject, spec))?.counted ?? []
      return { spec: steps.spec(spec, counted), counted }
    })
    const { answer, counted } = steps.decide(held, steps.time(clock), ...asked)
    const gap = steps.gap('take')
    if (gap !== undefined) await gap
    if (writes)
      counted.forEach((now, i) => counters.set(steps.key(subject, quotas[i]!), { spec: quotas[i]!, counted: now }))
    return steps.answer(answer, quotas)
  }

  return {
    take: (subject, quotas, cost, atLeast = cost) => decide(subject, quotas, steps.cost(cost, atLeast), true),
    peek: (subject, quotas, cost) =>
      decide(subject, quotas, steps.peekWrites ? [cost, cost] : [0, cost], steps.peekWrites),
    async refund(subject, quotas, tokens, cost) {
      for (const spec of steps.reached('refund', quotas, [])) {
        const key = steps.key(subject, spec)
        const held = counters.get(key)
        const gap = steps.gap('refund')
        if (gap !== undefined) await gap
        if (held === undefined) continue
        const nowUs = timeOf(spec, steps.time(clock))
        const token = tokens[quotas.indexOf(spec)]!
        counters.set(key, { spec, counted: steps.refund(spec, held.counted, nowUs, token, cost) })
      }
    },
    async reset(subject, quotas) {
      for (const spec of steps.reached('reset', quotas, [...counters.keys()])) counters.delete(steps.key(subject, spec))
    },
    async sweep(count) {
      let removed = 0
      for (const [key, { spec, counted }] of counters) {
        if (removed >= steps.sweepCount(count)) break
        if (!steps.isExpired(spec, counted, timeOf(spec, steps.time(clock)))) continue
        counters.delete(key)
        removed++
      }
      return removed
    },
  }
}
