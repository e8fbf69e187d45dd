import { afterAll, beforeAll, describe, it } from 'vitest'
import { register, type Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { memoryStore } from '@keelson/cache'
import { cacheStoreSuite, type CacheStoreUnderTest } from '@keelson/cache/conformance'
import { abilities, stores, type OpenStore } from './stores.ts'

const inVirtualTime: Subject<CacheStoreUnderTest> = {
  has: ['values'],
  async make() {
    const clock = virtualClock()
    return { store: memoryStore({ clock }), elapse: (ms) => clock.advance(ms), async dispose() {} }
  },
}

describe('memory, values in virtual time', () => register(cacheStoreSuite, inVirtualTime, { describe, it }))

describe.each(Object.keys(stores))('%s', (name) => {
  let opened: OpenStore
  beforeAll(async () => {
    opened = await stores[name]!()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  register(
    cacheStoreSuite,
    { has: abilities[name]!, make: async () => ({ ...opened, async dispose() {} }) },
    { describe, it },
  )
})
