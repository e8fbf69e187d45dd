import { Client } from 'pg'
import { afterAll, beforeAll, expect, inject, it } from 'vitest'
import { startPgbouncer, type Pgbouncer } from '../servers/pgbouncer.ts'

const CLIENTS = 12
let pgbouncer: Pgbouncer

beforeAll(async () => {
  const { hostname, port, username, pathname } = new URL(inject('databaseUrl'))
  const database = pathname.slice(1)
  pgbouncer = await startPgbouncer({ host: hostname, port: Number(port || 5432), user: username, database })
})
afterAll(async () => await pgbouncer?.stop())

async function connect(): Promise<Client> {
  const client = new Client({ connectionString: pgbouncer.url })
  client.on('error', () => {})
  await client.connect()
  return client
}

it('keeps a transaction on one server connection, and shares four among all clients', async () => {
  const clients = await Promise.all(Array.from({ length: CLIENTS }, connect))
  const backends = await Promise.all(
    clients.map(async (client) => {
      const pids = new Set<number>()
      const note = async (): Promise<void> => {
        const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
        for (const { pid } of rows) pids.add(pid)
      }
      await client.query('begin')
      await note()
      await note()
      await client.query('commit')
      return [...pids]
    }),
  )
  expect(backends.map((pids) => pids.length)).toEqual(Array(CLIENTS).fill(1))
  expect(new Set(backends.flat()).size).toBeLessThanOrEqual(4)
  await Promise.all(clients.map((client) => client.end()))
})

it('rolls back what a client leaves open', async () => {
  const table = `pgbouncer_${process.pid}`
  const client = await connect()
  await client.query('begin')
  await client.query(`create table ${table} (n int)`)
  await client.query('rollback')
  expect((await client.query('select to_regclass($1) as found', [table])).rows).toEqual([{ found: null }])
  await client.end()
})
