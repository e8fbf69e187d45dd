import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import { createWebhooks, memoryStore, type Webhooks, type WebhookStore } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { redisStore } from '@keelson/webhooks/redis'
import { migrate } from '@keelson/kernel/postgres'
import { Queue, Worker } from 'bullmq'
import { Logger, makeWorkerUtils, run, type Runner } from 'graphile-worker'
import { Redis } from 'ioredis'
import { Client, type Pool } from 'pg'
import { PgBoss } from 'pg-boss'
import { Agent, request } from 'undici'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'

/** Delivers events, signed, to endpoints by their number. */
export interface Courier {
  /** Takes as many events, for the endpoints in turn; nothing is delivered yet. */
  fill(events: number): Promise<void>
  /** Delivers all of them. */
  drain(): Promise<void>
  close(): Promise<void>
}

export const CONCURRENCY = 64
export const ENDPOINTS = 100
export const SCOPE = 'bench'
/** About a kilobyte of JSON. */
const data = {
  id: 'shp_1',
  items: Array.from({ length: 12 }, (_, i) => ({ sku: `tea-${i}`, quantity: i, note: 'x'.repeat(40) })),
}

/** Opens one kind of courier for the receiver at `url`. */
export type OpenCourier = (url: string, services: Services) => Promise<Courier>

/** Counts up to what was filled. */
function countdown(): { add(n: number): void; one(): void; done(): Promise<void> } {
  let left = 0
  let resolve = (): void => {}
  let done = Promise.resolve()
  return {
    add(n) {
      if (left === 0) done = new Promise((r) => (resolve = r))
      left += n
    },
    one() {
      if (--left === 0) resolve()
    },
    done: () => done,
  }
}

/** Ours, on a store. */
async function keelson(url: string, store: WebhookStore, end: () => Promise<unknown>): Promise<Courier> {
  const webhooks: Webhooks = createWebhooks({
    store,
    encryption: [{ id: 'k1', key: randomBytes(32) }],
    network: { allow: ['127.0.0.1/32'], httpsOnly: false },
    dispatcher: { concurrency: CONCURRENCY },
    storeTimeout: '10s',
  })
  for (let i = 0; i < ENDPOINTS; i++) {
    await webhooks.endpoints.create({ scope: SCOPE, url: `${url}/e${i}`, types: [`to.e${i}`] })
  }
  const left = countdown()
  webhooks.on('delivery.succeeded', () => left.one())
  let sent = 0
  return {
    async fill(events) {
      left.add(events)
      for (let rest = events; rest > 0; rest -= 500) {
        const some = Array.from({ length: Math.min(rest, 500) }, () => ({
          type: `to.e${sent++ % ENDPOINTS}`,
          data,
          scope: SCOPE,
        }))
        await webhooks.sendMany(some)
      }
    },
    async drain() {
      await webhooks.start()
      await left.done()
      await webhooks.stop()
    },
    async close() {
      await webhooks.close()
      await end()
    },
  }
}

export const inMemory: OpenCourier = (url) => keelson(url, memoryStore(), async () => {})

/** A store of ours with nothing in it, and how to end what it needs. */
export interface OpenStore {
  readonly store: WebhookStore
  end(): Promise<unknown>
}

export async function redisOf(services: Services, prefix = newName(services)): Promise<OpenStore> {
  const redis = new Redis(await services.redisUrl())
  return { store: redisStore(redis, { prefix }), end: () => redis.quit() }
}

export async function postgresOf(services: Services): Promise<OpenStore & { readonly pool: Pool }> {
  const schema = newName(services)
  const url = await services.databaseUrl()
  const { pool, close } = await openPool(url, schema, 8)
  const listen = async (): Promise<Client> => {
    const client = new Client({ connectionString: url })
    await client.connect()
    return client
  }
  const store = postgresStore(pool, { schema, listen })
  await migrate(pool, [store])
  return { store, pool, end: close }
}

export const onRedis: OpenCourier = async (url, services) => {
  const { store, end } = await redisOf(services)
  return keelson(url, store, end)
}

export const onPostgres: OpenCourier = async (url, services) => {
  const { store, end } = await postgresOf(services)
  return keelson(url, store, end)
}

/** What users of a job queue write by hand: look the secret up, sign, POST, fail on anything but 2xx. */
export function handWritten(url: string): {
  post(endpoint: number, body: string): Promise<number>
  close(): Promise<void>
  /** Ends what is under way. */
  destroy(): Promise<void>
} {
  const agent = new Agent({ connections: CONCURRENCY })
  const keys = Array.from({ length: ENDPOINTS }, () => createSecretKey(randomBytes(32)))
  let ids = 0
  return {
    async post(endpoint, body) {
      const id = `msg_${ids++}`
      const timestamp = Math.floor(Date.now() / 1000)
      const signature = createHmac('sha256', keys[endpoint]!).update(`${id}.${timestamp}.${body}`).digest('base64')
      const response = await request(`${url}/e${endpoint}`, {
        method: 'POST',
        dispatcher: agent,
        headersTimeout: 15_000,
        bodyTimeout: 15_000,
        headers: {
          'content-type': 'application/json',
          'webhook-id': id,
          'webhook-timestamp': String(timestamp),
          'webhook-signature': `v1,${signature}`,
        },
        body,
      })
      await response.body.text()
      if (response.statusCode >= 300) throw new Error(`status ${response.statusCode}`)
      return response.statusCode
    },
    close: () => agent.close(),
    destroy: () => agent.destroy(),
  }
}

