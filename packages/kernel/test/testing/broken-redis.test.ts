import { randomUUID } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, expect, inject, test } from 'vitest'
import { isStoreFailure } from '../../src/index.ts'
import { defineScript, redisPort } from '../../src/redis/index.ts'
import { brokenRedis, virtualClock } from '../../src/testing/index.ts'

const client = new Redis(inject('redisUrl'))
afterAll(() => client.disconnect())

const port = redisPort(client)
const incr = defineScript("return redis.call('INCR', KEYS[1])")
const someKey = (): string => `broken_redis:${randomUUID()}`
const countOf = async (key: string): Promise<number> => Number(await client.get(key))
const storeFailure = expect.toSatisfy(isStoreFailure)

test('calls that are not named pass untouched', async () => {
  const key = someKey()
  const broken = brokenRedis(port, {})
  expect(broken).toMatchObject({ client: 'ioredis', cluster: false })
  expect(await broken.script(incr, [key], [])).toBe(1)
  expect(await broken.command(key, ['GET', key])).toEqual(Buffer.from('1'))
})

test('commands, scripts and pipelines count as one call each', async () => {
  const key = someKey()
  const seen: [number, string][] = []
  const broken = brokenRedis(port, (call, text) => void seen.push([call, text]))
  await broken.command(key, ['SET', key, Buffer.from('7')])
  await broken.script(incr, [key], [])
  await broken.pipeline(key, [{ script: incr, keys: [key], args: [] }, ['GET', key]])
  expect(seen).toEqual([
    [1, `SET ${key} 7`],
    [2, incr.lua],
    [3, `${incr.lua}\nGET ${key}`],
  ])
})

test.each([
  ['refuse', 0],
  ['lose reply', 1],
] as const)('%s rejects as a lost store does, and leaves %d', async (fault, left) => {
  const key = someKey()
  const broken = brokenRedis(client, { 1: fault })
  await expect(broken.script(incr, [key], [])).rejects.toEqual(storeFailure)
  expect(await countOf(key)).toBe(left)
  expect(await broken.script(incr, [key], [])).toBe(left + 1)
})

test('a doubled call is done twice, and answers as the second', async () => {
  const key = someKey()
  const broken = brokenRedis(port, (_, text) => (text.includes('INCR') ? 'double' : undefined))
  expect(await broken.script(incr, [key], [])).toBe(2)
  expect(await broken.pipeline(key, [['INCR', key]])).toEqual([4])
  expect(await broken.command(key, ['GET', key])).toEqual(Buffer.from('4'))
})

test('a slow call is sent later, one that hangs never', async () => {
  const key = someKey()
  const clock = virtualClock()
  const broken = brokenRedis(port, { 1: { slowMs: 100, clock }, 2: 'hang' })
  const answer = broken.command(key, ['INCR', key])
  void broken.command(key, ['INCR', key])
  await clock.advance(99)
  expect(await countOf(key)).toBe(0)
  await clock.advance(1)
  expect(await answer).toBe(1)
  expect(await countOf(key)).toBe(1)
})
