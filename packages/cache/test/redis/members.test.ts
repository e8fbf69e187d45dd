import { Redis } from 'ioredis'
import { expect, inject, test } from 'vitest'
import { redisPort, type RedisPort } from '@keelson/kernel/redis'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { until } from '../../../../tools/servers/until.ts'
import { aMember, aTier, aRef, anEntry, connect, LONG_LEASE_MS, type AMember } from './a-tier.ts'
import { somePrefix } from './some-prefix.ts'

const PATIENCE_MS = 60_000
const ref = aRef(['user', 7])
const heard = (of: AMember, count: number): Promise<unknown> =>
  until(`${count} bumps are heard`, PATIENCE_MS, async () => of.bumps.length >= count || undefined)
const told = (of: AMember): Promise<unknown> =>
  until('it is told that it lost something', PATIENCE_MS, async () => of.lost > 0 || undefined)

/** Connections through a proxy to the shared server. */
async function proxied() {
  const { hostname: host, port } = new URL(inject('redisUrl'))
  const proxy = await startFaultProxy({ host, port: Number(port) })
  const client = new Redis(proxy.port, proxy.host)
  client.on('error', () => {}) // it says what the proxy did
  return {
    proxy,
    client,
    async [Symbol.asyncDispose]() {
      client.disconnect()
      await proxy.close()
    },
  }
}

/** A port whose subscriber never hears the messages that `isLost` names, as when a Cluster's bus was cut. */
function deafPort(port: RedisPort, isLost: (message: string) => boolean): RedisPort {
  return {
    ...port,
    subscribe: (channel, on, o) =>
      port.subscribe(channel, (message) => (isLost(message.toString()) ? undefined : on(message)), o),
  }
}

test('a member whose messages are late gets no lease until it has heard them all', async () => {
  using client = connect()
  await using slow = await proxied()
  const it = aTier(client, { subscriber: slow.client })
  const member = await aMember(it, 'b')
  await member.member.renew()
  slow.proxy.freeze()
  const bump = await it.bump('t')
  expect(bump.peers.map(({ node }) => node)).toEqual(['b'])
  let renewed = false
  const renewal = member.member.renew().then(() => (renewed = true))
  // The store has answered the renewal, and many more calls.
  for (let i = 0; i < 20; i++) await it.tier.ping()
  expect([renewed, member.bumps.length]).toEqual([false, 0])
  slow.proxy.pass()
  await renewal
  expect(member.bumps.map(({ stamp }) => stamp)).toEqual([bump.stamp])
  expect(member.lost).toBe(0)
})

