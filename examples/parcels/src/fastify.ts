import { keelson, policy, transaction } from '@keelson/fastify'
import { received } from '@keelson/http'
import fastify, { type FastifyRequest } from 'fastify'
import { merchantOf, policies } from './http.ts'
import type { Routes, WebServer } from './web-server.ts'

/** The routes on Fastify. */
export async function fastifyServer({ http, api, carrierPolicy, mounts }: Routes): Promise<WebServer> {
  const app = fastify({ forceCloseConnections: false })
  await app.register(keelson, { http, problems: 'all' })
  const merchant = (request: FastifyRequest): string => merchantOf(request.headers.authorization)
  const authenticate = async (request: FastifyRequest): Promise<void> => void merchant(request)

  app.route({
    method: 'POST',
    url: '/shipments',
    preHandler: authenticate,
    ...transaction(policies.bookShipment, (request, tx) => api.book(tx, merchant(request), request.body, request.ip)),
  })
  app.route<{ Params: { id: string } }>({
    method: 'PATCH',
    url: '/shipments/:id',
    preHandler: authenticate,
    ...transaction(policies.updateShipment, (request, tx) =>
      api.update(tx, merchant(request), (request.params as { id: string }).id, request.body),
    ),
  })
  app.route<{ Params: { id: string } }>({
    method: 'DELETE',
    url: '/shipments/:id',
    preHandler: authenticate,
    ...transaction(policies.cancelShipment, (request, tx) =>
      api.cancel(tx, merchant(request), (request.params as { id: string }).id),
    ),
  })
  app.get('/shipments', { preHandler: authenticate, ...policy(policies.listShipments) }, (request) =>
    api.list(merchant(request), request.query),
  )
  app.get<{ Params: { id: string } }>(
    '/shipments/:id',
    { preHandler: authenticate, ...policy(policies.findShipment) },
    (request) => api.find(merchant(request), request.params.id),
  )

  app.get('/quotes', { preHandler: authenticate }, async (request, reply) => {
    const { quote, headers } = await api.quote(request.query)
    return reply.headers(headers).send(quote)
  })

  app.route({
    method: 'POST',
    url: '/carrier-events',
    ...transaction(carrierPolicy, (_request, tx) => api.carrierSays(tx, received()!.json())),
  })

  for (const [path, mounted] of mounts) app.keelson.mount(path, mounted)
  return {
    server: app.server,
    listen: async (port, host) => void (await app.listen({ port, host })),
    ...app.keelson.shutdown(),
  }
}
