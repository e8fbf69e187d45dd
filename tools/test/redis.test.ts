import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { askRedis } from '../servers/ask-redis.ts'
import { alive } from '../servers/process-table.ts'
import { startRedis, type RedisServer } from '../servers/redis.ts'

let server: RedisServer

beforeAll(async () => void (server = await startRedis()))
afterAll(async () => await server.stop())

async function connect(): Promise<Redis> {
  const client = new Redis(server.url, { lazyConnect: true, retryStrategy: null })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** An answer from a server that is there takes 1 ms; silence can only be shown by waiting. */
async function answersWithin(waitMs: number, answer: Promise<unknown>): Promise<boolean> {
  const late = Symbol('late')
  const timer = new Promise((resolve) => void setTimeout(resolve, waitMs, late))
  return (await Promise.race([answer, timer])) !== late
}

async function folderOf({ url }: RedisServer): Promise<string> {
  return ((await askRedis(url, 'CONFIG', 'GET', 'dir')) as string[])[1]!
}

it('hangs a command while frozen, on an open connection and on a new one, and goes on when thawed', async () => {
  const open = await connect()
  server.freeze()
  const answer = open.ping()
  const connection = connect()
  expect(await answersWithin(200, Promise.race([answer, connection]))).toBe(false)
  server.thaw()
  expect(await answer).toBe('PONG')
  ;(await connection).disconnect()
  open.disconnect()
})

it('forgets everything when killed and started again on the same port', async () => {
  const client = await connect()
  await client.set('kept', 7)
  const { pid } = server
  const lost = once(client, 'end')
  await server.kill()
  await lost
  expect(alive([pid])).toEqual([])
  await expect(askRedis(server.url, 'PING')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await server.restart()
  expect(server.pid).not.toBe(pid)
  expect(await askRedis(server.url, 'EXISTS', 'kept')).toBe(0)
})

it('keeps what it answered where the settings say so, over a kill and over an orderly restart', async () => {
  await using durable = await startRedis({ settings: { appendonly: 'yes' } })
  await askRedis(durable.url, 'SET', 'kept', 7)
  await durable.kill()
  await durable.restart()
  expect(await askRedis(durable.url, 'GET', 'kept')).toBe('7')
  await durable.restart()
  expect(await askRedis(durable.url, 'GET', 'kept')).toBe('7')
})

it('starts again when it was frozen and killed', async () => {
  server.freeze()
  await server.kill()
  await server.restart()
  expect(await askRedis(server.url, 'PING')).toBe('PONG')
})

it('starts two at once, apart from each other', async () => {
  const [one, other] = await Promise.all([startRedis(), startRedis()])
  await askRedis(one.url, 'SET', 'mine', 1)
  expect(await askRedis(other.url, 'EXISTS', 'mine')).toBe(0)
  await one.stop()
  expect(await askRedis(other.url, 'PING')).toBe('PONG')
  await other.stop()
})

it('leaves no process and no folder behind when stopped, even frozen', async () => {
  const short = await startRedis()
  const folder = await folderOf(short)
  expect(existsSync(folder)).toBe(true)
  short.freeze()
  await short.stop()
  await short.stop()
  expect(alive([short.pid])).toEqual([])
  expect(existsSync(folder)).toBe(false)
})

it('tells why it did not start, from its log', async () => {
  await expect(startRedis({ settings: { 'no-such-setting': '1' } })).rejects.toThrow(
    /redis ended.*\n.*no-such-setting/s,
  )
})

it('ends with the process that started it, even when that is killed and the server frozen', async () => {
  const code = `
    const { startRedis } = await import(${JSON.stringify(new URL('../servers/redis.ts', import.meta.url).href)})
    const server = await startRedis()
    const { askRedis } = await import(${JSON.stringify(new URL('../servers/ask-redis.ts', import.meta.url).href)})
    const [, folder] = await askRedis(server.url, 'CONFIG', 'GET', 'dir')
    server.freeze()
    console.log(JSON.stringify({ pid: server.pid, folder }))`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(owner.stdout, 'data')) as [Buffer]
  const { pid, folder } = JSON.parse(line.toString()) as { pid: number; folder: string }
  expect(alive([pid])).toEqual([pid])
  owner.kill('SIGKILL')
  await expect.poll(() => [alive([pid]), existsSync(folder)], { timeout: 60_000, interval: 20 }).toEqual([[], false])
})
