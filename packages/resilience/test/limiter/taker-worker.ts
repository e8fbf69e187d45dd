import { Redis } from 'ioredis'
import pg from 'pg'
import { createLimiter, type LimiterStore, type Quota, type Subject } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { redisStore } from '../../src/redis/index.ts'

/** What one process is to do: so many takes, `atOnce` of them at a time. */
export interface Job {
  readonly quotas: readonly Quota[]
  readonly subject: Subject
  readonly takes: number
  readonly atOnce: number
}

/** What came of it, by the store's clock. */
export interface Done {
  /** Instant (us) and units of each take that was granted. */
  readonly granted: readonly (readonly [atUs: number, units: number])[]
  readonly refused: number
  /** Decisions that were not of the store. */
  readonly others: number
  readonly wallMs: number
}

const { REDIS_URL, DATABASE_URL, PREFIX = '' } = process.env
const store: LimiterStore =
  REDIS_URL !== undefined
    ? redisStore(new Redis(REDIS_URL), { prefix: PREFIX })
    : postgresStore(new pg.Pool({ connectionString: DATABASE_URL, max: 4 }), { schema: PREFIX })

process.on('message', async ({ quotas, subject, takes, atOnce }: Job) => {
  const granted: [number, number][] = []
  const noting: LimiterStore = {
    ...store,
    async take(...args) {
      const answer = await store.take(...args)
      if (answer.granted > 0) granted.push([Math.round(answer.nowMs * 1_000), answer.granted])
      return answer
    },
  }
  // A machine that stands still is no outage.
  const limiter = createLimiter({ name: 'processes', quotas, store: noting, storeTimeout: '20s' })
  let left = takes
  let refused = 0
  let others = 0
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (left-- > 0) {
        const decision = await limiter.take(subject)
        if (!decision.exact) others++
        if (decision.allowed) continue
        refused++
        await new Promise((resolve) => setTimeout(resolve, Math.min(decision.retryAfter, 20) * Math.random()))
      }
    }),
  )
  const done: Done = { granted, refused, others, wallMs: Date.now() }
  process.send?.(done)
})
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
