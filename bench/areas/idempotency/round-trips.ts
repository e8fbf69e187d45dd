import { randomUUID } from 'node:crypto'
import { createIdempotency, reply, unwrap } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { migrate } from '@keelson/kernel/postgres'
import express from 'express'
import expressIdempotency, { type IdempotencyResource } from 'express-idempotency'
import { Redis } from 'ioredis'
import { Pool } from 'pg'
import { startFaultProxy, type FaultProxy } from '../../../tools/faults/fault-proxy.ts'
import type { Case, Contender, Figures } from '../../src/case.ts'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'
import { redisAdapter } from './express-idempotency-redis.ts'
import { ANSWER, subjects, type OpenSubject } from './subjects.ts'

/** Counted on the wire, by a proxy in front of the server. */
export function roundTrips(services: Services): Case[] {
  const onRedis = (name: string, open: (url: string, prefix: string) => Promise<OpenSubject>): Contender => ({
    name,
    async open() {
      const { proxy, url } = await proxyOf(await services.redisUrl())
      const subject = await open(url, `${services.id}:trips`)
      return {
        run: () => tripsOf(proxy, subject),
        async close() {
          await subject.close()
          await proxy.close()
        },
      }
    },
  })
  const [keelson, ...peers] = subjects.map(({ name, open }) => onRedis(name, open))
  return [
    {
      name: 'round trips to Redis',
      note: 'refusal: the same key with another body; nothing where the other body is not noticed',
      exact: true,
      contenders: [keelson!, ...peers, onRedis('express-idempotency', openExpressIdempotency)],
      targets: [
        { of: keelson!.name, figure: 'first trips', atMost: 2 },
        { of: keelson!.name, figure: 'replay trips', atMost: 1 },
        { of: keelson!.name, figure: 'refusal trips', atMost: 1 },
      ],
    },
    {
      name: 'round trips to Postgres, a transaction with two statements of its own and one effect',
      note: 'by hand: BEGIN, the three, COMMIT; replay: until the answer is there, its ROLLBACK follows',
      exact: true,
      contenders: [keelsonOnPostgres(services), byHandOnPostgres(services)],
      targets: [
        { of: 'keelson transaction()', figure: 'first trips', atMost: 4 },
        { of: 'keelson transaction()', figure: 'replay trips', atMost: 1 },
      ],
    },
  ]
}

async function proxyOf(url: string): Promise<{ proxy: FaultProxy; url: string }> {
  const target = new URL(url)
  const proxy = await startFaultProxy({ host: target.hostname, port: Number(target.port) })
  target.port = String(proxy.port)
  target.hostname = proxy.host
  return { proxy, url: target.href }
}

async function tripsOf(proxy: FaultProxy, subject: OpenSubject): Promise<Figures> {
  await subject.call(randomUUID(), { cents: 1 }) // connected, and the server knows the scripts
  const key = randomUUID()
  const trips = async (): Promise<number> => {
    proxy.resetCount()
    await subject.call(key, { cents: 990 })
    return proxy.roundTrips
  }
  const figures = { 'first trips': await trips(), 'replay trips': await trips() }
  proxy.resetCount()
  const refused = await subject.call(key, { cents: 1 }).then(
    () => false,
    () => true,
  )
  return refused ? { ...figures, 'refusal trips': proxy.roundTrips } : figures
}

/** It has no core: a real application, called over HTTP. */
async function openExpressIdempotency(url: string, prefix: string): Promise<OpenSubject> {
  const client = new Redis(url)
  const adapter = redisAdapter(client, prefix)
  let stored: Promise<void> | undefined
  const dataAdapter = { ...adapter, update: (resource: IdempotencyResource) => (stored = adapter.update(resource)) }
  const app = express()
  app.use(express.json(), expressIdempotency.idempotency({ dataAdapter }))
  app.post('/pay', (req, res) => {
    if (!expressIdempotency.getSharedIdempotencyService().isHit(req)) res.status(201).json(ANSWER)
  })
  app.use(((_error, _req, res, _next) => void res.end()) as express.ErrorRequestHandler)
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as { port: number }
  return {
    async call(key, body) {
      const headers = { 'content-type': 'application/json', 'idempotency-key': key }
      const response = await fetch(`http://127.0.0.1:${port}/pay`, {
        method: 'POST',
        headers,
        body: JSON.stringify(body),
      })
      await response.text()
      await stored // it stores behind its answer
      if (!response.ok) throw new Error(response.statusText)
    },
    async close() {
      server.close()
      server.closeAllConnections()
      client.disconnect()
    },
  }
}

function keelsonOnPostgres(services: Services): Contender {
  return {
    name: 'keelson transaction()',
    async open() {
      const { proxy, pool, close } = await openCounted(services, 'trips')
      const store = postgresStore(pool, { schema: `${services.id}_trips` })
      await migrate(pool, [store])
      const idempotency = createIdempotency({ store, storeTimeout: '5s' })
      const effect = {
        kind: 'bench.audit',
        statements: () => [{ text: 'insert into audit values ($1)', values: ['a'] }],
      }
      const write = async (key: string): Promise<unknown> =>
        unwrap(
          await idempotency.transaction({ scope: 'public', op: 'order', key }, async (tx) => {
            await tx.query('insert into orders values ($1)', ['tea'])
            await tx.query('insert into lines values ($1)', ['tea'])
            return reply(201, {}, [effect])
          }),
        )
      return {
        async run() {
          await write(randomUUID())
          const key = randomUUID()
          const trips = async (): Promise<number> => {
            proxy.resetCount()
            await write(key)
            return proxy.roundTrips
          }
          return { 'first trips': await trips(), 'replay trips': await trips() }
        },
        async close() {
          await idempotency.close()
          await close()
        },
      }
    },
  }
}

function byHandOnPostgres(services: Services): Contender {
  return {
    name: 'by hand, no idempotency',
    async open() {
      const { proxy, pool, close } = await openCounted(services, 'trips_by_hand')
      return {
        async run() {
          const client = await pool.connect()
          proxy.resetCount()
          await client.query('BEGIN')
          for (const table of ['orders', 'lines', 'audit']) {
            await client.query(`insert into ${table} values ($1)`, ['tea'])
          }
          await client.query('COMMIT')
          client.release()
          return { 'first trips': proxy.roundTrips }
        },
        close,
      }
    },
  }
}

async function openCounted(
  services: Services,
  name: string,
): Promise<{ proxy: FaultProxy; pool: Pool; close(): Promise<void> }> {
  const { proxy, url } = await proxyOf(await services.databaseUrl())
  const { pool, close } = await openPool(url, `${services.id}_${name}`, 1)
  for (const table of ['orders', 'lines', 'audit']) await pool.query(`create table ${table} (sku text)`)
  return {
    proxy,
    pool,
    async close() {
      await close()
      await proxy.close()
    },
  }
}
