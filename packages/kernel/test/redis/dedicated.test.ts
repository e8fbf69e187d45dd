import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedisCluster } from '../../../../tools/servers/redis-cluster.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { isKeelsonError, isStoreFailure } from '../../src/index.ts'
import { clusters, families, variants, type Opened } from './clients.ts'

const server = await startRedis()
const cluster = await startRedisCluster()
afterAll(() => Promise.all([server.stop(), cluster.stop()]))

const urls = [server.url, ...cluster.nodes.map((node) => node.server.url)]
const connections = async (name: string): Promise<number> => {
  const lists = await Promise.all(urls.map((url) => askRedis(url, 'CLIENT', 'LIST')))
  return lists.join('').split(`name=${name} `).length - 1
}

const all: Record<string, (name: string) => Promise<Opened>> = Object.fromEntries([
  ...Object.entries(variants).map(([family, open]) => [family, (name: string) => open(server.url, name)]),
  ...Object.entries(clusters).map(([family, open]) => [family, (name: string) => open(cluster.nodes, name)]),
])

describe.each(Object.entries(all))('%s', (_, open) => {
  test('blocks on a connection of its own, which ends with it', async () => {
    const name = randomUUID()
    await using opened = await open(name)
    const { port } = opened
    await port.command(name, ['DEL', name])
    const own = await connections(name)
    const dedicated = await port.dedicated()
    expect([dedicated.client, dedicated.cluster, dedicated.sharded]).toEqual([port.client, port.cluster, true])
    const popped = dedicated.command(name, ['BLPOP', name, 30])
    await until(
      'BLPOP waits',
      60_000,
      async () => ((await connections(name)) > own && port.command(name, ['PING'])) || undefined,
    )
    expect(await port.pipeline(name, [['PING'], ['RPUSH', name, 'a']])).toEqual([Buffer.from('PONG'), 1])
    expect(await popped).toEqual([Buffer.from(name), Buffer.from('a')])
    await Promise.all([dedicated.close(), dedicated.close()])
    await until('its connections are closed', 60_000, async () => (await connections(name)) <= own || undefined)
    const failing = await dedicated.command(null, ['PING']).catch((error: unknown) => error)
    expect(isKeelsonError(failing, 'CLOSED')).toBe(true)
    expect(await port.command(null, ['PING'])).toEqual(Buffer.from('PONG'))
  })
})

describe.each(Object.entries(families))('%s', (_, open) => {
  test('cannot open one to a server that is away', async () => {
    await using own = await startRedis()
    await using opened = await open(own.url)
    await own.kill()
    const opening = opened.port.dedicated().then(
      async (dedicated) => {
        await dedicated.close()
        return 'opened'
      },
      (error: unknown) => (isStoreFailure(error) ? 'refused' : error),
    )
    // Some clients say no at once, the others try on; how long they do is theirs.
    expect(await Promise.race([opening, later(1_000)])).not.toBe('opened')
    await own.restart()
    expect(['refused', 'opened']).toContain(await opening)
  })
})

function later(ms: number): Promise<'later'> {
  return new Promise((resolve) => setTimeout(resolve, ms, 'later' as const))
}
