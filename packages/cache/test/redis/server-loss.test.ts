import { Redis } from 'ioredis'
import { expect, test } from 'vitest'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { aMember, aRef, aTier, bodyOf, HOUR_MS, type ATier } from './a-tier.ts'

const ref = aRef(['user', 7], ['declared'])

async function ownServer(settings: Record<string, string> = {}) {
  const server = await startRedis({ settings })
  const client = new Redis(server.url)
  client.on('error', () => {}) // it says that the server is gone
  return {
    server,
    client,
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await server.stop()
    },
  }
}

async function works(it: ATier): Promise<void> {
  const made = await it.filled(ref)
  expect(bodyOf(await it.read(ref))).toBe(String(made.body))
  await it.bump('declared')
  expect(bodyOf(await it.read(ref))).toBeUndefined()
}

test('FLUSHALL is misses, and no right to fill outlives it', async () => {
  await using own = await ownServer()
  const it = aTier(own.client)
  const made = await it.filled(ref)
  const lease = await it.lease(ref)
  await own.client.flushall()
  expect(await it.tier.epoch()).toBeUndefined()
  expect((await it.tier.fill(ref, lease, made, 'n0')).stored).toBe(false)
  expect((await it.read(ref)).kind).toBe('miss')
  expect((await it.tier.fill(ref, lease, made, 'n0')).stored).toBe(false)
  await works(it)
})

test('SCRIPT FLUSH is not noticed', async () => {
  await using own = await ownServer()
  const it = aTier(own.client)
  const member = await aMember(it, 'b')
  const flush = () => own.client.script('FLUSH')
  await flush()
  const lock = (await it.read(ref, { lockMs: HOUR_MS })) as { lease: string }
  await flush()
  await it.tier.extend([{ ref, lease: lock.lease }], 'n0', HOUR_MS)
  await flush()
  await it.tier.unlock(ref, lock.lease, 'n0')
  await flush()
  const made = await it.filled(ref)
  await flush()
  expect(bodyOf(await it.read(ref))).toBe(String(made.body))
  await flush()
  await it.tier.put(ref, made, 'n0')
  await flush()
  await it.bump('declared')
  await flush()
  await member.member.renew()
  await flush()
  expect(await it.tier.purge()).toBe(1)
})

test('a server that was started anew with all its data is another epoch: it may lack the last invalidations', async () => {
  await using own = await ownServer({ appendonly: 'yes', appendfsync: 'always' })
  const it = aTier(own.client)
  const made = await it.filled(ref, { graceMs: HOUR_MS })
  const running = (await it.read(aRef('other'), { lockMs: HOUR_MS })) as { lease: string }
  const epoch = await it.tier.epoch()
  await own.server.restart()
  expect(await own.client.exists(it.keys.entry(ref))).toBe(1)
  expect(await it.tier.epoch()).toBe(epoch)
  // Also when a fill or a purge is what comes first.
  expect((await it.tier.fill(ref, running.lease, made, 'n0')).stored).toBe(false)
  const answer = await it.read(ref)
  expect(answer).toEqual({ kind: 'miss', lock: 'none', lease: expect.any(String) })
  expect(await it.tier.epoch()).not.toBe(epoch)
  expect(await it.read(aRef('other'), { lockMs: HOUR_MS })).toMatchObject({ lock: 'yours' })
  await works(it)
})

test('a restart is a new epoch to a member too, which waits for those that the registry has forgotten', async () => {
  await using own = await ownServer({ appendonly: 'yes', appendfsync: 'always' })
  const it = aTier(own.client)
  const member = await aMember(it, 'b')
  const { epoch } = await member.member.renew()
  await own.server.restart()
  const bump = await it.bump('t')
  expect(bump.unknownMs).toBeGreaterThan(0)
  expect(bump.stamp.startsWith(`${epoch}:`)).toBe(false)
})

test('with replicas, an invalidation that too few have is not acknowledged', async () => {
  await using own = await ownServer()
  const it = aTier(own.client, { replicas: 1 })
  const made = await it.filled(ref)
  await expect(it.bump('declared')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true })
  await expect(it.tier.put(ref, made, 'n0')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  await expect(aMember(it, 'b')).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
})

test('under an evicting memory limit nothing that was invalidated comes back', async () => {
  await using own = await ownServer({ maxmemory: '3mb', 'maxmemory-policy': 'allkeys-random' })
  const it = aTier(own.client)
  let hits = 0
  for (let round = 0; round < 20; round++) {
    const refs = Array.from({ length: 20 }, (_, i) => aRef(['user', i], [`t${i}`]))
    for (const each of refs) {
      const lease = await it.lease(each)
      const body = Buffer.alloc(8_192, round)
      const entry = { body, codec: 'json', tags: each.declared, fill: 'f', ttlMs: HOUR_MS, graceMs: 0, loadMs: 1 }
      await it.tier.fill(each, lease, entry, 'n0')
    }
    const answers = await it.tier.read(refs, { lockMs: 0, node: 'n0', body: true })
    for (const answer of answers) {
      if (answer.kind === 'hit') hits++
      if (answer.kind === 'hit') expect(answer.body![0]).toBe(round)
    }
    await it.tier.bump([{ scope: 'acme', tags: refs.map((_, i) => `t${i}`) }], 'n0')
    for (const answer of await it.tier.read(refs, { lockMs: 0, node: 'n0', body: true }))
      expect(answer.kind).toBe('miss')
    // Others take their memory.
    for (let i = 0; i < 40; i++) await own.client.set(`other ${round} ${i}`, Buffer.alloc(10_000)).catch(() => {})
  }
  const evicted = Number(/evicted_keys:(\d+)/.exec(await own.client.info('stats'))?.[1])
  expect(evicted).toBeGreaterThan(0)
  expect(hits).toBeGreaterThan(0)
})
