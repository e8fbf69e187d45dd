import { expect, test } from 'vitest'
import { ended } from '../../../tools/ended.ts'

test('a load that hangs is given up, in a process that has nothing else to do', async () => {
  const code = `
    import { createCache } from '@keelson/cache'
    const cache = createCache({ name: 'app' }).scope('acme')
    const never = () => new Promise(() => {})
    await cache.getOrSet('k', never, { ttl: '1m', timeout: '200ms' }).catch(({ code }) => console.log(code))`
  expect(await ended(import.meta.dirname, code)).toBe('LOAD_TIMEOUT')
})
