import { created, noContent, ok, problem, type Reply } from '@keelson/http'
import { context, type Tx } from '@keelson/kernel'
import { z } from 'zod'
import { booked, cancelled, moved } from './audit.ts'
import { tagsOf } from './cache-tags.ts'
import { carrierEvent, MEANING } from './carrier-events.ts'
import { teamOf } from './couriers.ts'
import { bookShipment, cancelShipment, findShipment, isId, listShipments, moveShipment } from './domain/shipments.ts'
import { newShipment, shipmentPatch, type Moved, type Page, type Shipment } from './domain/shipments.ts'
import type { Mover } from './domain/status.ts'
import { newQuote, type Quote } from './domain/quotes.ts'
import type { System } from './system.ts'

const page = z.object({
  after: z.string().refine(isId, 'must be an id').default('0'),
  limit: z.coerce.number().int().min(1).max(100).default(20),
})

/** What the routes do, the same behind every framework: input as it came, and who is asking. */
export interface Api {
  book(tx: Tx, merchant: string, body: unknown, ip: string | undefined): Promise<Reply<Shipment>>
  update(tx: Tx, merchant: string, id: string, body: unknown): Promise<Reply<Shipment>>
  cancel(tx: Tx, merchant: string, id: string): Promise<Reply<undefined>>
  /** What the carrier has signed, once. */
  carrierSays(tx: Tx, event: unknown): Promise<Reply<Shipment>>
  list(merchant: string, query: unknown): Promise<Page>
  find(merchant: string, id: string): Promise<Shipment>
  quote(query: unknown): Promise<{ readonly quote: Quote; readonly headers: Readonly<Record<string, string>> }>
}

type Parts = Pick<System, 'reads' | 'caches' | 'quotes' | 'webhooks' | 'audit' | 'sync'>

export function createApi({ reads, caches, quotes, webhooks, audit, sync }: Parts): Api {
  /** What else is true in the commit of a move. */
  function toldOf(done: Moved, by: Mover): Reply<Shipment> {
    if (done.kind === 'unknown') throw problem(404, 'not-found')
    if (done.kind === 'refused') throw problem(409, 'wrong-status', { detail: `the shipment is ${done.from}` })
    const { kind, from, shipment } = done
    if (kind === 'is there') return ok(shipment)
    const { id, merchant, status } = shipment
    return ok(shipment, [
      webhooks.event('shipment.updated', shipment, { scope: merchant, key: id, subject: merchant }),
      audit.entry(moved(shipment, from, by)),
      sync.change('parcel', { t: 'patch', id, set: { status } }, { scope: teamOf(merchant) }),
      caches.scope(merchant).drop(...tagsOf(merchant, id)),
    ])
  }

  return {
    async book(tx, merchant, body, ip) {
      const shipment = await bookShipment(tx, merchant, newShipment.parse(body), context.get()?.correlationId)
      const location: [string, string] = ['Location', `/shipments/${shipment.id}`]
      // One parcel's events reach a merchant in their order, and are erased with the merchant.
      const to = { scope: merchant, key: shipment.id, subject: merchant }
      const set = { merchant, to: shipment.to }
      const effects = [
        webhooks.event('shipment.created', shipment, to),
        audit.entry(booked(shipment, ip)),
        sync.change('parcel', { t: 'put', id: shipment.id, set }, { scope: teamOf(merchant) }),
      ]
      return created(shipment, effects, [location])
    },
    async cancel(tx, merchant, id) {
      const shipment = await cancelShipment(tx, merchant, id)
      if (shipment === undefined) throw problem(404, 'not-found')
      const gone = sync.change('parcel', { t: 'delete', id }, { scope: teamOf(merchant) })
      return noContent([audit.entry(cancelled(shipment)), gone])
    },
    async update(tx, merchant, id, body) {
      const { status } = shipmentPatch.parse(body)
      return toldOf(await moveShipment(tx, 'merchant', id, status, merchant), 'merchant')
    },
    async carrierSays(tx, event) {
      const { type, data } = carrierEvent.parse(event)
      return toldOf(await moveShipment(tx, 'carrier', data.shipment, MEANING[type]), 'carrier')
    },
    async list(merchant, query) {
      const { after, limit } = page.parse(query)
      return await listShipments(reads, merchant, after, limit)
    },
    async find(merchant, id) {
      const shipment = await findShipment(reads, merchant, id)
      if (shipment === undefined) throw problem(404, 'not-found')
      return shipment
    },
    async quote(query) {
      const { quote, isLastKnown } = await quotes.ask(newQuote.parse(query))
      return { quote, headers: isLastKnown ? { 'X-Fallback': 'last-known' } : {} }
    },
  }
}