test('a member whose connection breaks is told so, its renewals reject, and it may join again', async () => {
  using client = connect()
  await using slow = await proxied()
  const it = aTier(client, { subscriber: slow.client })
  const member = await aMember(it, 'b')
  await member.member.renew()
  slow.proxy.freeze()
  const renewal = expect(member.member.renew()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  slow.proxy.resetAll()
  await renewal
  await told(member)
  await expect(member.member.renew()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  slow.proxy.pass()
  const again = await until('it joins again', PATIENCE_MS, () => aMember(it, 'b').catch(() => undefined))
  await again.member.renew()
  // What leaves late takes away nothing of who came later.
  await member.member.leave()
  const bump = await it.bump('t')
  expect(bump.peers.map(({ node }) => node)).toEqual(['b'])
  await heard(again, 1)
  expect([member.lost, member.bumps.length, again.lost]).toEqual([1, 0, 0])
})

test('a join that cannot hear rejects', async () => {
  using client = connect()
  await using slow = await proxied()
  slow.proxy.refuse()
  const it = aTier(client, { subscriber: slow.client })
  await expect(aMember(it, 'b')).rejects.toThrow()
})

test.each(['the next message', 'the next renewal'])('a message that a server dropped shows with %s', async (by) => {
  using client = connect()
  let lost = ''
  const it = aTier(client, {
    subscriber: deafPort(redisPort(client), (message) => lost !== '' && message.includes(lost)),
  })
  const member = await aMember(it, 'b')
  await member.member.renew()
  await it.bump('first')
  await heard(member, 1)
  lost = 'second'
  await it.bump('second')
  if (by === 'the next message') {
    await it.bump('third')
    await told(member)
    expect(member.bumps, 'what came behind the gap').toHaveLength(1)
  } else {
    await expect(member.member.renew()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  }
  expect(member.lost).toBe(1)
})

test('another database of the server has the same channels, and is not heard', async () => {
  using client = connect()
  const prefix = somePrefix()
  const elsewhere = new Redis(inject('redisUrl'), { db: 1 })
  try {
    const [here, there] = [aTier(client, { prefix }), aTier(elsewhere, { prefix })]
    const [member, stranger] = [await aMember(here, 'b'), await aMember(there, 'c')]
    await member.member.renew()
    await stranger.member.renew()
    const own = await here.bump('t')
    for (let i = 0; i < 3; i++) await there.bump('t')
    await here.tier.put(ref, anEntry(ref), 'n0')
    await member.member.renew()
    await stranger.member.renew()
    expect(member.bumps.map(({ stamp }) => stamp)[0]).toBe(own.stamp)
    expect([member.bumps.length, stranger.bumps.length]).toEqual([2, 3])
    expect([member.lost, stranger.lost]).toEqual([0, 0])
  } finally {
    await elsewhere.del(redisPrefixKeys(prefix))
    elsewhere.disconnect()
  }
})
const redisPrefixKeys = (prefix: string): string[] => ['s', 'n'].map((key) => `${prefix}:{app.0}:${key}`)

test('what is no message of ours changes nothing', async () => {
  using client = connect()
  const it = aTier(client)
  const member = await aMember(it, 'b')
  await member.member.renew()
  for (const channel of [it.keys.channel, it.keys.channelOf('b')]) {
    for (const junk of ['', 'b', 'b x', 'b x y {', 'm1 x y', 'm', 'f{', 'fnull', 'zzz', '\u0000']) {
      await client.publish(channel, junk)
    }
  }
  await it.bump('t')
  await member.member.renew()
  expect([member.bumps.length, member.lost]).toEqual([1, 0])
})

test('nobody is told when there is nobody, and unlocked or filled keys wake only who waits', async () => {
  using client = connect()
  const it = aTier(client, { leaseMs: 1 })
  await it.bump('the state is new, and so is the set of members')
  const messages: string[] = []
  const subscription = await redisPort(client).subscribe(it.keys.channel, (m) => void messages.push(m.toString()))
  const said = async (message: string): Promise<void> => {
    await client.publish(it.keys.channel, message)
    await until(message, PATIENCE_MS, async () => messages.at(-1) === message || undefined)
  }
  // Somebody is also unknown where a busy server was late: its clock seems to have been set forward.
  await until('a bump where nobody is unknown', PATIENCE_MS, async () => {
    await said('the beginning')
    messages.length = 0
    return (await it.bump('t')).unknownMs === 0 || undefined
  })
  await it.filled(ref)
  const locked = (await it.read(ref, { lockMs: LONG_LEASE_MS, refresh: true })) as { lease: string }
  await it.tier.unlock(ref, locked.lease, 'n0')
  await said('the end')
  expect(messages).toEqual(['the end'])
  await subscription.close()
})

test('many acks of one tick to one author are one message', async () => {
  using client = connect()
  const it = aTier(client)
  const [author, other] = [await aMember(it, 'a'), await aMember(it, 'b')]
  for (const each of [author, other]) await each.member.renew()
  const bumps = []
  for (let i = 0; i < 50; i++) bumps.push(await it.tier.bump([{ scope: 'acme', tags: [`t${i}`] }], 'a'))
  await heard(other, 50)
  for (const message of other.bumps) other.member.ack(message)
  await until('the last is acked', PATIENCE_MS, async () => author.acks.length > 0 || undefined)
  await author.member.renew()
  expect(author.acks).toEqual([`b ${bumps.at(-1)!.stamp}`])
})

test('close ends memberships without a word', async () => {
  using client = connect()
  const it = aTier(client)
  const member = await aMember(it, 'b')
  await member.member.renew()
  await it.tier.close!()
  await expect(member.member.renew()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  expect(member.lost).toBe(0)
  expect(await client.pubsub('NUMSUB', it.keys.channel)).toEqual([it.keys.channel, 0])
})
