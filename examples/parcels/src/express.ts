import { createExpress } from '@keelson/express'
import express, { type RequestHandler } from 'express'
import { createServer } from 'node:http'
import type { Routes, WebServer } from './web-server.ts'
import { merchantOf, policies } from './http.ts'

/** The routes on Express. */
export async function expressServer({ http, api, apis }: Routes): Promise<WebServer> {
  const k = createExpress(http)
  const app = express()
  const server = createServer(app)
  const authenticate: RequestHandler = (req, _res, next) => {
    merchantOf(req.get('authorization'))
    next()
  }
  app.disable('x-powered-by')
  app.use(k.context(), express.json())

  app.post(
    '/shipments',
    authenticate,
    k.transaction(policies.bookShipment, (req, tx) => api.book(tx, merchantOf(req.get('authorization')), req.body)),
  )
  app.get('/shipments', authenticate, k.route(policies.listShipments), async (req, res) => {
    res.json(await api.list(merchantOf(req.get('authorization')), req.query))
  })
  app.get('/shipments/:id', authenticate, async (req, res) => {
    res.json(await api.find(merchantOf(req.get('authorization')), String(req.params['id'])))
  })

  app.get('/quotes', authenticate, async (req, res) => {
    const { quote, headers } = await api.quote(req.query)
    res.set(headers).json(quote)
  })

  app.use('/health', k.mount(apis.health))
  app.use('/ops/circuit-breaker', k.mount(apis.breakers))
  app.use('/ops', k.mount(apis.ops))
  app.use(k.errors())
  return {
    server,
    listen: (port, host) =>
      new Promise((resolve, reject) => {
        server.once('error', reject)
        server.listen(port, host, resolve)
      }),
    ...k.shutdown(server),
  }
}
