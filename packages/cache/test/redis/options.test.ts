import { expect, test } from 'vitest'
import { redisStore } from '@keelson/cache/redis'
import { anEntry, aRef, aTier, connect } from './a-tier.ts'

test.each([
  [{ slots: 2 }, /redisStore: "slots" must be .*1.* \(got 2\)/],
  [{ replicas: -1 }, /redisStore: "replicas" must be .* \(got -1\)/],
  [{ prefix: 'a{b}' }, /redisStore: "prefix" must be a text without spaces and braces \(got 'a\{b\}'\)/],
  [{ subscriber: 'redis://x' }, /redisStore: "subscriber" must be a client of ioredis or node-redis, or a RedisPort/],
  [{ prefx: 'a' }, /redisStore: unknown option "prefx"; did you mean "prefix"\?/],
])('%j is refused', (options, message) => {
  using client = connect()
  expect(() => redisStore(client, options as object)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  expect(() => redisStore(client, options as object)).toThrow(message)
})

test('what is no client is refused', () => {
  expect(() => redisStore({} as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
})

test('a value without bytes is refused', async () => {
  using client = connect()
  const it = aTier(client)
  const ref = aRef('a')
  const { body: _, ...made } = anEntry(ref)
  await expect(it.tier.put(ref, { ...made, value: 1 }, 'n0')).rejects.toMatchObject({ code: 'VALUE_UNSUPPORTED' })
})

test('a scope that looks like a pattern is purged alone', async () => {
  using client = connect()
  const it = aTier(client)
  const scopes = ['a*', 'ab', 'a?', 'a[b]', 'a[', String.raw`a\\`]
  for (const scope of scopes) await it.filled(aRef('k', [], scope))
  for (const scope of scopes) expect([await it.tier.purge(scope), await it.tier.purge(scope)], scope).toEqual([1, 0])
})
