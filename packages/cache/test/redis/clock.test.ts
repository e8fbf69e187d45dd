import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startJumpingRedis, type JumpingRedis } from '../../../../tools/servers/jumping-redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { aMember, aRef, aTier, bodyOf, HOUR_MS, LONG_LEASE_MS } from './a-tier.ts'
import { somePrefix } from './some-prefix.ts'

const PATIENCE_MS = 60_000
const LEASE_MS = 4_000
const ref = aRef(['user', 7], ['declared'])
let redis: JumpingRedis | undefined
let client: Redis
beforeAll(async () => {
  redis = await startJumpingRedis()
  client = new Redis(redis.server.url)
})
afterAll(async () => {
  client.disconnect()
  await redis?.[Symbol.asyncDispose]()
})
const clockOf = async (): Promise<number> => Number((await client.time())[0])

test('the clock of this server jumps', async () => {
  const before = await clockOf()
  await redis!.jump(HOUR_MS)
  expect(await clockOf()).toBeGreaterThanOrEqual(before + 3_600)
  await redis!.jump(-HOUR_MS)
  expect(await clockOf()).toBeLessThan(before + 3_600)
})

test.each([
  ['forward', HOUR_MS],
  ['back', -HOUR_MS],
])('order stays when the clock jumps an hour %s', async (_, ms) => {
  const it = aTier(client, { maxTtlMs: 24 * HOUR_MS, maxLoadMs: 24 * HOUR_MS, leaseMs: LEASE_MS })
  const long = { ttlMs: 12 * HOUR_MS, graceMs: HOUR_MS }
  const [first, bumped] = [aRef('kept'), aRef('bumped', ['t'])]
  const kept = await it.filled(first, long)
  await it.filled(bumped, long)
  await it.bump('t')
  const running = await it.lease(ref)
  await redis!.jump(ms)
  expect(bodyOf(await it.read(first))).toBe(String(kept.body))
  expect(await it.read(bumped)).not.toHaveProperty('stale')
  const made = await it.filled(bumped, long)
  expect(bodyOf(await it.read(bumped)), 'filled behind the jump').toBe(String(made.body))
  await it.bump('t', 'declared')
  expect(await it.read(bumped), 'bumped behind the jump').not.toHaveProperty('stale')
  expect((await it.tier.fill(ref, running, made, 'n0')).stored, 'a load over the jump').toBe(false)
  const again = await it.filled(bumped, long)
  await redis!.jump(-ms)
  expect(bodyOf(await it.read(bumped)), 'the clock is right again').toBe(String(again.body))
  await it.bump('t')
  expect(await it.read(bumped)).not.toHaveProperty('stale')
})

test('a clock that jumps forward ends no lease: its member is told, and waited for', async () => {
  const it = aTier(client, { leaseMs: LEASE_MS })
  const member = await aMember(it, 'b', LEASE_MS)
  await member.member.renew()
  await until('nobody is unknown', PATIENCE_MS, async () => (await it.bump('t')).unknownMs === 0 || undefined)
  await member.member.renew()
  await redis!.jump(HOUR_MS)
  const bump = await it.bump('t')
  expect(bump.unknownMs).toBeGreaterThan(0)
  await until(
    'it is heard',
    PATIENCE_MS,
    async () => member.bumps.some(({ stamp }) => stamp === bump.stamp) || undefined,
  )
  await member.member.renew()
  expect(member.lost).toBe(0)
  await redis!.jump(-HOUR_MS)
})

test('a clock that jumps forward before an author that does not know it yet: the member is told all the same', async () => {
  const prefix = somePrefix()
  const it = aTier(client, { prefix })
  const member = await aMember(it, 'b')
  await member.member.renew()
  await redis!.jump(LONG_LEASE_MS + 1_000)
  const { stamp } = await aTier(client, { prefix }).bump('t')
  await member.member.renew()
  expect(member.bumps.map((each) => each.stamp)).toEqual([stamp])
  await redis!.jump(-LONG_LEASE_MS - 1_000)
})

test('a clock that jumps back makes no lease longer', async () => {
  const it = aTier(client, { leaseMs: 500 })
  const member = await aMember(it, 'b', 500)
  await member.member.renew()
  await redis!.jump(-HOUR_MS)
  const { peers, unknownMs } = await it.bump('t')
  expect(Math.max(unknownMs, ...peers.map(({ leaseLeftMs }) => leaseLeftMs))).toBeLessThanOrEqual(500)
  await until('its lease ends', PATIENCE_MS, async () => {
    const bump = await it.bump('t')
    return (bump.peers.length === 0 && bump.unknownMs === 0) || undefined
  })
  await redis!.jump(HOUR_MS)
})
