import { randomUUID } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { startRedis } from '../../../../tools/servers/redis.ts'
import { defineScript, type RedisPort } from '../../src/redis/index.ts'
import { variants } from './clients.ts'

const tag = randomUUID()
const key = `{${tag}}`
const script = (body: string) => defineScript(`-- ${tag}\n${body}`)
const one = script('return 1')
const two = script('return 2')
const call = { script: one, keys: [key], args: [] }

const flush = (port: RedisPort) => port.command(null, ['SCRIPT', 'FLUSH'])

// Its own: nobody else flushes its scripts.
const server = await startRedis()
afterAll(() => server.stop())

describe.each(Object.entries(variants))('%s', async (_, open) => {
  async function trips(before: (port: RedisPort) => Promise<unknown>, work: (port: RedisPort) => Promise<unknown>) {
    await using proxy = await startFaultProxy(server)
    await using opened = await open(`redis://${proxy.host}:${proxy.port}`)
    await before(opened.port)
    proxy.resetCount()
    await work(opened.port)
    return proxy.roundTrips
  }

  test('a command is 1 round trip', async () => {
    const ping = (port: RedisPort) => port.command(null, ['PING'])
    expect(await trips(ping, ping)).toBe(1)
  })

  test('a script is 1 round trip, 2 when the server does not know it', async () => {
    const run = (port: RedisPort) => port.script(one, [key], [])
    expect(await trips(run, run)).toBe(1)
    expect(await trips(flush, run)).toBe(2)
  })

  test('a pipeline is 1 round trip, 2 when the server knows none of its scripts', async () => {
    const run = (port: RedisPort) =>
      port.pipeline(key, [['PING'], call, { ...call, script: two }, call, ['WAIT', 0, 0]])
    expect(await trips(run, run)).toBe(1)
    expect(await trips(flush, run)).toBe(2)
  })
})
