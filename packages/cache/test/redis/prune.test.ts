import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { aRef, aTier, bodyOf, connect } from './a-tier.ts'
import { somePrefix } from './some-prefix.ts'

const ref = aRef(['user', 7], ['declared'])
const PATIENCE_MS = 60_000

test('stamps that no entry can be older than are forgotten, and what they made invalid stays so', async () => {
  using client = connect()
  const prefix = somePrefix()
  const [it, forgetful] = [aTier(client, { prefix }), aTier(client, { prefix, maxTtlMs: 1, maxLoadMs: 1 })]
  const made = await it.filled(ref, { ttlMs: 60_000, tags: ['late'] })
  const lease = await it.lease(ref)
  await it.bump(...Array.from({ length: 200 }, (_, i) => `old ${i}`), 'late')
  await until('pruning has forgotten the tag', PATIENCE_MS, async () => {
    await forgetful.bump('new')
    return (await client.hexists(it.keys.state, 't4:acmelate')) === 0 || undefined
  })
  expect((await it.read(ref)).kind).toBe('miss')
  expect((await it.tier.fill(ref, lease, made, 'n0')).stored).toBe(false)
  await until('only what is new is left', PATIENCE_MS, async () => {
    await forgetful.bump('new')
    return (await client.hlen(it.keys.state)) < 20 || undefined
  })
})

test('stamps that count are kept', async () => {
  using client = connect()
  const it = aTier(client)
  await it.filled(ref)
  await it.bump(...Array.from({ length: 50 }, (_, i) => `tag ${i}`))
  for (let i = 0; i < 50; i++) await it.bump('new')
  expect(await client.hlen(it.keys.state)).toBe(51 + 5)
  expect((await it.read(ref)).kind).toBe('hit')
})

test('a state with a million tags grows no more: younger stamps go, with the floor at them', async () => {
  await using server = await startRedis()
  const client = new Redis(server.url)
  try {
    const it = aTier(client)
    const kept = await it.filled(ref)
    const clock = Number(await client.hget(it.keys.state, 'c'))
    await client.eval(
      `for first = 0, 1000000, 1000 do
        local some = {}
        for i = first + 1, first + 1000 do
          some[#some + 1] = 't4:acmetag' .. i
          some[#some + 1] = string.format('%.0f', ARGV[1] + i)
        end
        redis.call('HSET', KEYS[1], unpack(some))
      end
      redis.call('HSET', KEYS[1], 'c', string.format('%.0f', ARGV[1] + 1001001))`,
      1,
      it.keys.state,
      clock,
    )
    const before = await client.hlen(it.keys.state)
    for (let i = 0; i < 30; i++) await it.bump(`tag${i}`, `another${i}`)
    expect(await client.hlen(it.keys.state)).toBeLessThan(before)
    expect(bodyOf(await it.read(ref)), 'an entry below the floor').not.toBe(String(kept.body))
    const made = await it.filled(ref)
    expect(bodyOf(await it.read(ref))).toBe(String(made.body))
  } finally {
    client.disconnect()
  }
})
