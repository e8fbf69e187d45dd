import { Redis } from 'ioredis'
import { expect, it } from 'vitest'
import { askRedis } from '../servers/ask-redis.ts'
import { alive } from '../servers/process-table.ts'
import type { RedisServer } from '../servers/redis.ts'
import { startSentinelPair, type SentinelPair } from '../servers/redis-sentinel.ts'

function connect({ name, sentinels }: SentinelPair): Redis {
  const client = new Redis({
    name,
    sentinels: [...sentinels],
    retryStrategy: () => 50,
    sentinelRetryStrategy: () => 50,
    maxRetriesPerRequest: null,
  })
  client.on('error', () => {})
  return client
}

it('promotes the replica of a killed master, and a client that asks the Sentinel writes again', async () => {
  const pair = await startSentinelPair()
  const failedOver = pair.failedOver() // not while the first master is there
  const client = connect(pair)
  await client.set('before', 1)
  expect(await client.wait(1, 60_000)).toBe(1)
  expect(await askRedis(pair.master.url, 'GET', 'before')).toBe('1')

  const pids = [pair.master, pair.replica].map(({ pid }) => pid)
  await pair.master.kill()
  const { host, port } = pair.replica
  expect(await failedOver).toEqual({ host, port })
  expect(await client.set('after', 2)).toBe('OK')
  expect(await askRedis(pair.replica.url, 'MGET', 'before', 'after')).toEqual(['1', '2'])

  client.disconnect()
  await pair.stop()
  await pair.stop()
  expect(alive(pids)).toEqual([])
  await expect(askRedis(`redis://127.0.0.1:${pair.sentinels[0]!.port}`, 'PING')).rejects.toMatchObject({
    code: 'ECONNREFUSED',
  })
})

it('promotes the replica of a frozen master, which does not know it when thawed', async () => {
  await using pair = await startSentinelPair()
  pair.master.freeze()
  expect((await pair.failedOver()).port).toBe(pair.replica.port)
  pair.master.thaw()
  const rolesOf = ({ url }: RedisServer): Promise<unknown> => askRedis(url, 'ROLE')
  expect(await Promise.all([pair.master, pair.replica].map(rolesOf))).toMatchObject([
    ['master', expect.anything(), []],
    ['master', expect.anything(), []],
  ])
})
