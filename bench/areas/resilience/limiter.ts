import { createLimiter, type Quota } from '@keelson/resilience/limiter'
import { redisStore } from '@keelson/resilience/redis'
import { Redis } from 'ioredis'
import { RedisStore } from 'rate-limit-redis'
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible'
import { startFaultProxy } from '../../../tools/faults/fault-proxy.ts'
import type { Case, Contender } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { hotAsyncPath } from '../../src/hot-path.ts'
import type { Services } from '../../src/services.ts'

/** One take of a subject. */
type Take = (subject: string) => Promise<unknown>
/** Over a client, under keys of its own. */
type Open = (redis: Redis, prefix: string) => Take

const SUBJECTS = 1_000
const LIMIT = 100
const MANY = 1_000_000
const SLIDING = 'keelson sliding (log)'
const BUCKETS = 'keelson sliding (buckets)'

const QUOTAS: Record<string, Quota> = {
  [SLIDING]: { name: 'q', limit: LIMIT, per: '1s' },
  [BUCKETS]: { name: 'q', limit: MANY, per: '1m' },
  'keelson gcra': { name: 'q', limit: MANY, per: '1m', algorithm: 'gcra' },
  'keelson fixed': { name: 'q', limit: MANY, per: '1m', algorithm: 'fixed' },
  'keelson calendar': { name: 'q', limit: MANY, calendar: 'day', timeZone: 'Europe/Berlin' },
}
const OTHERS = Object.keys(QUOTAS).filter((name) => name !== SLIDING && name !== BUCKETS)

function keelson(quota: Quota): Open {
  return (redis, prefix) => {
    const limiter = createLimiter({
      name: 'bench',
      quotas: quota,
      store: redisStore(redis, { prefix }),
      storeTimeout: '10s',
    })
    return (key) => limiter.take({ scope: 'public', key })
  }
}

const flexible: Open = (storeClient, keyPrefix) => {
  const limiter = new RateLimiterRedis({ storeClient, keyPrefix, points: MANY, duration: 60 })
  return (key) => limiter.consume(key)
}

const ofExpress: Open = (redis, prefix) => {
  const store = new RedisStore({
    prefix,
    sendCommand: (...[command, ...args]: string[]) => redis.call(command!, ...args) as Promise<never>,
  })
  store.init({ windowMs: 60_000 } as never)
  return (key) => store.increment(key)
}

const subjects: Record<string, Open> = {
  ...Object.fromEntries(Object.entries(QUOTAS).map(([name, quota]) => [name, keelson(quota)])),
  'rate-limiter-flexible 11.4.0': flexible,
  'rate-limit-redis 6.0.1': ofExpress,
  INCR: (redis, prefix) => (key) => redis.incr(prefix + key),
}

/** The limiter on Redis and in memory. */
export function limiters(services: Services): Case[] {
  return [
    {
      name: 'round trips of a take to Redis',
      note: 'refused: the second of two refusals in a row; peers with a limit of 1',
      exact: true,
      contenders: [
        trips(services, 'keelson sliding', keelson({ name: 'q', limit: 1, per: '10m' })),
        trips(services, 'rate-limiter-flexible 11.4.0', (storeClient, keyPrefix) => {
          const limiter = new RateLimiterRedis({ storeClient, keyPrefix, points: 1, duration: 600 })
          return (key) => limiter.consume(key).catch(() => {})
        }),
        trips(services, 'rate-limit-redis 6.0.1', ofExpress),
      ],
      targets: [
        { of: 'keelson sliding', figure: 'take trips', atMost: 1 },
        { of: 'keelson sliding', figure: 'refused trips', atMost: 0 },
      ],
    },
    {
      name: 'a take on Redis, one after the other',
      note: `${SUBJECTS} subjects in turn, all are admitted; the peers count fixed windows`,
      runMs: 700,
      base: 'INCR',
      contenders: Object.entries(subjects).map(([name, open]) => latency(services, name, open)),
      targets: [
        { of: SLIDING, figure: 'p50 us', over: 'INCR', atMost: 2.1 },
        { of: BUCKETS, figure: 'p50 us', over: 'INCR', atMost: 2.1 },
        ...OTHERS.map((of) => ({ of, figure: 'p50 us', over: 'INCR', atMost: 1.5 })),
      ],
    },
    {
      name: 'a refusal that is remembered',
      runMs: 300,
      contenders: [
        {
          name: 'keelson memo',
          open: () => inMemory({ name: 'q', limit: 1, per: '10m' }, () => 'k'),
        },
      ],
    },
    {
      name: 'a take in memory',
      note: `${SUBJECTS} subjects in turn`,
      runMs: 300,
      base: 'rate-limiter-flexible 11.4.0',
      contenders: [
        {
          name: 'keelson gcra',
          open: () => inMemory({ name: 'q', limit: MANY, per: '1m', algorithm: 'gcra' }, (i) => `k${i % SUBJECTS}`),
        },
        {
          name: 'keelson sliding (buckets)',
          open: () => inMemory({ name: 'q', limit: MANY, per: '1m' }, (i) => `k${i % SUBJECTS}`),
        },
        {
          name: 'rate-limiter-flexible 11.4.0',
          open() {
            const limiter = new RateLimiterMemory({ points: MANY, duration: 60 })
            return hotAsyncPath('us', (i) => limiter.consume(`k${i % SUBJECTS}`))
          },
        },
      ],
    },
  ]
}

function inMemory(quota: Quota, keyOf: (i: number) => string) {
  const limiter = createLimiter({ name: 'bench', quotas: quota })
  return hotAsyncPath('us', (i) => limiter.take({ scope: 'public', key: keyOf(i) }))
}

/** Of one caller, in us. */
function latency(services: Services, name: string, open: Open): Contender {
  return {
    name,
    async open() {
      const redis = new Redis(await services.redisUrl())
      const take = open(redis, `${services.id}:${name.replaceAll(/\W/g, '')}:`)
      let i = 0
      return {
        async run(forMs) {
          const figures = await closedLoop(1, forMs, () => take(`k${i++ % SUBJECTS}`))
          return { 'p50 us': figures['p50 ms']! * 1_000, 'p99 us': figures['p99 ms']! * 1_000 }
        },
        close: async () => redis.disconnect(),
      }
    },
  }
}

/** Counted on the wire, by a proxy in front of the server. */
function trips(services: Services, name: string, open: Open): Contender {
  return {
    name,
    async open() {
      const { hostname: host, port } = new URL(await services.redisUrl())
      const proxy = await startFaultProxy({ host, port: Number(port) })
      const redis = new Redis(proxy.port, proxy.host)
      const take = open(redis, `${services.id}:trips:${name.replaceAll(/\W/g, '')}:`)
      const count = async (key: string): Promise<number> => {
        proxy.resetCount()
        await take(key)
        return proxy.roundTrips
      }
      return {
        async run() {
          await take('connected, and the server knows the script')
          const figures = { 'take trips': await count('k') }
          await take('k')
          return { ...figures, 'refused trips': await count('k') }
        },
        async close() {
          redis.disconnect()
          await proxy.close()
        },
      }
    },
  }
}
