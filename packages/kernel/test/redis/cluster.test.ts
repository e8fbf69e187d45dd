import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { until } from '../../../../tools/servers/until.ts'
import { defineScript } from '../../src/redis/index.ts'
import { keySlot } from '../../src/redis/key-slot.ts'
import { clusters } from './clients.ts'
import { makeNewest } from './make-newest.ts'

// Nobody is meant to take over: a master that a busy machine stops for a second is still the one.
const cluster = await startRedisCluster({ replicasPerMaster: 1, settings: { 'cluster-node-timeout': '30000' } })
afterAll(() => cluster.stop())
const masters = cluster.nodes.slice(0, 3)
const text = (s: string): Buffer => Buffer.from(s)

/** The master of a slot when the cluster started. */
const indexOf = (slot: number): number => masters.findLastIndex((_, i) => Math.round((i * 16_384) / 3) <= slot)
const url = (index: number): string => masters[index]!.server.url
const idOf = async (index: number): Promise<string> => String(await askRedis(url(index), 'CLUSTER', 'MYID'))

// Clients are not told of a replica that has never got a write.
await Promise.all(
  masters.map(async (_, index) => {
    const key = Array.from({ length: 1_000 }, (_, i) => `seed${i}`).find((key) => indexOf(keySlot(key)) === index)!
    await askRedis(url(index), 'SET', key, 'a')
  }),
)
await until('all replicas are shown', 60_000, async () => {
  const views = await Promise.all(cluster.nodes.map(({ server }) => askRedis(server.url, 'CLUSTER', 'SLOTS')))
  return (views as unknown[][][]).flat().every((range) => range.length === 4) || undefined
})

const set = defineScript(`redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])`)

describe.each(Object.entries(clusters))('%s', async (_, open) => {
  await using stack = new AsyncDisposableStack()
  const { port } = stack.use(await open(cluster.nodes.slice(0, 1)))
  const opened = stack.move()
  afterAll(() => opened.disposeAsync())
  const keys = Array.from({ length: 100 }, () => randomUUID())

  test('knows that it is one', () => {
    expect([port.cluster, port.sharded]).toEqual([true, true])
  })

  test('sends commands, scripts and pipelines to the master of their key', async () => {
    expect(new Set(keys.map(keySlot).map(indexOf)).size).toBe(3)
    const answers = await Promise.all(
      keys.map(async (key) => [
        await port.command(key, ['SET', key, 'a']),
        await port.command(key, ['GET', key]), // replicas are behind
        await port.script(set, [key], ['b']),
        await port.pipeline(key, [['APPEND', key, 'c'], { script: set, keys: [key], args: ['d'] }, ['GET', key]]),
      ]),
    )
    expect(answers).toEqual(keys.map(() => [text('OK'), text('a'), text('b'), [2, text('d'), text('d')]]))
  })

  test('finds any master for what has no key', async () => {
    const ids = await Promise.all(Array.from({ length: 60 }, () => port.command(null, ['CLUSTER', 'MYID'])))
    const known = await Promise.all(masters.map((_, index) => idOf(index)))
    expect(new Set(ids.map(String))).toEqual(new Set(known))
  })

  test('does not see that the scripts of a node were flushed', async () => {
    for (const [index] of masters.entries()) await askRedis(url(index), 'SCRIPT', 'FLUSH')
    const answers = await Promise.all(
      keys.map((key) => port.pipeline(key, [{ script: set, keys: [key], args: [key] }, ['WAIT', 0, 0]])),
    )
    expect(answers).toEqual(keys.map((key) => [text(key), expect.any(Number)]))
  })

  test('rejects keys of two slots with the message of the server', async () => {
    await expect(port.command(keys[0]!, ['MGET', keys[0]!, keys[1]!])).rejects.toThrow(/^CROSSSLOT/)
  })

  test('WAIT counts the replicas that have the writes of its own pipeline', async () => {
    const write = (key: string) => port.pipeline(key, [{ script: set, keys: [key], args: ['w'] }, ['WAIT', 1, 20_000]])
    expect(await Promise.all(keys.map(write))).toEqual(keys.map(() => [text('w'), 1]))
    const key = keys[0]!
    const replica = cluster.nodes[3 + indexOf(keySlot(key))]!.server
    replica.freeze()
    try {
      // On any other connection WAIT would see no write of its own, and count the frozen one.
      const waits = Array.from({ length: 5 }, () =>
        port.pipeline(key, [{ script: set, keys: [key], args: ['x'] }, ['WAIT', 1, 50]]),
      )
      expect(await Promise.all(waits)).toEqual(waits.map(() => [text('x'), 0]))
    } finally {
      replica.thaw()
    }
    expect(await write(key)).toEqual([text('w'), 1])
  })

  test('follows a slot that moves and back again, script and WAIT together', async () => {
    const key = keys[1]!
    const slot = keySlot(key)
    const from = indexOf(slot)
    const to = (from + 1) % 3
    await askRedis(url(from), 'DEL', key)
    const write = (value: string) =>
      port.pipeline(key, [['PING'], { script: set, keys: [key], args: [value] }, ['WAIT', 1, 20_000]])
    const holder = async (): Promise<unknown> =>
      await Promise.all([from, to].map((index) => askRedis(url(index), 'CLUSTER', 'COUNTKEYSINSLOT', slot)))

    // ASK: the slot is on its way, and the key is not at its old place.
    await askRedis(url(to), 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', await idOf(from))
    await askRedis(url(from), 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', await idOf(to))
    expect(await write('asked')).toEqual([text('PONG'), text('asked'), 1])
    expect(await Promise.all(Array.from({ length: 20 }, () => write('asked')))).toHaveLength(20)
    expect(await port.command(key, ['GET', key])).toEqual(text('asked'))
    expect(await port.script(set, [key], ['asked'])).toEqual(text('asked'))
    expect(await holder()).toEqual([0, 1])

    // MOVED: it has arrived.
    await makeNewest(cluster, masters[to]!.server)
    for (const index of [to, from, (to + 1) % 3])
      await askRedis(url(index), 'CLUSTER', 'SETSLOT', slot, 'NODE', await idOf(to))
    const moved = Array.from({ length: 20 }, () => write('moved'))
    expect(await Promise.all(moved)).toEqual(moved.map(() => [text('PONG'), text('moved'), 1]))

    await askRedis(url(to), 'DEL', key)
    await makeNewest(cluster, masters[from]!.server)
    for (const index of [from, to, (to + 1) % 3])
      await askRedis(url(index), 'CLUSTER', 'SETSLOT', slot, 'NODE', await idOf(from))
    expect(await write('back')).toEqual([text('PONG'), text('back'), 1])
    expect(await port.command(key, ['GET', key])).toEqual(text('back'))
    expect(await holder()).toEqual([1, 0])
  })
})
