import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Client } from 'pg'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { askPostgres } from '../servers/ask-postgres.ts'
import { startPostgres, type PostgresServer } from '../servers/postgres.ts'
import { alive } from '../servers/process-table.ts'

let server: PostgresServer

beforeAll(async () => void (server = await startPostgres()))
afterAll(async () => await server.stop())

async function connect(): Promise<Client> {
  const client = new Client({ connectionString: server.url })
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

it('hangs a query while frozen, on an open connection and on a new one, and goes on when thawed', async () => {
  const open = await connect()
  server.freeze()
  const query = open.query('select 1')
  const connection = connect()
  expect(await answersWithin(200, Promise.race([query, connection]))).toBe(false)
  server.thaw()
  expect((await query).rowCount).toBe(1)
  await (await connection).end()
  await open.end()
})

it('keeps what was committed when killed and started again on the same port', async () => {
  const client = await connect()
  await client.query('create table kept (n int)')
  await client.query('insert into kept values (7)')
  const { pid } = server
  const lost = once(client, 'error')
  await server.kill()
  await lost
  await expect(connect()).rejects.toThrow('ECONNREFUSED')
  await server.restart()
  expect(server.pid).not.toBe(pid)
  expect(await askPostgres(server.url, 'select n from kept')).toBe(7)
})

it('starts again when it was frozen and killed', async () => {
  server.freeze()
  await server.kill()
  await server.restart()
  expect(await askPostgres(server.url, 'select 1')).toBe(1)
})

it('starts again, in order, when it runs', async () => {
  await server.restart()
  expect(await askPostgres(server.url, 'select n from kept')).toBe(7)
})

it('takes settings, and keeps fsync where asked to', async () => {
  await using durable = await startPostgres({ durable: true, maxConnections: 20, settings: { work_mem: '5MB' } })
  const ask = (name: string): Promise<unknown> => askPostgres(durable.url, `show ${name}`)
  expect([await ask('fsync'), await ask('max_connections'), await ask('work_mem')]).toEqual(['on', '20', '5MB'])
})

it('leaves no process and no folder behind when stopped, even frozen', async () => {
  const short = await startPostgres()
  const data = String(await askPostgres(short.url, 'show data_directory'))
  expect(existsSync(data)).toBe(true)
  short.freeze()
  await short.stop()
  await short.stop()
  expect(alive([short.pid])).toEqual([])
  expect(existsSync(data)).toBe(false)
})

it('tells why it did not start, from its log', async () => {
  await expect(startPostgres({ settings: { no_such_setting: '1' } })).rejects.toThrow(
    /postgres ended.*\n.*no_such_setting/s,
  )
})

it('ends with the process that started it, even when that is killed and the server frozen', async () => {
  const code = `
    const { startPostgres } = await import(${JSON.stringify(new URL('../servers/postgres.ts', import.meta.url).href)})
    const server = await startPostgres()
    const { askPostgres } = await import(${JSON.stringify(new URL('../servers/ask-postgres.ts', import.meta.url).href)})
    const data = await askPostgres(server.url, 'show data_directory')
    server.freeze()
    console.log(JSON.stringify({ pid: server.pid, data }))`
  const owner = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(owner.stdout, 'data')) as [Buffer]
  const { pid, data } = JSON.parse(line.toString()) as { pid: number; data: string }
  expect(alive([pid])).toEqual([pid])
  owner.kill('SIGKILL')
  await expect.poll(() => [alive([pid]), existsSync(data)], { timeout: 60_000, interval: 20 }).toEqual([[], false])
})
