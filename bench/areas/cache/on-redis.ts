import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { startFaultProxy } from '../../../tools/faults/fault-proxy.ts'
import type { Case, Contender, Figures, Target } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import type { Services } from '../../src/services.ts'
import { GET, KEELSON, openGet, openKeelson, peers, tagsOf, valueOf, type OpenSubject } from './subjects.ts'

const KEYS = 1_000
const MANY = 100

/** A cache, and how many tags its entries have. */
interface Tagged {
  readonly name: string
  readonly tags: number
  open(url: string, prefix: string): OpenSubject | Promise<OpenSubject>
}

const ours = (tags: number): Tagged => ({ name: `${KEELSON}, ${tags} tags`, tags, open: openKeelson })
const OURS = [ours(0), ours(1), ours(5)]
const FLOOR: Tagged = { name: GET, tags: 0, open: openGet }
const PEERS: Tagged[] = peers.map(({ name, hasTags, open }) => ({
  name: hasTags ? `${name}, 5 tags` : name,
  tags: hasTags ? 5 : 0,
  open,
}))
const ALL = [...OURS, FLOOR, ...PEERS]

/** Reads and fills of the shared tier in Redis: in round trips, bytes and time. */
export function onRedis(services: Services): Case[] {
  const five = OURS[2]!.name
  return [
    {
      name: 'a hit and a miss on Redis: round trips and bytes',
      note: 'trips are counted on the wire; bytes are what the server sends for a hit, over the JSON of its value',
      exact: true,
      contenders: ALL.map((one) => counted(services, one)),
      targets: [
        ...OURS.flatMap(({ name: of }): Target[] => [
          { of, figure: 'hit trips', atMost: 1 },
          { of, figure: 'miss trips', atMost: 2 },
          { of, figure: 'many trips', atMost: 1 },
        ]),
        { of: five, figure: 'hit bytes', atMost: 250 },
      ],
    },
    {
      name: `a hit on Redis, one after the other`,
      note: 'the floor parses its JSON too; no memory of their own',
      base: GET,
      runMs: 600,
      contenders: ALL.map((one) => hits(services, one)),
      targets: OURS.map(({ name: of }) => ({ of, figure: 'p50 us', over: GET, atMost: 2 })),
    },
    {
      name: 'a miss and its fill on Redis, one after the other',
      note: 'the floor: GET, then SET PX',
      base: GET,
      runMs: 600,
      contenders: ALL.map((one) => misses(services, one)),
    },
    {
      name: `getMany of ${MANY} on Redis`,
      note: 'the floor: MGET',
      base: GET,
      runMs: 600,
      contenders: [ours(5), FLOOR, ...PEERS.filter(({ name }) => !/^(bento|async|@epic)/.test(name))].map((one) =>
        many(services, one),
      ),
    },
  ]
}

function hits(services: Services, one: Tagged): Contender {
  return timed(services, one, async (cache) => {
    await fill(cache, one, KEYS)
    let i = 0
    return () => cache.getOrSet(`user:${i++ % KEYS}`, never, tagsFor(one, i))
  })
}

function misses(services: Services, one: Tagged): Contender {
  return timed(services, one, async (cache) => {
    let i = 0
    return () => cache.getOrSet(`miss:${i++}`, async () => valueOf(i), tagsFor(one, i))
  })
}

function many(services: Services, one: Tagged): Contender {
  return timed(services, one, async (cache) => {
    const keys = await fill(cache, one, MANY)
    return () => cache.getMany!(keys)
  })
}

function timed(
  services: Services,
  one: Tagged,
  prepare: (cache: OpenSubject) => Promise<() => Promise<unknown>>,
): Contender {
  return {
    name: one.name,
    async open() {
      const cache = await one.open(await services.redisUrl(), prefixOf(services))
      const call = await prepare(cache)
      return {
        async run(forMs) {
          const figures = await closedLoop(1, forMs, call)
          return { 'p50 us': figures['p50 ms']! * 1000, 'p99 us': figures['p99 ms']! * 1000 }
        },
        close: async () => void (await cache.close()),
      }
    },
  }
}

function counted(services: Services, one: Tagged): Contender {
  return {
    name: one.name,
    async open() {
      const url = new URL(await services.redisUrl())
      const asker = new Redis(url.href)
      const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
      Object.assign(url, { hostname: proxy.host, port: String(proxy.port) })
      const cache = await one.open(url.href, prefixOf(services))
      const trips = async (call: () => Promise<unknown>): Promise<number> => {
        proxy.resetCount()
        await call()
        return proxy.roundTrips
      }
      const miss = (i: number): Promise<unknown> => cache.getOrSet(`user:${i}`, async () => valueOf(i), tagsFor(one, i))
      return {
        async run(): Promise<Figures> {
          // Connected, and the server knows the scripts.
          for (const i of [101, 101, 102, 102]) await miss(i)
          const keys = await fill(cache, one, MANY)
          const hit = (): Promise<unknown> => cache.getOrSet(keys[7]!, never, tagsFor(one, 7))
          const figures = {
            'hit trips': await trips(hit),
            'miss trips': await trips(() => miss(103)),
            'hit bytes': (await sentBytes(asker, hit)) - JSON.stringify(valueOf(7)).length,
          }
          if (cache.getMany === undefined) return figures
          await cache.getMany(keys)
          return { ...figures, 'many trips': await trips(() => cache.getMany!(keys)) }
        },
        async close() {
          await cache.close()
          asker.disconnect()
          await proxy.close()
        },
      }
    },
  }
}

/** What the server sends for one call. The asking has its own bytes, which are taken off. */
async function sentBytes(asker: Redis, call: () => Promise<unknown>): Promise<number> {
  const sent = async (): Promise<number> => Number(/total_net_output_bytes:(\d+)/.exec(await asker.info('stats'))?.[1])
  const [first, second] = [await sent(), await sent()]
  await call()
  return (await sent()) - second - (second - first)
}

async function fill(cache: OpenSubject, one: Tagged, count: number): Promise<string[]> {
  const keys = Array.from({ length: count }, (_, i) => `user:${i}`)
  for (const [i, key] of keys.entries()) await cache.getOrSet(key, async () => valueOf(i), tagsFor(one, i))
  return keys
}

function tagsFor({ tags }: Tagged, i: number): readonly string[] {
  return tagsOf(i).slice(0, tags)
}

const prefixOf = (services: Services): string => `${services.id}${randomUUID().slice(0, 8)}`

const never = (): never => {
  throw new Error('it was a miss')
}
