import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { watchRejections } from '../../../idempotency/test/faults/unhandled.ts'
import { until } from '../../../../tools/servers/until.ts'
import {
  createLimiter,
  type Decision,
  type Limiter,
  type LimiterOptions,
  type LimiterStore,
} from '../../src/limiter/index.ts'
import { hurtServers, type HurtServer } from './outage.ts'

watchRejections()

const LONG = process.env['LONG'] === '1'
const alice = { scope: 's', key: 'alice' }

describe.each(['Redis', 'Postgres'] as const)('%s', (name) => {
  let hurt: HurtServer
  const limiters: Limiter[] = []
  beforeAll(async () => {
    hurt = await hurtServers[name]()
  })
  afterAll(async () => {
    for (const limiter of limiters) await limiter.close()
    await hurt[Symbol.asyncDispose]()
  })

  // Longer than a busy machine stands still.
  const storeTimeout = '5s'

  async function node(o: Partial<LimiterOptions>): Promise<Limiter> {
    const quotas = { name: 'hour', limit: 100, per: '1h' } as const
    const store = await hurt.open()
    const limiter = createLimiter({ name: 'outage', quotas, store: { ...store, take: counted(store.take) }, ...o })
    limiters.push(limiter)
    return limiter
  }
  let takes = 0
  function counted(take: LimiterStore['take']): LimiterStore['take'] {
    return (...args) => {
      takes++
      return take(...args)
    }
  }
  async function up(limiter: Limiter): Promise<void> {
    await until('the store is back', 60_000, async () => ((await limiter.inspect()).store === 'up' ? true : undefined))
  }

  test.each(['frozen', 'killed'] as const)('%s: each declared answer, at once; then the shared truth', async (how) => {
    const quotas = { name: 'hour', limit: 10, per: '1h', algorithm: 'gcra' } as const
    const nodes = 3
    const local = await node({ name: `l${how}`, quotas, nodes, storeTimeout })
    const allow = await node({ name: `a${how}`, quotas, onStoreFailure: 'allow', storeTimeout })
    const deny = await node({ name: `d${how}`, quotas, onStoreFailure: 'deny', storeTimeout })
    for (const limiter of [local, allow, deny]) {
      await up(limiter)
      expect(await limiter.take({ ...alice, cost: 2 })).toMatchObject({ allowed: true, source: 'store', exact: true })
    }
    if (how === 'frozen') hurt.server.freeze()
    else await hurt.server.kill()

    try {
      // The first call meets the outage, the others a guard that knows of it.
      const first = await Promise.all([local, allow, deny].map((limiter) => limiter.take(alice)))
      expect(first.map(({ source }) => source)).toEqual(['local', 'allow', 'deny'])
      takes = 0
      const answers = await Promise.all(Array.from({ length: 300 }, () => deny.take(alice)))
      expect(answers.every(({ allowed }) => !allowed)).toBe(true)
      expect(takes, 'nobody asks a store that is known to be away').toBe(0)
      expect(answers[0]).toMatchObject({
        retryAfter: 1_000,
        source: 'deny',
        exact: false,
        quotas: [{ name: 'hour', limit: 10, remaining: 0 }],
      })
      expect(await allow.take(alice)).toMatchObject({ allowed: true, retryAfter: 0, exact: false })
      // 10 / 3 for this node; one was taken above.
      const taken: Decision[] = []
      for (let i = 0; i < 4; i++) taken.push(await local.take(alice))
      expect(taken.map(({ allowed }) => allowed)).toEqual([true, true, false, false])
      expect(taken[0]).toMatchObject({ source: 'local', exact: false, quotas: [{ limit: 3, remaining: 1 }] })
      expect(taken[2]!.retryAfter).toBeGreaterThan(1_000)
      // What does not fit this node's share may fit the whole.
      expect(await local.take({ ...alice, cost: 9 })).toMatchObject({ allowed: false, retryAfter: 1_000 })
      await local.refund(taken[0]!)
      expect(await local.peek(alice)).toMatchObject({ allowed: true, source: 'local' })
      await expect(local.reset(alice)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
      expect(await local.inspect()).toMatchObject({ state: 'degraded', store: 'down', lastError: {} })
      expect(await deny.inspect()).toMatchObject({ state: 'down', store: 'down' })
    } finally {
      if (how === 'frozen') hurt.server.thaw()
      else await hurt.server.restart()
    }

    for (const limiter of [local, allow, deny]) await up(limiter)
    // Windows of Postgres are lost in a crash; what the outage admitted here is not in the store.
    const kept = name === 'Postgres' && how === 'killed' ? 0 : 2
    for (const limiter of [local, allow, deny])
      await until('what came late was taken back', 60_000, async () => {
        const { source, quotas } = await limiter.peek(alice)
        return source === 'store' && quotas[0]!.remaining === 10 - kept ? true : undefined
      })
    expect(await local.take(alice)).toMatchObject({ allowed: true, source: 'store', exact: true })
  })

  test.each(['frozen', 'killed'] as const)(
    'under thousands of requests, %s and back: all are answered, and the truth is never passed',
    { timeout: 300_000 },
    async (how) => {
      const REQUESTS = LONG ? 100_000 : 5_000
      const LIMIT = REQUESTS / 10
      // Of a calendar: Postgres keeps it over a crash.
      const quotas = { name: 'month', limit: LIMIT, calendar: 'month' } as const
      const limiter = await node({ name: `many${how}`, quotas, nodes: 4, storeTimeout })
      await up(limiter)
      const decisions: Decision[] = []
      let asked = 0
      const ask = async (): Promise<void> => {
        while (asked++ < REQUESTS) {
          decisions.push(await limiter.take(alice))
          // Not all of them within the outage.
          if (asked % 10 === 0) await new Promise((resolve) => setTimeout(resolve, 5))
        }
      }
      const callers = Array.from({ length: 20 }, ask)
      const reached = (share: number): Promise<true> =>
        until(`${share} of the requests`, 120_000, async () => (asked >= REQUESTS * share ? true : undefined))
      await reached(0.04)
      if (how === 'frozen') hurt.server.freeze()
      else await hurt.server.kill()
      await reached(0.5)
      if (how === 'frozen') hurt.server.thaw()
      else await hurt.server.restart()
      await Promise.all(callers)
      await up(limiter)
      // To the end of what the store has, also on a machine that stands still meanwhile.
      for (;;) {
        const last = await limiter.take(alice)
        decisions.push(last)
        if (last.source === 'local') await up(limiter)
        else if (!last.allowed) break
      }

      expect(decisions.length).toBeGreaterThanOrEqual(REQUESTS)
      const exact = decisions.filter((one) => one.exact && one.allowed).length
      const local = decisions.filter((one) => one.source === 'local' && one.allowed).length
      const asides = decisions.filter((one) => one.source === 'local').length
      console.log(`${name}, ${how}: ${exact} of ${LIMIT} exact, ${local} of ${LIMIT / 4} local, ${asides} without it`)
      expect(asides).toBeGreaterThan(0)
      expect(local).toBeLessThanOrEqual(LIMIT / 4)
      expect(exact).toBeLessThanOrEqual(LIMIT)
      // A reply that was lost is one count too many; there were 20 callers, and as many at each end of the outage.
      expect(exact).toBeGreaterThanOrEqual(LIMIT - 40)
    },
  )
})
