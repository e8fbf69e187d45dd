/** A process that serves each core alone on Postgres and on Redis: what parcels is not configured to do. */
import type { AddressInfo } from 'node:net'
import { createAudit, generateKey, type Audit } from '@keelson/audit'
import { fileStore } from '@keelson/audit/file'
import { postgresStore as postgresAudit } from '@keelson/audit/postgres'
import { createCache } from '@keelson/cache'
import { postgresStore as postgresCache } from '@keelson/cache/postgres'
import { redisStore as redisCache } from '@keelson/cache/redis'
import { createExpress } from '@keelson/express'
import { createHttp, type HttpOptions } from '@keelson/http'
import { opsApi } from '@keelson/http/apis'
import { createIdempotency } from '@keelson/idempotency'
import { postgresStore as postgresClaims } from '@keelson/idempotency/postgres'
import { redisStore as redisClaims } from '@keelson/idempotency/redis'
import { context, type Component } from '@keelson/kernel'
import { database, migrate } from '@keelson/kernel/postgres'
import { createLimiter } from '@keelson/resilience/limiter'
import { postgresStore as postgresLimits } from '@keelson/resilience/postgres'
import { redisStore as redisLimits } from '@keelson/resilience/redis'
import { createWebhooks } from '@keelson/webhooks'
import { postgresStore as postgresWebhooks } from '@keelson/webhooks/postgres'
import { redisStore as redisWebhooks } from '@keelson/webhooks/redis'
import express, { type Router } from 'express'
import { Redis } from 'ioredis'
import pg from 'pg'
import { awakeMs } from '../../../../tools/awake-clock.ts'

const { DATABASE_URL, REDIS_URL, STORE_TIMEOUT, RECEIVER_URL, SPOOL } = process.env as Record<string, string>
const storeTimeout = STORE_TIMEOUT as '1s'
const scope = 'acme'

// Each core asks a server that stands still whether it lives, and each question keeps a connection for 5 s. A pool that
// is full of them is too many callers, and no dead store: what is promised for that one is asked for here.
const pool = new pg.Pool({ connectionString: DATABASE_URL!, connectionTimeoutMillis: 5_000, max: 80 })
pool.on('error', () => {})
const redis = new Redis(REDIS_URL!).on('error', () => {})
const db = database(pool)
const stores = {
  Postgres: {
    claims: postgresClaims(db),
    cache: postgresCache(db),
    limits: postgresLimits(db),
    events: () => postgresWebhooks(db),
  },
  Redis: {
    claims: redisClaims(redis),
    cache: redisCache(redis),
    limits: redisLimits(redis),
    events: () => redisWebhooks(redis),
  },
}
const journal = postgresAudit(db)
const { claims, cache, limits, events } = stores.Postgres
await migrate(db, [claims, cache, limits, events(), journal])

const app = express()
const components: (Component & { start?(): Promise<void> })[] = []
/** What each key has run, and what the application knows, which no store does. */
const runs = new Map<string, number>()
let truth = 0
/** Work that waits until it is told to go on. */
const held = new Map<string, () => void>()

function ran(key: string): number {
  runs.set(key, (runs.get(key) ?? 0) + 1)
  return runs.get(key)!
}

async function opened<C extends Component & { start?(): Promise<void> }>(component: C): Promise<C> {
  await component.start?.()
  components.push(component)
  return component
}

/** Routes of their own rules under a path. */
async function under(path: string, o: Partial<HttpOptions>, add: (router: Router, k: Express) => void): Promise<void> {
  const k = createExpress(
    await opened(createHttp({ ...o, scope: () => scope, principal: () => ({ type: 'service', id: 'test' }) })),
  )
  const router = express.Router()
  router.use(k.context())
  add(router, k)
  router.use(k.errors())
  app.use(path, router)
}
type Express = ReturnType<typeof createExpress>

