import { randomBytes } from 'node:crypto'
import { defineScript, redisPort, type RedisPort } from '@keelson/kernel/redis'
import type { Subject } from '@keelson/kernel/conformance'
import type { StoreUnderTest } from '@keelson/webhooks/conformance'
import { redisStore } from '@keelson/webhooks/redis'
import type { OpenRedis } from '../../../../tools/servers/redis-clients.ts'
import { clockLua } from '../../src/redis/clock.lua.ts'
import type { TimedStore } from '../timed-stores.ts'

/** A store over a client of its own for each case; with several shards if there are several servers. */
export function redisSubject(open: () => Promise<OpenRedis>): Subject<StoreUnderTest> {
  return {
    async make() {
      const [mine, others] = [await open(), await open()]
      const options = { prefix: somePrefix(), shards: redisPort(mine.client).cluster ? 4 : 1 }
      const [store, peer] = [redisStore(mine.client, options), redisStore(others.client, options)]
      return {
        store,
        peer,
        async dispose() {
          await Promise.all([store.close(), peer.close()])
          await mine[Symbol.asyncDispose]()
          await others[Symbol.asyncDispose]()
        },
      }
    },
  }
}

/** The same in virtual time. */
export function timedRedisSubject(open: () => Promise<OpenRedis>, shards: number): Subject<StoreUnderTest> {
  return {
    has: ['elapse'],
    async make() {
      const { store, at, [Symbol.asyncDispose]: dispose } = await openTimedRedis(open, shards)
      let nowMs = Date.UTC(2026, 0, 1)
      await at(nowMs)
      return { store, elapse: (ms) => at((nowMs += ms)), dispose: async () => dispose() }
    },
  }
}

/** Where a test says what time it is. */
const virtualLua = `
local exact = tonumber(redis.call('GET', KEYS[1] .. ':virtual-now'))
local now = math.floor(exact)
`

/** A store whose server lives in the time that the test gives it. */
export async function openTimedRedis(open: () => Promise<OpenRedis>, shards: number): Promise<TimedStore> {
  const opened = await open()
  const port = redisPort(opened.client)
  const prefix = somePrefix()
  const virtual: RedisPort = {
    ...port,
    script: (script, keys, args) => port.script(defineScript(script.lua.replace(clockLua, virtualLua)), keys, args),
  }
  return {
    store: redisStore(virtual, { prefix, shards }),
    async at(nowMs) {
      const names = Array.from({ length: shards }, (_, i) => `{${prefix}:${i}}`)
      for (const name of names) await port.command(name, ['SET', `${name}:virtual-now`, String(nowMs)])
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  }
}

/** A prefix that no other test has. */
export const somePrefix = (): string => `webhooks_${randomBytes(6).toString('hex')}`
