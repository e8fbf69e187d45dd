import { createExpress } from '@keelson/express'
import { created, problem, type Http } from '@keelson/http'
import express, { type Express, type RequestHandler } from 'express'
import { outboxEvent } from './domain/outbox.ts'
import { bookShipment, findShipment, isId, listShipments, newShipment } from './domain/shipments.ts'
import { merchantOf, policies } from './http.ts'
import type { System } from './system.ts'

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
    const { after = '0', limit = '20' } = req.query
    if (!isId(String(after)) || !/^\d{1,3}$/.test(String(limit)) || Number(limit) < 1 || Number(limit) > 100) {
      throw problem(400, 'input-invalid', { detail: 'after must be an id, limit 1 to 100' })
    }
    res.json(await listShipments(db, merchantOf(req.get('authorization')), String(after), Number(limit)))
  })
  app.get('/shipments/:id', authenticate, async (req, res) => {
    const shipment = await findShipment(db, merchantOf(req.get('authorization')), String(req.params['id']))
    if (shipment === undefined) throw problem(404, 'not-found')
    res.json(shipment)
  })

  app.use(k.errors())
  return app
}
