import { afterAll, beforeAll, describe, it } from 'vitest'
import { register, type Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { limiterStoreSuite, type StoreUnderTest } from '../../src/conformance/index.ts'
import { memoryStore } from '../../src/limiter/index.ts'
import { stores, type OpenStore } from './stores.ts'
import { serverClock, timedStores, type TimedStore } from './timed-stores.ts'

const inVirtualTime: Subject<StoreUnderTest> = {
  has: ['sweep', 'elapse'],
  async make() {
    const clock = virtualClock()
    return { store: memoryStore({ clock }), elapse: (ms) => clock.advance(ms), async dispose() {} }
  },
}
describe('memory, in virtual time', () => register(limiterStoreSuite, inVirtualTime, { describe, it }))

describe.each(['Redis', 'PGlite'])('%s, told the time', (name) => {
  const clock = serverClock(Date.now())
  let opened: TimedStore
  beforeAll(async () => {
    opened = await timedStores[name]!(clock)
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  const subject: Subject<StoreUnderTest> = {
    has: ['elapse'],
    make: async () => ({
      store: opened.store,
      async elapse(ms) {
        clock.us += Math.round(ms * 1_000)
      },
      async dispose() {},
    }),
  }
  const cases = limiterStoreSuite.cases.filter(({ needs = [] }) => needs.includes('elapse') && !needs.includes('sweep'))
  register({ ...limiterStoreSuite, cases }, subject, { describe, it })
})

describe.each(Object.keys(stores))('%s', (name) => {
  let opened: OpenStore
  beforeAll(async () => {
    opened = await stores[name]!()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  register(limiterStoreSuite, { make: async () => ({ store: opened.store, async dispose() {} }) }, { describe, it })
})
