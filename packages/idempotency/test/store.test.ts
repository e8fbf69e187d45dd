import { afterAll, beforeAll, describe, it } from 'vitest'
import { register, type Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { memoryStore } from '@keelson/idempotency'
import { idempotencyStoreSuite, type StoreUnderTest } from '@keelson/idempotency/conformance'
import { abilities, stores, type OpenStore } from './stores.ts'

const inVirtualTime: Subject<StoreUnderTest> = {
  has: abilities['memory']!,
  async make() {
    const clock = virtualClock()
    return { store: memoryStore({ clock }), elapse: (ms) => clock.advance(ms), async dispose() {} }
  },
}

describe('memory, in virtual time', () => register(idempotencyStoreSuite, inVirtualTime, { describe, it }))

describe('Redis, opened for each case', () => {
  const cases = idempotencyStoreSuite.cases.filter(({ needs = [] }) => needs.includes('close'))
  const subject: Subject<StoreUnderTest> = {
    has: [...abilities['Redis, ioredis 6']!, 'close'],
    async make() {
      const opened = await stores['Redis, ioredis 6']!()
      return { store: opened.store, dispose: async () => opened[Symbol.asyncDispose]() }
    },
  }
  register({ ...idempotencyStoreSuite, cases }, subject, { describe, it })
})

describe.each(Object.keys(stores))('%s', (name) => {
  let opened: OpenStore
  beforeAll(async () => {
    opened = await stores[name]!()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  register(
    idempotencyStoreSuite,
    { has: abilities[name]!, make: async () => ({ store: opened.store, async dispose() {} }) },
    { describe, it },
  )
})
