import { Redis } from 'ioredis'
import { expect, inject, test, vi } from 'vitest'
import { createCache, type CacheStore, type Caches, type MemberEvents } from '@keelson/cache'
import { redisStore } from '@keelson/cache/redis'

const until = (isSo: () => unknown): Promise<void> =>
  vi.waitFor(async () => expect(await isSo()).toBeTruthy(), { timeout: 60_000 })

/** A store whose member can be told that it hears no more, and is kept from coming back. */
function losable(store: CacheStore) {
  let on: MemberEvents | undefined
  let gate = Promise.withResolvers<void>()
  gate.resolve()
  return {
    store: {
      kind: store.kind,
      open(name, o) {
        const tier = store.open(name, o)
        return {
          ...tier,
          async join(node, given) {
            await gate.promise
            on = given.on
            return tier.join!(node, given)
          },
        }
      },
    } satisfies CacheStore,
    lose() {
      gate = Promise.withResolvers()
      on?.lost()
    },
    rejoin: () => gate.resolve(),
  }
}

test('what was read while nobody told us is not served from memory after a rejoin', async () => {
  const name = `r${Math.random().toString(36).slice(2, 10)}`
  const clients = [new Redis(inject('redisUrl')), new Redis(inject('redisUrl'))] as const
  const member = losable(redisStore(clients[1]))
  const fixed = { name, storeTimeout: '10s', lease: '1s', jitter: 0, early: 0 } as const
  const [a, b]: [Caches, Caches] = [
    createCache({ ...fixed, store: redisStore(clients[0]) }),
    createCache({ ...fixed, store: member.store }),
  ]
  const held = async (): Promise<boolean> => (await b.inspect()).lease.held
  try {
    await Promise.all([a.start(), b.start()])
    await until(held)
    member.lose()
    await until(async () => (await a.inspect()).epoch !== undefined && !(await held()))
    expect(await b.scope('s').getOrSet('k', () => 'old')).toBe('old')
    await a.scope('s').delete('k')
    member.rejoin()
    await until(held)
    expect(b.scope('s').peek('k')).toBeUndefined()
    expect(await b.scope('s').getOrSet('k', () => 'new')).toBe('new')
  } finally {
    await Promise.all([a.close(), b.close()])
    for (const client of clients) client.disconnect()
  }
})
