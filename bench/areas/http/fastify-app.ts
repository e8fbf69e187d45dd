import type { Server } from 'node:net'
import { keelson, transaction } from '@keelson/fastify'
import rateLimit from '@fastify/rate-limit'
import { created, problem } from '@keelson/http'
import fastify, { type FastifyRequest } from 'fastify'
import { ANSWER, INSERT, LIMIT, type Kind } from './kinds.ts'
import { byHand, openParts } from './parts.ts'

type Paid = FastifyRequest<{ Body: { cents: number } }>

/** The same application and handler, with what the kind says around it. */
export async function fastifyApp(kind: Kind, databaseUrl?: string): Promise<Server> {
  const { http, pool } = await openParts(kind, databaseUrl)
  const app = fastify()
  const own = kind.startsWith('bare') || kind === 'sql' || kind === 'end patch' || kind === 'limited by a peer'
  if (!own) await app.register(keelson, { http, problems: 'all' })
  const answer = async (request: Paid, reply: { code(status: number): unknown }): Promise<object> => {
    reply.code(201)
    return { ...ANSWER, cents: request.body.cents }
  }

  switch (kind) {
    case 'bare':
    case 'context':
      app.post('/pay', answer)
      break
    case 'idempotent':
      app.post('/pay', { config: { keelson: { idempotent: { required: true } } } }, answer)
      break
    case 'end patch': {
      const stored = new Map<string, { status: number; body: unknown }>()
      const onSend = async (request: FastifyRequest, reply: { statusCode: number }, payload: unknown) => {
        stored.set(String(request.headers['idempotency-key']), { status: reply.statusCode, body: payload })
        return payload
      }
      app.post('/pay', { onSend }, async (request: Paid, reply) => {
        const known = stored.get(String(request.headers['idempotency-key']))
        if (known !== undefined) return reply.code(known.status).type('application/json').send(known.body)
        return answer(request, reply)
      })
      break
    }
    case 'bare read':
      app.get('/item', async () => ANSWER)
      break
    case 'cached': {
      const cached = { ttl: '10m', per: 'scope', tags: ['items'] } as const
      app.get('/item', { config: { keelson: { cached } } }, async () => ANSWER)
      break
    }
    case 'limited, sliding':
    case 'limited, fixed': {
      const rule = { limiter: 'api', by: 'address' } as const
      app.get('/item', { config: { keelson: { rateLimit: rule } } }, async () => ANSWER)
      break
    }
    case 'limited by a peer':
      await app.register(rateLimit, { max: LIMIT, timeWindow: '1 minute' })
      app.get('/item', async () => ANSWER)
      break
    case 'bare problem':
      app.post('/pay', (_request, reply) => {
        reply.code(409).type('application/problem+json')
        return reply.send(JSON.stringify({ status: 409, code: 'sold-out' }))
      })
      break
    case 'problem':
      app.post('/pay', async () => {
        throw problem(409, 'sold-out')
      })
      break
    case 'sql':
      app.post('/pay', async (request: Paid, reply) => {
        reply.code(201)
        return { ...ANSWER, ...(await byHand(pool!, INSERT, [request.body.cents])) }
      })
      break
    case 'transaction':
      app.route({
        method: 'POST',
        url: '/pay',
        ...transaction({ idempotent: { required: true } }, async (request: Paid, tx) => {
          const { rows } = await tx.query(INSERT, [request.body.cents])
          return created({ ...ANSWER, ...rows[0] })
        }),
      })
  }
  await app.listen({ port: 0, host: '127.0.0.1' })
  return app.server
}
