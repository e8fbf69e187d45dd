import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { createIdempotency } from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'
import { startRedis } from '../../../../tools/servers/redis.ts'

// What `ACL SETUSER app on >password +@all ~*` makes: users have no channels unless they are given some.
test('a user of Redis that may not publish loses hints, never the answer of a work that was done', async () => {
  await using server = await startRedis()
  const admin = new Redis(server.url)
  await admin.call('ACL', 'SETUSER', 'app', 'reset', 'on', '>secret', '+@all', '~*', 'resetchannels')
  const client = new Redis(server.url, { username: 'app', password: 'secret' })
  try {
    const store = redisStore(client)
    const idempotency = createIdempotency({ store, storeTimeout: '30s', lease: '60s' })
    const call = { scope: 's', op: 'o', key: 'k', input: 1 }
    expect(await idempotency.run(call, async () => 'charged')).toMatchObject({ kind: 'executed', stored: true })
    expect(await idempotency.run(call, async () => 'again')).toMatchObject({ kind: 'replayed', value: 'charged' })
    const failed = { ...call, key: 'failed' }
    const failing = idempotency.run(failed, async (x) => {
      throw x.notStarted(new Error('no such card'))
    })
    await expect(failing).rejects.toThrow('no such card')
    expect(await idempotency.run(failed, async () => 'charged')).toMatchObject({ kind: 'executed', attempt: 1 })
    expect(await idempotency.forget(call)).toBe(true)
    await idempotency.close()
  } finally {
    client.disconnect()
    admin.disconnect()
  }
})
