/** One Express 5 application in a process of its own: `http-app.ts KIND [PROVIDER_URL] `; REDIS_URL and PREFIX by env. */
import { createExpress } from '@keelson/express'
import { createHttp } from '@keelson/http'
import { createIdempotency, memoryStore, type IdempotencyStore } from '@keelson/idempotency'
import { redisStore } from '@keelson/idempotency/redis'
import express, { type Express, type Request, type RequestHandler, type Response } from 'express'
import expressIdempotency from 'express-idempotency'
import idempotencyBackend from 'idempotency-backend/express'
import { Redis } from 'ioredis'
import { Pool } from 'undici'
import { serveBench } from '../../src/serve-bench.ts'
import { redisAdapter } from './express-idempotency-redis.ts'

/** What stands around the handler. */
export type Kind =
  | 'bare'
  | 'context'
  | 'memory'
  | 'redis'
  | 'express-idempotency'
  | 'express-idempotency-redis'
  | 'idempotency-backend'

const [kind, redisUrl, prefix = '', providerUrl] = process.argv.slice(2) as [Kind, string, string?, string?]
const provider = providerUrl === undefined ? undefined : new Pool(providerUrl, { connections: 32 })
const app = express()

/** The work: nothing, or one call of a payment provider over HTTP. */
async function pay(req: Request): Promise<object> {
  if (provider !== undefined) {
    const { body } = await provider.request({ path: '/charge', method: 'POST', body: JSON.stringify(req.body) })
    await body.dump()
  }
  return { id: 'ch_0198f0c2', status: 'paid', cents: req.body.cents }
}

const handler: RequestHandler = async (req, res) => {
  res.status(201).json(await pay(req))
}

const kinds: Record<Kind, (app: Express) => void> = {
  bare: (app) => app.use(express.json()).post('/pay', handler),
  context: (app) => {
    const k = createExpress(createHttp({ scope: () => 'public' }))
    app.use(k.context(), express.json()).post('/pay', handler).use(k.errors())
  },
  // More records than by default: a run makes more than a process of that size would keep.
  memory: (app) => keelson(app, memoryStore({ maxRecords: 1_000_000 })),
  redis: (app) => keelson(app, redisStore(new Redis(redisUrl), { prefix })),
  'express-idempotency': (app) => peer(app, expressIdempotency.idempotency()),
  'express-idempotency-redis': (app) =>
    peer(app, expressIdempotency.idempotency({ dataAdapter: redisAdapter(new Redis(redisUrl), prefix) })),
  'idempotency-backend': (app) =>
    app.use(express.json(), idempotencyBackend).post('/pay', async (req, res) => {
      const answer = await pay(req)
      await (req as Request & { idempotencySession: Session }).idempotencySession.SaveResponse(answer)
      res.status(201).json(answer)
    }),
}

interface Session {
  SaveResponse(answer: object): Promise<void>
}

function keelson(app: Express, store: IdempotencyStore): void {
  // A machine under load is no reason to refuse.
  const idempotency = createIdempotency({ store, storeTimeout: '5s' })
  const k = createExpress(createHttp({ idempotency, scope: () => 'public' }))
  app
    .use(k.context(), express.json())
    .post('/pay', k.idempotent({ required: true }), handler)
    .use(k.errors())
}

/** Its README: the middleware behind the parser, and a handler that looks whether it was a hit. */
function peer(app: Express, middleware: RequestHandler): void {
  app.use(express.json())
  app.post('/pay', middleware, async (req: Request, res: Response) => {
    if (!expressIdempotency.getSharedIdempotencyService().isHit(req)) res.status(201).json(await pay(req))
  })
}

kinds[kind](app)
const server = app.listen(0, '127.0.0.1', () => serveBench(server))
