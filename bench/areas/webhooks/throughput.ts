import type { Case, Contender } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import type { Services } from '../../src/services.ts'
import * as couriers from './couriers.ts'

const MEMORY = 'keelson, memory'
const REDIS = 'keelson, Redis'
const POSTGRES = 'keelson, Postgres'
const BULLMQ = 'bullmq 6.7.0'
const PG_BOSS = 'pg-boss 12.35.0, batches of 50'
const GRAPHILE = 'graphile-worker 0.18.0'
const BARE = 'undici 8, a loop that signs'

/** Of one filling. */
const EVENTS = 3_000

/** A backlog of signed events for a hundred endpoints. */
export function throughput(services: Services): Case[] {
  const contender = (name: string, open: couriers.OpenCourier): Contender => ({
    name,
    async open() {
      const receiver = await startChild(new URL('receiver.ts', import.meta.url), [])
      const courier = await open(await receiver.ask<string>({ kind: 'url' }), services)
      return {
        async run(forMs) {
          let events = 0
          let spentMs = 0
          do {
            await courier.fill(EVENTS)
            const beganMs = performance.now()
            await courier.drain()
            spentMs += performance.now() - beganMs
            events += EVENTS
          } while (spentMs < forMs)
          return { 'per s': (events / spentMs) * 1_000 }
        },
        async close() {
          await courier.close()
          await receiver.stop()
        },
      }
    },
  })
  return [
    {
      name: `signed deliveries, ${couriers.CONCURRENCY} at once, ${couriers.ENDPOINTS} endpoints`,
      note: 'a backlog of 3,000 is delivered, with an attempts log; ours also routes it. Peers: workers written by hand that sign',
      base: BARE,
      warmUpMs: 1_000,
      runMs: 2_000,
      contenders: [
        contender(MEMORY, couriers.inMemory),
        contender(REDIS, couriers.onRedis),
        contender(POSTGRES, couriers.onPostgres),
        contender(BULLMQ, couriers.onBullmq),
        contender(PG_BOSS, couriers.onPgBoss),
        contender(GRAPHILE, couriers.onGraphile),
        contender(BARE, couriers.bare),
      ],
      targets: [
        { of: MEMORY, figure: 'per s', over: BARE, atLeast: 0.75 },
        { of: REDIS, figure: 'per s', over: BULLMQ, atLeast: 2 },
        { of: REDIS, figure: 'per s', over: BARE, atLeast: 0.4 },
        { of: POSTGRES, figure: 'per s', over: BULLMQ, atLeast: 1.5 },
        { of: POSTGRES, figure: 'per s', over: PG_BOSS, atLeast: 1.2 },
        { of: POSTGRES, figure: 'per s', over: GRAPHILE, atLeast: 3 },
        { of: POSTGRES, figure: 'per s', over: BARE, atLeast: 0.35 },
      ],
    },
  ]
}
