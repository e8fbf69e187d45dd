import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Case, Contender, Figures } from '../../src/case.ts'
import type { Services } from '../../src/services.ts'
import { quantile } from '../../src/statistics.ts'
import { KEELSON, openKeelson, peers, valueOf, type OpenSubject } from './subjects.ts'

const FEW = 10
const ALL = 1_000_000
/** What a peer that deletes each carrier is given: filled again for each drop. */
const FEWER = 10_000
const DROPS = 200
const TAG = 'carried'

const ours = (carriers: number): string => `${KEELSON}, ${carriers.toLocaleString('en')} carriers`
const peer = (name: string) => peers.find((one) => one.name === name)!

/** How long the invalidation of a tag takes, by how many entries have it. */
export function tagDrop(services: Services): Case[] {
  return [
    {
      name: 'invalidation of a tag on Redis, by the number of entries that have it',
      note: `others: what PING takes on another connection meanwhile; async-cache-dedupe deletes the entries, so once a round`,
      base: ours(FEW),
      warmUpMs: 1,
      contenders: [
        ofKeelson(services, FEW),
        ofKeelson(services, ALL),
        ofPeer(services, 'bentocache', FEW),
        ofPeer(services, 'bentocache', FEWER),
        ofPeer(services, 'async-cache-dedupe', FEW),
        ofPeer(services, 'async-cache-dedupe', FEWER),
      ],
      targets: [
        { of: ours(ALL), figure: 'drop p50 us', over: ours(FEW), atMost: 1.5 },
        { of: ours(ALL), figure: 'others p99 ms', atMost: 5 },
      ],
    },
  ]
}

/** A million entries are one that the server copies: the tag is in each of them. */
function ofKeelson(services: Services, carriers: number): Contender {
  return {
    name: ours(carriers),
    async open() {
      const url = await services.redisUrl()
      const prefix = `${services.id}${randomUUID().slice(0, 8)}`
      const cache = openKeelson(url, prefix)
      const redis = new Redis(url)
      await cache.getOrSet('original', async () => ({ id: 1 }), [TAG])
      await copy(redis, `${prefix}:{bench.0}:e:5:bench=original`, carriers)
      return {
        run: () => dropped(redis, DROPS, () => cache.drop!(TAG)),
        async close() {
          await copy(redis, undefined, carriers)
          await cache.close()
          redis.disconnect()
        },
      }

      /** Of `from` to keys 1 to `count`, or their end. */
      async function copy(redis: Redis, from: string | undefined, count: number): Promise<void> {
        const lua = `local raw = KEYS[1] ~= '' and redis.call('GET', KEYS[1])
          if KEYS[1] ~= '' and not raw then return redis.error_reply('there is no entry') end
          for i = ARGV[2], ARGV[3] do
            local key = ARGV[1] .. string.format('%d', i)
            if raw then redis.call('SET', key, raw) else redis.call('UNLINK', key) end
          end`
        const step = 20_000
        for (let i = 1; i <= count; i += step)
          await redis.eval(lua, 1, from ?? '', `${prefix}:{bench.0}:e:5:bench=copy`, i, Math.min(count, i + step - 1))
      }
    },
  }
}

function ofPeer(services: Services, name: string, carriers: number): Contender {
  return {
    name: `${name}, ${carriers.toLocaleString('en')} carriers`,
    async open() {
      const url = await services.redisUrl()
      const cache = await peer(name).open(url, `${services.id}${randomUUID().slice(0, 8)}`)
      const redis = new Redis(url)
      const deletes = name === 'async-cache-dedupe'
      if (!deletes) await fill(cache, carriers)
      return {
        async run() {
          if (deletes) await fill(cache, carriers)
          return dropped(redis, deletes ? 1 : DROPS, () => cache.drop!(TAG))
        },
        async close() {
          await cache.close()
          redis.disconnect()
        },
      }
    },
  }
}

async function fill(cache: OpenSubject, carriers: number): Promise<void> {
  const step = 500
  for (let from = 0; from < carriers; from += step) {
    const some = Array.from({ length: Math.min(step, carriers - from) }, (_, i) => from + i)
    await Promise.all(some.map((i) => cache.getOrSet(`carrier:${i}`, async () => valueOf(i), [TAG])))
  }
}

/** Drops, one after the other, while another connection is asked every ms. */
async function dropped(other: Redis, count: number, drop: () => Promise<unknown>): Promise<Figures> {
  const drops: number[] = []
  const pings: number[] = []
  let over = false
  const pinging = (async () => {
    while (!over) {
      pings.push(await msOf(() => other.ping()))
      await sleep(1)
    }
  })()
  for (let i = 0; i < count; i++) drops.push(await msOf(drop))
  over = true
  await pinging
  return { 'drop p50 us': quantile(drops, 0.5) * 1000, 'others p99 ms': quantile(pings, 0.99) }
}

async function msOf(call: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now()
  await call()
  return performance.now() - startMs
}
