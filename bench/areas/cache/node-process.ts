/** A node of a cache in a process of its own. Instants are ms of the monotonic clock, which all processes share. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createCache } from '@keelson/cache'
import { redisStore } from '@keelson/cache/redis'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import { Redis } from 'ioredis'
import { serveParent } from '../../src/child.ts'

type Question =
  | { what: 'invalidate'; forMs: number }
  | { what: 'stampede'; key: string; callers: number; loadMs: number; atMs: number }

interface Node {
  getOrSet(key: string, load: () => Promise<object>): Promise<unknown>
  invalidate(tag: string): Promise<unknown>
}

const [kind, redisUrl, prefix] = process.argv.slice(2) as [string, string, string]
const node = kind === 'keelson' ? await openKeelson() : openBentocache()
await node.getOrSet('warm', async () => ({}))

serveParent(async (question: Question) => {
  if (question.what === 'invalidate') {
    const tookMs: number[] = []
    for (const untilMs = nowMs() + question.forMs; nowMs() < untilMs;) {
      const startMs = nowMs()
      await node.invalidate(`t${tookMs.length % 100}`)
      tookMs.push(nowMs() - startMs)
    }
    return tookMs
  }
  const { key, callers, loadMs, atMs } = question
  let loads = 0
  const load = async (): Promise<object> => {
    loads++
    await sleep(loadMs)
    return { key }
  }
  await sleep(atMs - nowMs())
  await Promise.all(Array.from({ length: callers }, () => node.getOrSet(key, load)))
  return { loads, endMs: nowMs() }
})

function nowMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}

async function openKeelson(): Promise<Node> {
  const store = redisStore(new Redis(redisUrl), { prefix })
  const caches = createCache({ name: 'bench', store, early: 0, storeTimeout: '30s' })
  await caches.start()
  const cache = caches.scope('bench')
  return {
    getOrSet: (key, load) => cache.getOrSet(key, load, { tags: ['t'] }),
    invalidate: (tag) => cache.invalidate(tag),
  }
}

function openBentocache(): Node {
  const connection = { host: new URL(redisUrl).hostname, port: Number(new URL(redisUrl).port) }
  const store = bentostore()
    .useL1Layer(memoryDriver({}))
    .useL2Layer(redisDriver({ connection, prefix }))
    .useBus(redisBusDriver({ connection }))
  const bento = new BentoCache({ default: 'all', stores: { all: store } })
  return {
    getOrSet: (key, factory) => bento.getOrSet({ key, factory, tags: ['t'] }),
    invalidate: (tag) => bento.deleteByTag({ tags: [tag] }),
  }
}
