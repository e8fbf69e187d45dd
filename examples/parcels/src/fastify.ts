import { keelson, policy, transaction } from '@keelson/fastify'
import fastify, { type FastifyRequest } from 'fastify'
import { merchantOf, policies } from './http.ts'
import type { Routes, WebServer } from './web-server.ts'

/** The routes on Fastify. */
export async function fastifyServer({ http, api, apis }: Routes): Promise<WebServer> {
  const app = fastify({ forceCloseConnections: false })
  await app.register(keelson, { http, problems: 'all' })
  const merchant = (request: FastifyRequest): string => merchantOf(request.headers.authorization)
  const authenticate = async (request: FastifyRequest): Promise<void> => void merchant(request)

  app.route({
    method: 'POST',
    url: '/shipments',
    preHandler: authenticate,
    ...transaction(policies.bookShipment, (request, tx) => api.book(tx, merchant(request), request.body)),
  })
  app.get('/shipments', { preHandler: authenticate, ...policy(policies.listShipments) }, (request) =>
    api.list(merchant(request), request.query),
  )
  app.get<{ Params: { id: string } }>('/shipments/:id', { preHandler: authenticate }, (request) =>
    api.find(merchant(request), request.params.id),
  )

  app.get('/quotes', { preHandler: authenticate }, async (request, reply) => {
    const { quote, headers } = await api.quote(request.query)
    return reply.headers(headers).send(quote)
  })

  app.keelson.mount('/health', apis.health)
  app.keelson.mount('/ops/circuit-breaker', apis.breakers)
  app.keelson.mount('/ops', apis.ops)
  return {
    server: app.server,
    listen: async (port, host) => void (await app.listen({ port, host })),
    ...app.keelson.shutdown(),
  }
}
