import { Redis } from 'ioredis'
import { Redis as Redis5 } from 'ioredis-5'
import { createSentinel } from 'redis'
import { expect, test } from 'vitest'
import { startSentinelPair } from '../../../../tools/servers/redis-sentinel.ts'
import { until } from '../../../../tools/servers/until.ts'
import { defineScript, redisPort } from '../../src/redis/index.ts'
import { hear } from './heard.ts'

type Quiet = { on(event: 'error', listener: () => void): unknown }

test('a master dies: commands, scripts, pipelines and subscriptions go on with the next one', async () => {
  await using pair = await startSentinelPair()
  const sentinels = [...pair.sentinels]
  const options = { sentinels, name: pair.name }
  const nodeRedis = createSentinel({ name: pair.name, sentinelRootNodes: sentinels })
  const clients = { 'ioredis 6': new Redis(options), 'ioredis 5': new Redis5(options), 'node-redis 6': nodeRedis }
  for (const client of Object.values<Quiet>(clients)) client.on('error', () => {})
  await nodeRedis.connect()
  const script = defineScript(`redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])`)
  const write = (client: (typeof clients)[keyof typeof clients], value: string) =>
    redisPort(client).pipeline('k', [{ script, keys: ['k'], args: [value] }, ['GET', 'k'], ['WAIT', 0, 0]])
  const answer = (value: string) => [Buffer.from(value), Buffer.from(value), expect.any(Number)]

  const heard = await Promise.all(
    Object.entries(clients).map(async ([name, client]) => {
      expect(await write(client, name)).toEqual(answer(name))
      const heard = await hear(redisPort(client), 'a')
      await redisPort(client).command(null, ['PUBLISH', 'a', name])
      await heard.until(name)
      return heard
    }),
  )
  await pair.master.kill()
  await pair.failedOver()
  for (const [i, [name, client]] of Object.entries(clients).entries()) {
    expect(await until(`${name} writes`, 60_000, () => write(client, 'new'))).toEqual(answer('new'))
    await heard[i]!.until('[restored]')
    await redisPort(client).command(null, ['PUBLISH', 'a', 'new'])
    await heard[i]!.until('new')
    await heard[i]!.close()
    const dedicated = await redisPort(client).dedicated()
    expect(await dedicated.command('k', ['GET', 'k'])).toEqual(Buffer.from('new'))
    await dedicated.close()
  }
  clients['ioredis 6'].disconnect()
  clients['ioredis 5'].disconnect()
  await nodeRedis.destroy()
})
