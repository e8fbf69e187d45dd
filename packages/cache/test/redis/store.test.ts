import { Redis } from 'ioredis'
import { describe, it } from 'vitest'
import { cacheStoreSuite } from '@keelson/cache/conformance'
import { redisStore } from '@keelson/cache/redis'
import { register } from '@keelson/kernel/conformance'
import { redisPort, type RedisPort } from '@keelson/kernel/redis'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { startJumpingRedis } from '../../../../tools/servers/jumping-redis.ts'
import { redisClients } from '../../../../tools/servers/redis-clients.ts'
import { redisKeys } from '../../src/redis/keys.ts'
import { somePrefix } from './some-prefix.ts'

const HAS = ['bodies', 'members', 'wakes', 'keeps', 'lose']

/** What a server loses of a cache. */
function losing(port: RedisPort, prefix: string) {
  return async (name: string, what: 'state' | 'members' | 'all'): Promise<void> => {
    const { state, members, entries } = redisKeys(prefix, name)
    const lost = what === 'state' ? [state] : what === 'members' ? [members] : [state, members]
    if (what === 'all') lost.push(...((await port.command(state, ['KEYS', entries()])) as Buffer[]).map(String))
    await port.command(state, ['DEL', ...lost])
  }
}

for (const [name, open] of Object.entries(redisClients)) {
  const make = async () => {
    const opened = await open()
    const prefix = somePrefix()
    return {
      store: redisStore(opened.client, { prefix }),
      lose: losing(redisPort(opened.client), prefix),
      dispose: async () => opened[Symbol.asyncDispose](),
    }
  }
  describe(name, () => register(cacheStoreSuite, { has: HAS, make }, { describe, it }))
}

describe('a server whose clock jumps, members behind a proxy', () => {
  const make = async () => {
    await using started = new AsyncDisposableStack()
    const redis = started.use(await startJumpingRedis())
    const proxy = started.use(await startFaultProxy(redis.server))
    const [client, subscriber] = [new Redis(redis.server.url), new Redis(proxy.port, proxy.host)]
    for (const each of [client, subscriber]) {
      each.on('error', () => {}) // it says what the proxy did
      started.defer(() => each.disconnect())
    }
    const prefix = somePrefix()
    const running = started.move()
    return {
      store: redisStore(client, { prefix, subscriber }),
      lose: losing(redisPort(client), prefix),
      cut: async () => proxy.resetAll(),
      jump: async (ms: number) => redis.jump(ms),
      dispose: async () => running.disposeAsync(),
    }
  }
  register(
    // The other cases have run on a server like it.
    {
      ...cacheStoreSuite,
      cases: cacheStoreSuite.cases.filter(({ needs }) => needs?.some((need) => ['cut', 'jump'].includes(need))),
    },
    { has: [...HAS, 'cut', 'jump'], make },
    { describe, it },
  )
})
