import { setTimeout as sleep } from 'node:timers/promises'
import type { Case, Tools } from '@keelson/kernel/conformance'
import type { LimiterStore, QuotaSpec, StoreAnswer } from '../limiter/store.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/** Far longer than a case takes, however the machine stalls. */
export const LONG_MS = 600_000

/** What a case works with. */
export interface Stage extends Tools {
  readonly store: LimiterStore
  readonly elapse: (ms: number) => Promise<void>
  /** A subject that nobody has taken for. */
  someSubject(): string
  /** Takes 1 until it is refused; what that was told, and how often it was granted. */
  exhaust(subject: string, quotas: readonly QuotaSpec[]): Promise<{ refused: StoreAnswer; granted: number }>
  /** The store's own time. */
  now(): Promise<number>
}

/** A case on a stage. */
export function storeCase(
  name: string,
  run: (stage: Stage) => Promise<void>,
  ...needs: readonly string[]
): Case<StoreUnderTest> {
  return { name, ...(needs.length === 0 ? {} : { needs }), run: (subject, tools) => run(stageOf(subject, tools)) }
}

let subjects = 0

function stageOf({ store, elapse = sleepFor }: StoreUnderTest, tools: Tools): Stage {
  const run = Math.random().toString(36).slice(2, 10)
  return {
    ...tools,
    store,
    elapse,
    someSubject: () => `${run}_${++subjects}`,
    async exhaust(subject, quotas) {
      for (let granted = 0; granted < 1_000; granted++) {
        const refused = await store.take(subject, quotas, 1)
        if (refused.granted === 0) return { refused, granted }
      }
      throw new Error('1,000 takes of 1 were all granted')
    },
    now: async () => (await store.peek('clock', [window('fixed', 1)], 1)).nowMs,
  }
}

/** A machine's own sleep may end a little early by another clock. */
async function sleepFor(ms: number): Promise<void> {
  await sleep(Math.ceil(ms) + 5)
}

/** Fixed windows begin at multiples of their length: a case must not come across the turn of one. */
const FIXED_MS = 10_000 * LONG_MS

/** The longest that anything of a quota may last. */
export function longestMs(spec: QuotaSpec): number {
  return spec.algorithm === 'calendar' ? spec.bounds[2] - spec.bounds[1] : Math.ceil((spec.windowMs * 61) / 60)
}

/** How windows are counted. */
export const WINDOWS = ['log', 'buckets', 'fixed', 'gcra'] as const

/** A quota of a window; of gcra with a burst of its limit. */
export function window(
  algorithm: (typeof WINDOWS)[number],
  limit: number,
  windowMs: number = algorithm === 'fixed' ? FIXED_MS : LONG_MS,
): QuotaSpec {
  const key = `${algorithm}${windowMs}`
  return algorithm === 'gcra' ? { key, algorithm, limit, windowMs, burst: limit } : { key, algorithm, limit, windowMs }
}

/** A quota of a calendar whose current period began at `beginMs`; all are of one length. */
export function calendar(limit: number, beginMs: number, lengthMs: number = LONG_MS): QuotaSpec {
  const begin = Math.floor(beginMs)
  const bounds = [begin - lengthMs, begin, begin + lengthMs, begin + 2 * lengthMs] as const
  return { key: `calendar${lengthMs}`, algorithm: 'calendar', limit, bounds }
}

/** Of an answer, for `refund`. */
export function tokensOf({ quotas }: StoreAnswer): string[] {
  return quotas.map(({ token }) => token)
}
