import { createExpress } from '@keelson/express'
import { created, problem, type Http } from '@keelson/http'
import express, { type Express, type RequestHandler } from 'express'
import { z } from 'zod'
import { outboxEvent } from './domain/outbox.ts'
import { bookShipment, findShipment, isId, listShipments, newShipment } from './domain/shipments.ts'
import { merchantOf, policies } from './http.ts'
import type { System } from './system.ts'

const page = z.object({
  after: z.string().refine(isId, 'must be an id').default('0'),
  limit: z.coerce.number().int().min(1).max(100).default(20),
})

/** The routes on Express. */
export function expressApp({ db }: System, http: Http): Express {
  const k = createExpress(http)
  const app = express()
  const authenticate: RequestHandler = (req, _res, next) => {
    merchantOf(req.get('authorization'))
    next()
  }
  app.disable('x-powered-by')
  app.use(k.context(), express.json())

  app.post(
    '/shipments',
    authenticate,
    k.transaction(policies.bookShipment, async (req, tx) => {
      const merchant = merchantOf(req.get('authorization'))
      const shipment = await bookShipment(tx, merchant, newShipment.parse(req.body))
      const location: [string, string] = ['Location', `/shipments/${shipment.id}`]
      return created(shipment, [outboxEvent('shipment.created', shipment)], [location])
    }),
  )
  app.get('/shipments', authenticate, async (req, res) => {
    const { after, limit } = page.parse(req.query)
    res.json(await listShipments(db, merchantOf(req.get('authorization')), after, limit))
  })
  app.get('/shipments/:id', authenticate, async (req, res) => {
    const shipment = await findShipment(db, merchantOf(req.get('authorization')), String(req.params['id']))
    if (shipment === undefined) throw problem(404, 'not-found')
    res.json(shipment)
  })

  app.use(k.errors())
  return app
}
