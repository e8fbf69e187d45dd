import fc from 'fast-check'
import { Redis } from 'ioredis'
import { test } from 'vitest'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { keySlot } from '../../src/redis/key-slot.ts'

test('a key has the slot that the server gives it', async () => {
  await using server = await startRedis({ settings: { 'cluster-enabled': 'yes' } })
  const redis = new Redis(server.url)
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 20 }),
    fc.string({ unit: fc.constantFrom('{', '}', 'a', 'é') }),
  )
  const examples = ['', '{}', '{a', 'a}', '{}a', '}{a}', '{a}{b}', '{{a}}', 'foo{bar}zap', 'foo{}{bar}', '123456789']
  await fc.assert(
    fc.asyncProperty(text, async (key) => keySlot(key) === (await redis.cluster('KEYSLOT', key))),
    { numRuns: 500, examples: examples.map((key) => [key]) },
  )
  redis.disconnect()
})