for (const [name, { claims, cache, limits, events }] of Object.entries(stores)) {
  const caches = await opened(createCache({ name: 'cores', store: cache, storeTimeout }))
  const sending = {
    encryption: 'plaintext',
    network: { allow: ['127.0.0.1/32'], httpsOnly: false },
  } as const
  const webhooks = await opened(createWebhooks({ ...sending, store: events(), storeTimeout }))
  // A machine that stalls is no outage: who tried twice might have made two, which are told of everything twice.
  const patient = createWebhooks({ ...sending, store: events(), storeTimeout: '30s' })
  await patient.endpoints.create({ scope, url: RECEIVER_URL! })
  await patient.close()
  const perHour = (limit: number) => ({ name: 'hour', limit, per: '1h' as const })
  const limiters = {
    local: await opened(createLimiter({ name: 'local', quotas: perHour(4), nodes: 2, store: limits, storeTimeout })),
    closed: await opened(
      createLimiter({
        name: 'closed',
        quotas: perHour(1_000_000),
        store: limits,
        onStoreFailure: 'deny',
        storeTimeout,
      }),
    ),
  }
  const idempotent = { idempotent: { required: true } }

  for (const onStoreDown of ['refuse', 'run-unprotected'] as const) {
    const idempotency = await opened(createIdempotency({ store: claims, onStoreDown, storeTimeout, lease: '2m' }))
    await under(`/${name}/${onStoreDown}`, { idempotency }, (router, k) => {
      router.post('/now', k.route(idempotent), (req, res) => {
        res.status(201).json({ runs: ran(req.get('idempotency-key')!) })
      })
      router.post('/held', k.route(idempotent), async (req, res) => {
        const key = req.get('idempotency-key')!
        await new Promise<void>((resolve) => held.set(key, resolve))
        res.status(201).json({ runs: ran(key) })
      })
    })
  }
  await under(`/${name}`, { cache: caches, limiters }, (router, k) => {
    const tags = ['truth']
    router.get('/cached', k.route({ cached: { per: 'scope', ttl: '1h', tags } }), (_, res) => {
      res.json({ truth })
    })
    router.post('/write', k.route({ invalidates: tags }), (_, res) => {
      res.status(201).json({ truth: ++truth })
    })
    router.post('/invalidate', k.route({}), async (_, res) => {
      await caches.scope(scope).invalidate('other')
      res.status(204).end()
    })
    for (const limiter of ['local', 'closed'])
      router.post(`/${limiter}`, k.route({ rateLimit: { limiter } }), (_, res) => void res.status(204).end())
    router.post('/events', k.route({}), async (_, res) => {
      await webhooks.send('thing.happened', {}, { scope, id: context.get()!.correlationId! })
      res.status(202).end()
    })
    router.get('/deliveries/:event', k.route({}), async (req, res) => {
      const { items } = await webhooks.deliveries.list({ scope, event: String(req.params['event']) })
      res.json(items.map(({ status }) => status))
    })
  })
}

const audits: Record<string, Audit> = {
  spool: await opened(auditOf('spool')),
  none: await opened(auditOf('none')),
}
function auditOf(log: string): Audit {
  const spool = log === 'spool' ? { spool: fileStore({ dir: SPOOL!, appendTimeout: '1m' }) } : {}
  return createAudit({ store: journal, log, key: generateKey(`cores.example/${log}`).signer, storeTimeout, ...spool })
}
for (const [name, audit] of Object.entries(audits))
  await under(`/audit/${name}`, { audit }, (router, k) => {
    for (const required of [false, true]) {
      const audited = { action: 'thing.do', required }
      router.post(required ? '/required' : '/plain', k.route({ audited }), (_, res) => {
        res.status(201).json({ runs: ran(context.get()!.correlationId!) })
      })
    }
    router.get('/order', async (_, res) => {
      const { entries } = await audit.query({ scope, order: 'asc', limit: 1_000 })
      res.json(entries.map(({ correlationId }) => correlationId))
    })
    router.get('/outcomes/:id', async (req, res) => {
      await audit.flush()
      const { entries } = await audit.query({ scope, order: 'asc', limit: 1_000 })
      const own = entries.filter(({ correlationId }) => correlationId === req.params['id'])
      res.json(own.map(({ outcome }) => outcome))
    })
  })

app.post('/held/:key', (req, res) => {
  const go = held.get(req.params['key'])
  go?.()
  res.status(go === undefined ? 404 : 204).end()
})
app.get('/awake', (_, res) => void res.json(awakeMs()))
app.get('/held/:key', (req, res) => void res.status(held.has(req.params['key']) ? 200 : 404).end())
app.get('/runs/:key', (req, res) => void res.json(runs.get(req.params['key']) ?? 0))
const k = createExpress(await opened(createHttp()))
app.use('/ops', k.context(), k.mount(opsApi({ http: createHttp(), components, authorize: 'public' })))

const server = app.listen(0, '127.0.0.1', () => {
  console.log(JSON.stringify({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }))
})
process.once('SIGTERM', async () => {
  server.close()
  server.closeAllConnections()
  for (const component of components.toReversed()) await component.close()
  redis.disconnect()
  await pool.end()
})
