import { once } from 'node:events'
import type { Server } from 'node:net'
import { createExpress } from '@keelson/express'
import { created, problem } from '@keelson/http'
import { rateLimit } from 'express-rate-limit'
import express, { type RequestHandler } from 'express'
import { ANSWER, INSERT, LIMIT, type Kind } from './kinds.ts'
import { byHand, openParts } from './parts.ts'

/** The same application and handler, with what the kind says around it. */
export async function expressApp(kind: Kind, databaseUrl?: string): Promise<Server> {
  const { http, pool } = await openParts(kind, databaseUrl)
  const k = createExpress(http)
  const app = express()
  const handler: RequestHandler = (req, res) => void res.status(201).json({ ...ANSWER, cents: req.body.cents })

  switch (kind) {
    case 'bare':
      app.use(express.json()).post('/pay', handler)
      break
    case 'context':
      app.use(k.context(), express.json()).post('/pay', handler).use(k.errors())
      break
    case 'idempotent':
      app
        .use(k.context(), express.json())
        .post('/pay', k.idempotent({ required: true }), handler)
        .use(k.errors())
      break
    case 'end patch':
      app.use(express.json()).post('/pay', endPatch(), handler)
      break
    case 'bare read':
      app.get('/item', (_req, res) => void res.json(ANSWER))
      break
    case 'cached':
      app
        .use(k.context())
        .get('/item', k.cached({ ttl: '10m', per: 'scope', tags: ['items'] }), (_req, res) => void res.json(ANSWER))
        .use(k.errors())
      break
    case 'limited, sliding':
    case 'limited, fixed':
      app
        .use(k.context())
        .get('/item', k.rateLimit({ limiter: 'api', by: 'address' }), (_req, res) => void res.json(ANSWER))
        .use(k.errors())
      break
    case 'limited by a peer':
      app.get(
        '/item',
        rateLimit({ windowMs: 60_000, limit: LIMIT, standardHeaders: 'draft-8', legacyHeaders: true }),
        (_req, res) => void res.json(ANSWER),
      )
      break
    case 'bare problem':
      app.use(express.json()).post('/pay', (_req, res) => {
        res
          .status(409)
          .type('application/problem+json')
          .send(JSON.stringify({ status: 409, code: 'sold-out' }))
      })
      break
    case 'problem':
      app.use(k.context(), express.json()).post('/pay', () => {
        throw problem(409, 'sold-out')
      })
      app.use(k.errors())
      break
    case 'sql':
      app.use(express.json()).post('/pay', async (req, res) => {
        res.status(201).json({ ...ANSWER, ...(await byHand(pool!, INSERT, [req.body.cents])) })
      })
      break
    case 'transaction':
      app.use(k.context(), express.json()).post(
        '/pay',
        k.transaction({ idempotent: { required: true } }, async (req, tx) => {
          const { rows } = await tx.query(INSERT, [req.body.cents])
          return created({ ...ANSWER, ...rows[0] })
        }),
      )
      app.use(k.errors())
  }
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

/** What many middlewares do: keep the chunks, and store them behind `end`. No claim, no fingerprint, no last byte held. */
function endPatch(): RequestHandler {
  const stored = new Map<string, { status: number; headers: object; body: Buffer }>()
  return (req, res, next) => {
    const key = req.get('idempotency-key')!
    const known = stored.get(key)
    if (known !== undefined) return void res.status(known.status).set(known.headers).end(known.body)
    const { write, end } = res
    const chunks: Buffer[] = []
    res.write = (...args: any[]) => {
      chunks.push(Buffer.from(args[0]))
      return write.apply(res, args as never)
    }
    res.end = (...args: any[]) => {
      if (args[0] !== undefined) chunks.push(Buffer.from(args[0]))
      end.apply(res, args as never)
      stored.set(key, { status: res.statusCode, headers: res.getHeaders(), body: Buffer.concat(chunks) })
      return res
    }
    next()
  }
}
