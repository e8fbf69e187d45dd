import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { until } from '../../../../tools/servers/until.ts'
import { defineScript } from '../../src/redis/index.ts'
import { keySlot } from '../../src/redis/key-slot.ts'
import { clusters } from './clients.ts'
import { hear } from './heard.ts'
import { makeNewest } from './make-newest.ts'

// Nobody is meant to take over before one is killed: a master that a busy machine stops for a second is still the one.
const cluster = await startRedisCluster({ replicasPerMaster: 1, settings: { 'cluster-node-timeout': '30000' } })
afterAll(() => cluster.stop())
const masters = cluster.nodes.slice(0, 3)
const url = (index: number): string => masters[index]!.server.url
const indexOf = (slot: number): number => masters.findLastIndex((_, i) => Math.round((i * 16_384) / 3) <= slot)
const idOf = async (index: number): Promise<string> => String(await askRedis(url(index), 'CLUSTER', 'MYID'))
const give = async (slot: number, to: number): Promise<void> => {
  await makeNewest(cluster, masters[to]!.server)
  for (const index of [to, (to + 1) % 3, (to + 2) % 3])
    await askRedis(url(index), 'CLUSTER', 'SETSLOT', slot, 'NODE', await idOf(to))
}
/** Connections of this name that listen, on all nodes that live. */
const listeners = async (name: string): Promise<number> => {
  const lists = await Promise.all(
    cluster.nodes.map(({ server }) => askRedis(server.url, 'CLIENT', 'LIST', 'TYPE', 'PUBSUB').catch(() => '')),
  )
  return lists.flatMap((list) => String(list).split('\n')).filter((line) => line.includes(`name=${name} `)).length
}
/** A server hears of an end when it looks. */
const listening = (name: string, count: number): Promise<true> =>
  until(`${count} listen`, 60_000, async () => (await listeners(name)) === count || undefined)

describe.each(Object.entries(clusters))('%s', (_, open) => {
  test('hears plain channels over one connection, whichever node they are published on', async () => {
    const name = randomUUID()
    await using opened = await open(cluster.nodes.slice(0, 1), name)
    const channels = Array.from({ length: 20 }, (_, i) => `${name}${i}`)
    const heard = await Promise.all(channels.map((channel) => hear(opened.port, channel)))
    await listening(name, 1)
    for (const [i, channel] of channels.entries()) await askRedis(url(i % 3), 'PUBLISH', channel, `${i}`)
    await Promise.all(heard.map((each, i) => each.until(`${i}`)))
    await Promise.all(heard.map((each) => each.close()))
    await listening(name, 0)
  })

  test('hears sharded channels of every shard, and where they move', async () => {
    const name = randomUUID()
    await using opened = await open(cluster.nodes.slice(0, 1), name)
    const channels = Array.from({ length: 20 }, (_, i) => `${name}${i}`)
    const heard = await Promise.all(channels.map((channel) => hear(opened.port, channel, { sharded: true })))
    await listening(name, 3)
    const publish = (i: number, message: string) =>
      opened.port.command(channels[i]!, ['SPUBLISH', channels[i]!, message])
    for (const i of channels.keys()) await publish(i, 'first')
    await Promise.all(heard.map((each) => each.until('first')))

    // While a slot moves its connection may go more than once: what is said then is said again, and asked for again.
    const says = (message: string, ...to: { readonly log: readonly string[] }[]): Promise<true> =>
      until(`'${message}' is heard`, 60_000, async () => {
        await publish(0, message)
        return to.every(({ log }) => log.includes(message)) || undefined
      })
    const slot = keySlot(channels[0]!)
    const home = indexOf(slot)
    await give(slot, (home + 1) % 3)
    await heard[0]!.until('[restored]')
    await says('moved', heard[0]!)
    const late = await until('it is subscribed to where it is now', 60_000, () =>
      hear(opened.port, channels[0]!, { sharded: true }),
    )
    await give(slot, home)
    await late.until('[restored]')
    await says('back', heard[0]!, late)
    expect(heard[0]!.log.join(' ')).toMatch(/^first \[lost\] \[restored\] .*moved .*\[lost\] \[restored\] .*back/)
    await Promise.all([late, ...heard].map((each) => each.close()))
    await listening(name, 0)
  })
})

test('a master dies: commands, scripts, pipelines and subscriptions go on with its replica', async () => {
  const name = randomUUID()
  const script = defineScript(`redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])`)
  await using stack = new AsyncDisposableStack()
  const victim = masters[0]!
  const all = await Promise.all(
    Object.values(clusters).map(async (open) => {
      const { port } = stack.use(await open(cluster.nodes, name))
      // As many connections as it takes to have one to the victim.
      const key = Array.from({ length: 1_000 }, () => randomUUID()).find((key) => indexOf(keySlot(key)) === 0)!
      const heard = await hear(port, key, { sharded: true })
      const plain = await hear(port, 'plain')
      return { port, heard, plain, key }
    }),
  )
  for (const { server } of cluster.nodes) await askRedis(server.url, 'CONFIG', 'SET', 'cluster-node-timeout', 1_000)
  await victim.server.kill()
  await Promise.all(
    all.map(async ({ port, heard, plain, key }) => {
      await heard.until('[lost]')
      const write = () => port.pipeline(key, [{ script, keys: [key], args: ['a'] }, ['WAIT', 0, 0]])
      expect(await until('a master answers', 60_000, write)).toEqual([Buffer.from('a'), 0])
      expect(await port.script(script, [key], ['b'])).toEqual(Buffer.from('b'))
      expect(await port.command(key, ['GET', key])).toEqual(Buffer.from('b'))
      await heard.until('[restored]')
      await port.command(key, ['SPUBLISH', key, 'sharded'])
      await heard.until('sharded')
      await until('the plain channel is heard', 60_000, async () => {
        await port.command(key, ['PUBLISH', 'plain', key])
        return plain.log.includes(key) || undefined
      })
      await Promise.all([heard.close(), plain.close()])
    }),
  )
  await listening(name, 0)
})
