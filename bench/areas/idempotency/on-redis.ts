import { randomBytes, randomUUID } from 'node:crypto'
import { redisStore } from '@keelson/idempotency/redis'
import { Redis } from 'ioredis'
import type { Case, Contender, Running } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import type { Services } from '../../src/services.ts'
import { ANSWER, subjects, type Subject } from './subjects.ts'

const CALLERS = 32
const BODY = { order: 'o_1042', cents: 990, currency: 'eur' }
const BEGIN = 'keelson begin'

/** The Redis store alone, and whole calls without HTTP. */
export function onRedis(services: Services): Case[] {
  const client = async (): Promise<Redis> => new Redis(await services.redisUrl())
  return [
    {
      name: 'a claim on Redis, one after the other',
      runMs: 500,
      note: 'PING is the least that a round trip of the same client costs',
      base: 'PING',
      contenders: [
        {
          name: BEGIN,
          async open() {
            const redis = await client()
            const store = redisStore(redis, { prefix: `${services.id}:begin` })
            const begin = () =>
              store.begin(randomBytes(16), {
                nonce: randomBytes(16),
                leaseMs: 15_000,
                retainMs: 60_000,
                onLapsed: 'take',
              })
            return latencyOf(redis, begin)
          },
        },
        {
          name: 'SET NX PX',
          async open() {
            const redis = await client()
            return latencyOf(redis, () => redis.set(`${services.id}:nx:${randomUUID()}`, '1', 'PX', 60_000, 'NX'))
          },
        },
        {
          name: 'PING',
          async open() {
            const redis = await client()
            return latencyOf(redis, () => redis.ping())
          },
        },
      ],
      targets: [{ of: BEGIN, figure: 'p50 us', over: 'PING', atMost: 2 }],
    },
    {
      name: `whole calls on Redis without HTTP, ${CALLERS} at once: first`,
      runMs: 600,
      warmUpMs: 1000,
      base: '@node-idempotency/core',
      contenders: subjects.map((subject) => calls(services, subject, () => randomUUID())),
    },
    {
      name: `whole calls on Redis without HTTP, ${CALLERS} at once: replay`,
      runMs: 600,
      warmUpMs: 1000,
      base: '@node-idempotency/core',
      // Another key each time within a second, so that none is answered by a flight that is on its way.
      contenders: subjects.map((subject) => calls(services, subject, (i) => `replay:${i % 1000}`)),
    },
    {
      name: 'a record in Redis, over the bytes of its answer',
      note: `an answer of ${JSON.stringify(ANSWER).length} bytes; memory is MEMORY USAGE, the key included`,
      exact: true,
      contenders: subjects.map((subject) => recordSize(services, subject)),
      targets: [{ of: subjects[0]!.name, figure: 'value bytes', atMost: 150 }],
    },
  ]
}

/** Of one caller, in us: the closed loop's ms are too coarse. */
function latencyOf(redis: Redis, call: () => Promise<unknown>): Running {
  return {
    async run(forMs) {
      const figures = await closedLoop(1, forMs, call)
      return { 'p50 us': figures['p50 ms']! * 1000, 'p99 us': figures['p99 ms']! * 1000 }
    },
    close: async () => redis.disconnect(),
  }
}

function calls(services: Services, { name, open }: Subject, keyOf: (i: number) => string): Contender {
  return {
    name,
    async open() {
      const subject = await open(await services.redisUrl(), `${services.id}:calls`)
      let i = 0
      return {
        run: (forMs) => closedLoop(CALLERS, forMs, () => subject.call(keyOf(i++), BODY)),
        close: () => subject.close(),
      }
    },
  }
}

function recordSize(services: Services, { name, open }: Subject): Contender {
  return {
    name,
    async open() {
      const prefix = `${services.id}:size:${randomUUID()}`
      const subject = await open(await services.redisUrl(), prefix)
      const redis = new Redis(await services.redisUrl())
      return {
        async run() {
          await subject.call(randomUUID(), BODY)
          const [key] = await keysUnder(redis, prefix)
          const answer = JSON.stringify(ANSWER).length
          return {
            'value bytes': (await redis.strlen(key!)) - answer,
            'memory bytes': Number(await redis.call('MEMORY', 'USAGE', key!)) - answer,
          }
        },
        async close() {
          redis.disconnect()
          await subject.close()
        },
      }
    },
  }
}

async function keysUnder(redis: Redis, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const some of redis.scanStream({ match: `${prefix}*` })) keys.push(...(some as string[]))
  return keys
}
