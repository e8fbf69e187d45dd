import { Redis } from 'ioredis'
import { afterAll, expect, inject, test } from 'vitest'
import type { Claim } from '@keelson/webhooks'
import { redisStore } from '@keelson/webhooks/redis'
import { anEvent, endpoint, routeAll, RULES, success } from '../postgres/steps.ts'
import { somePrefix } from './redis-subject.ts'

const client = new Redis(inject('redisUrl'))
afterAll(() => client.disconnect())

const everything = { limit: 10, owner: 'n', suspects: true, handlers: [] }
const nothingKept = { attemptsMs: 0, deliveriesMs: 0, eventsMs: 0, heldMs: 0 }

/** Two scopes, 'a' with events of one key that have come so far. */
async function world(reached: 'published' | 'routed' | 'claimed' | 'delivered') {
  const prefix = somePrefix()
  const store = redisStore(client, { prefix })
  await endpoint(store, 'a', 'ep_a', { ...RULES, leaseMs: 1 })
  await endpoint(store, 'b', 'ep_b', { ...RULES, leaseMs: 3_600_000 })
  await store.publish(
    [1, 2, 3].map((n) => anEvent(undefined, { scope: 'a', ...(n < 3 && { key: 'k', subject: 's' }) })),
  )
  if (reached !== 'published') await routeAll(store)
  const claims = reached === 'claimed' || reached === 'delivered' ? await store.claim(everything) : []
  if (reached === 'delivered') await store.settle(claims.map(success))
  const keys = (await client.keys(`*${prefix}*`)).toSorted()
  // What 'b' itself has is not lost: its lane is the second one.
  const lanes = keys.filter((key) => /:h:\d+$/.test(key)).map((key) => Number(key.split(':').at(-1)))
  const its = new RegExp(`:(ep:b|[hl]:${Math.max(...lanes)})$`)
  return { store, prefix, claims, keys: keys.filter((key) => !its.test(key)) }
}

test.each(['published', 'routed', 'claimed', 'delivered'] as const)(
  'whatever one row of a scope is evicted when its events are %s, the other scopes are served',
  async (reached) => {
    const { keys, store: first } = await world(reached)
    await first.close()
    for (const i of keys.keys()) {
      const { store, claims, keys: same } = await world(reached)
      await client.del(same[i]!)
      const served: Claim[] = []
      await store.publish([anEvent(undefined, { scope: 'b' })])
      for (let round = 0; round < 4; round++) {
        await routeAll(store)
        const claimed = await store.claim(everything)
        await store.settle([...claims, ...claimed].map(success))
        served.push(...claimed.filter(({ token }) => token.scope === 'b'))
        await store.reap(10)
        await store.sweep(10, nothingKept)
      }
      expect(served, same[i]).toHaveLength(1)
      await store.inspect()
      await store.close()
    }
  },
)
