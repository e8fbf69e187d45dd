import { createServer, type Server } from 'node:http'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis'
import { Queue } from 'bullmq'
import express from 'express'
import { getSharedIdempotencyService, idempotency } from 'express-idempotency'
import { Redis } from 'ioredis'
import type { Pool } from 'pg'
import { pino } from 'pino'
import { redisAdapter } from '../idempotency/express-idempotency-redis.ts'

/** What merchants are told of. */
export const QUEUE = 'webhooks'

/** Where the parts keep what they keep. */
export interface GluedPlace {
  readonly pool: Pool
  readonly redis: { readonly host: string; readonly port: number; readonly connectionName: string }
  /** The audit log: JSON lines. */
  readonly auditFile: string
}

export interface Shipment {
  readonly id: string
  readonly to: string
}

/**
 * Bookings as they are glued together from published libraries, each as its own documents say:
 *
 * - express-idempotency: middleware behind `express.json()`, `isHit` in the handler (its README, 'Getting started'); on
 *   Redis by the adapter interface that it asks for, since what it ships is not for production.
 * - pg: one INSERT, which is its own transaction (node-postgres.com, 'Queries').
 * - pino: a line of the audit log once the row is committed; `sync: true` loses none of them at an exit (its docs,
 *   'Asynchronous Logging', warn of the other way).
 * - bullmq: `queue.add` with attempts and backoff (docs.bullmq.io, 'Retrying failing jobs'), on a client of its own.
 * - bentocache: memory, Redis and its bus, `deleteByTag` (bentocache.dev, 'Multi-tier' and 'Tagging').
 */
export async function gluedServer({ pool, redis, auditFile }: GluedPlace): Promise<Server> {
  const connect = (): Redis => new Redis({ ...redis, maxRetriesPerRequest: null })
  const audit = pino(pino.destination({ dest: auditFile, sync: true }))
  const webhooks = new Queue(QUEUE, {
    connection: connect(),
    defaultJobOptions: { attempts: 10, backoff: { type: 'exponential', delay: 100 } },
  })
  const cache = new BentoCache({
    default: 'lists',
    ttl: '10m',
    stores: {
      lists: bentostore()
        .useL1Layer(memoryDriver())
        .useL2Layer(redisDriver({ connection: connect() as never }))
        .useBus(redisBusDriver({ connection: redis as never })),
    },
  })

  const app = express()
  app.use(express.json())
  app.post('/shipments', idempotency({ dataAdapter: redisAdapter(connect(), 'idempotency') }), async (req, res) => {
    if (getSharedIdempotencyService().isHit(req)) return
    const { to, kg } = req.body as { to: string; kg: number }
    const { rows } = await pool.query<Shipment>(
      `insert into shipments (merchant, "to", kg) values ('m1', $1, $2) returning id::text, "to", kg`,
      [to, kg],
    )
    const shipment = rows[0]!
    audit.info({ action: 'shipment.create', actor: 'm1', shipment })
    await webhooks.add('shipment.created', shipment)
    await cache.deleteByTag({ tags: ['merchant:m1'] })
    res.status(201).json(shipment)
  })
  app.get('/shipments', async (req, res) => {
    const after = String(req.query['after'])
    const items = await cache.getOrSet({
      key: `m1:${after}`,
      tags: ['merchant:m1'],
      factory: async () =>
        (await pool.query<Shipment>('select id::text, "to" from shipments where id > $1 order by id', [after])).rows,
    })
    res.json({ items })
  })
  // A key that is in use: its status is set before the error comes.
  app.use(((error: Error, _req, res, _next) => void res.json({ error: error.message })) as express.ErrorRequestHandler)

  const server = createServer(app)
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve))
  return server
}
