import { createExpress } from '@keelson/express'
import { received } from '@keelson/http'
import express, { type RequestHandler } from 'express'
import { createServer } from 'node:http'
import type { Routes, WebServer } from './web-server.ts'
import { merchantOf, policies } from './http.ts'

/** The routes on Express. */
export async function expressServer({ http, api, carrierPolicy, mounts }: Routes): Promise<WebServer> {
  const k = createExpress(http)
  const app = express()
  const server = createServer(app)
  const authenticate: RequestHandler = (req, _res, next) => {
    merchantOf(req.get('authorization'))
    next()
  }
  app.disable('x-powered-by')
  app.use(k.context())
  // In front of the parser: a device that was away for long may send more than it takes.
  for (const [path, api] of mounts) app.use(path, k.mount(api))
  app.use(express.json())

  app.post(
    '/shipments',
    k.early(policies.bookShipment), // so that those whom authentication refuses are on record
    authenticate,
    k.transaction(policies.bookShipment, (req, tx) =>
      api.book(tx, merchantOf(req.get('authorization')), req.body, req.ip),
    ),
  )
  app.patch(
    '/shipments/:id',
    k.early(policies.updateShipment),
    authenticate,
    k.transaction(policies.updateShipment, (req, tx) =>
      api.update(tx, merchantOf(req.get('authorization')), String(req.params['id']), req.body),
    ),
  )
  app.delete(
    '/shipments/:id',
    k.early(policies.cancelShipment),
    authenticate,
    k.transaction(policies.cancelShipment, (req, tx) =>
      api.cancel(tx, merchantOf(req.get('authorization')), String(req.params['id'])),
    ),
  )
  app.get('/shipments', authenticate, k.route(policies.listShipments), async (req, res) => {
    res.json(await api.list(merchantOf(req.get('authorization')), req.query))
  })
  app.get('/shipments/:id', authenticate, k.route(policies.findShipment), async (req, res) => {
    res.json(await api.find(merchantOf(req.get('authorization')), String(req.params['id'])))
  })

  app.get('/quotes', authenticate, async (req, res) => {
    const { quote, headers } = await api.quote(req.query)
    res.set(headers).json(quote)
  })

  app.post(
    '/carrier-events',
    k.early(carrierPolicy),
    k.transaction(carrierPolicy, (_req, tx) => api.carrierSays(tx, received()!.json())),
  )

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
