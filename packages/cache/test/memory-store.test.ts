import { describe, it } from 'vitest'
import { memoryStore } from '@keelson/cache'
import { cacheStoreSuite } from '@keelson/cache/conformance'
import { register } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'

for (const kept of ['values', 'bodies']) {
  describe(`memory, of ${kept}`, () => {
    const make = async () => {
      const clock = virtualClock()
      return { store: memoryStore({ clock }), elapse: (ms: number) => clock.advance(ms), async dispose() {} }
    }
    register(cacheStoreSuite, { make, has: [kept, 'wakes'] }, { describe, it })
  })
}
