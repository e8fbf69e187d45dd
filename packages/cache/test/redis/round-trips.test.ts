import { Redis } from 'ioredis'
import { expect, inject, test } from 'vitest'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { aRef, anEntry, aTier, HOUR_MS } from './a-tier.ts'

const TAGS = ['user:4711', 'org:42', 'plan:gold', 'region:eu-1', 'team:999']

test('each step is one round trip, also for a hundred refs and for fifty tags', async () => {
  const { hostname: host, port } = new URL(inject('redisUrl'))
  await using proxy = await startFaultProxy({ host, port: Number(port) })
  const client = new Redis(proxy.port, proxy.host)
  try {
    const it = aTier(client)
    const ref = aRef(['user', 7], TAGS)
    const many = Array.from({ length: 100 }, (_, i) => aRef(['user', i], TAGS))
    const lock = { lockMs: HOUR_MS, node: 'n0', body: true }
    const steps: Record<string, () => Promise<unknown>> = {
      miss: () => it.read(aRef('none'), lock),
      'read of 100': () => it.tier.read(many, lock),
      fill: () => it.tier.fill(ref, lease, anEntry(ref), 'n0'),
      hit: () => it.read(ref),
      'hit without body': () => it.read(ref, { body: false }),
      put: () => it.tier.put(ref, anEntry(ref), 'n0'),
      bump: () => it.bump(...Array.from({ length: 50 }, (_, i) => `t${i}`)),
      unlock: () => it.tier.unlock(ref, lease, 'n0'),
      extend: () =>
        it.tier.extend(
          many.map((each) => ({ ref: each, lease })),
          'n0',
          HOUR_MS,
        ),
    }
    const lease = await it.lease(ref)
    for (const step of Object.values(steps)) await step() // the server knows the scripts now
    for (const [name, step] of Object.entries(steps)) {
      proxy.resetCount()
      await step()
      expect(proxy.roundTrips, name).toBe(1)
    }
  } finally {
    client.disconnect()
  }
})

test('a hit with five tags takes at most 250 bytes over its body, without the body as many', async () => {
  await using server = await startRedis()
  const client = new Redis(server.url)
  try {
    const it = aTier(client, { prefix: 'keelson:cache' })
    const ref = aRef(['user', 4711], TAGS)
    await it.filled(ref, { body: Buffer.alloc(2_000) })
    const sent = async (): Promise<number> =>
      Number(/total_net_output_bytes:(\d+)/.exec(await client.info('stats'))?.[1])
    const bytesOf = async (step: () => Promise<unknown>): Promise<number> => {
      const [first, second] = [await sent(), await sent()] // what asking takes by itself
      await step()
      return (await sent()) - second - (second - first)
    }
    const slack = 20 // the numbers in what was asked grow
    expect(await bytesOf(() => it.read(ref))).toBeLessThanOrEqual(2_000 + 250 + slack)
    expect(await bytesOf(() => it.read(ref, { body: false }))).toBeLessThanOrEqual(250 + slack)
  } finally {
    client.disconnect()
  }
})