const bodyOf = (): string => JSON.stringify({ type: 'to.e', timestamp: new Date().toISOString(), data })

export const bare: OpenCourier = async (url) => {
  const { post, close } = handWritten(url)
  let left = 0
  let sent = 0
  return {
    async fill(events) {
      left += events
    },
    async drain() {
      const body = bodyOf()
      const caller = async (): Promise<void> => {
        while (left-- > 0) await post(sent++ % ENDPOINTS, body)
      }
      await Promise.all(Array.from({ length: CONCURRENCY }, caller))
      left = 0
    },
    close,
  }
}

interface Job {
  readonly endpoint: number
  readonly body: string
}

const jobs = (events: number): Job[] =>
  Array.from({ length: events }, (_, i) => ({ endpoint: i % ENDPOINTS, body: bodyOf() }))

export const onBullmq: OpenCourier = async (url, services) => {
  const { post, close } = handWritten(url)
  const name = newName(services)
  const connection = new Redis(await services.redisUrl(), { maxRetriesPerRequest: null })
  const queue = new Queue(name, { connection })
  const left = countdown()
  const worker = new Worker<Job>(name, ({ data: { endpoint, body } }) => post(endpoint, body), {
    connection,
    concurrency: CONCURRENCY,
    autorun: false,
  })
  worker.on('completed', () => left.one())
  await queue.pause()
  void worker.run()
  return {
    async fill(events) {
      left.add(events)
      await queue.addBulk(jobs(events).map((job) => ({ name: 'deliver', data: job, opts: { attempts: 10 } })))
    },
    async drain() {
      await queue.resume()
      await left.done()
      await queue.pause()
    },
    async close() {
      await worker.close()
      await queue.close()
      await connection.quit()
      await close()
    },
  }
}

export const onPgBoss: OpenCourier = async (url, services) => {
  const { post, close } = handWritten(url)
  const schema = newName(services)
  const boss = new PgBoss({ connectionString: await services.databaseUrl(), schema, max: 8 })
  boss.on('error', () => {})
  await boss.start()
  await boss.createQueue('deliver', { retryLimit: 9 })
  const left = countdown()
  return {
    async fill(events) {
      left.add(events)
      await boss.insert(
        'deliver',
        jobs(events).map((job) => ({ data: job })),
      )
    },
    async drain() {
      await boss.work<Job>(
        'deliver',
        { batchSize: 50, localConcurrency: 2, pollingIntervalSeconds: 0.5, burstWhenBatchFull: true },
        async (batch) => {
          await Promise.all(batch.map(({ data: job }) => post(job.endpoint, job.body).then(() => left.one())))
        },
      )
      await left.done()
      await boss.offWork('deliver')
    },
    async close() {
      await boss.stop({ graceful: false })
      await close()
    },
  }
}

export const onGraphile: OpenCourier = async (url, services) => {
  const { post, close } = handWritten(url)
  const schema = newName(services)
  const { pool, close: closePool } = await openPool(await services.databaseUrl(), `${schema}_log`, 10)
  pool.on('connect', (client) => void client.on('error', () => {}))
  await pool.query('create table attempt (id bigserial primary key, at timestamptz, endpoint int, status int)')
  const options = { pgPool: pool, schema, noHandleSignals: true, logger: new Logger(() => () => {}) }
  const utils = await makeWorkerUtils(options)
  await utils.migrate()
  const left = countdown()
  let runner: Runner | undefined
  return {
    async fill(events) {
      left.add(events)
      await utils.addJobs(jobs(events).map((payload) => ({ identifier: 'deliver', payload })))
    },
    async drain() {
      runner = await run({
        ...options,
        concurrency: CONCURRENCY,
        pollInterval: 500,
        taskList: {
          async deliver(payload) {
            const { endpoint, body } = payload as Job
            const status = await post(endpoint, body)
            // It keeps nothing of a job that is done.
            await pool.query('insert into attempt (at, endpoint, status) values (now(), $1, $2)', [endpoint, status])
            left.one()
          },
        },
      })
      await left.done()
      await runner.stop()
    },
    async close() {
      await utils.release()
      await pool.query(`drop schema ${schema} cascade`)
      await closePool()
      await close()
    },
  }
}

let names = 0
/** Of a schema, a queue or a key prefix that nobody else has. */
export const newName = ({ id }: Services): string => `${id}_webhooks_${names++}`
