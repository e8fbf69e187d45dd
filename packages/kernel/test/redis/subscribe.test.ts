import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { until } from '../../../../tools/servers/until.ts'
import { variants } from './clients.ts'
import { hear } from './heard.ts'

const server = await startRedis()
afterAll(() => server.stop())
const publish = (channel: string, message: string | Uint8Array, command = 'PUBLISH') =>
  askRedis(server.url, command, channel, Buffer.from(message).toString('latin1'))

/** Connections of this name: the client's own ones and its copies. */
const connections = async (name: string): Promise<number> =>
  String(await askRedis(server.url, 'CLIENT', 'LIST')).split(`name=${name} `).length - 1
const settled = (name: string, count: number) =>
  until(`${count} connections`, 60_000, async () => (await connections(name)) === count || undefined)

describe.each(Object.entries(variants))('%s', (_, open) => {
  test.each([false, true])(
    'hears a channel until it is closed, over one connection for all (sharded: %s)',
    async (sharded) => {
      const name = randomUUID()
      await using opened = await open(server.url, name)
      const own = await connections(name)
      const [a, again, b] = await Promise.all([
        hear(opened.port, `${name}a`, { sharded }),
        hear(opened.port, `${name}a`, { sharded }),
        hear(opened.port, `${name}b`, { sharded }),
      ])
      expect(await connections(name)).toBe(own + 1)
      const command = sharded ? 'SPUBLISH' : 'PUBLISH'
      for (let i = 0; i < 100; i++) await publish(`${name}a`, `${i}`, command)
      await publish(`${name}b`, 'b', command)
      await b.until('b')
      expect(a.log).toEqual(Array.from({ length: 100 }, (_, i) => `${i}`))
      expect(again.log).toEqual(a.log)

      await Promise.all([again.close(), again.close()])
      await publish(`${name}a`, 'more', command)
      await a.until('more')
      await a.close()
      await publish(`${name}a`, 'too late', command)
      await publish(`${name}b`, 'the last', command)
      await b.until('the last')
      expect([a.log.at(-1), again.log.at(-1), b.log]).toEqual(['more', '99', ['b', 'the last']])

      await b.close()
      await settled(name, own)
      const anew = await hear(opened.port, `${name}a`, { sharded })
      await publish(`${name}a`, 'anew', command)
      await anew.until('anew')
      await anew.close()
      await settled(name, own)
    },
  )

  test('gives messages as bytes', async () => {
    const channel = randomUUID()
    await using opened = await open(server.url)
    const { promise, resolve } = Promise.withResolvers<Buffer>()
    const subscription = await opened.port.subscribe(channel, resolve)
    const bytes = Buffer.from([0, 255, 13, 10, 0xc3, 0x28])
    await opened.port.command(null, ['PUBLISH', channel, bytes])
    expect(await promise).toEqual(bytes)
    await subscription.close()
  })
})
