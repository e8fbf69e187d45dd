import { created, problem, type Reply } from '@keelson/http'
import type { Tx } from '@keelson/kernel'
import { z } from 'zod'
import { outboxEvent } from './domain/outbox.ts'
import { bookShipment, findShipment, isId, listShipments, newShipment } from './domain/shipments.ts'
import type { Page, Shipment } from './domain/shipments.ts'
import { newQuote, type Quote } from './domain/quotes.ts'
import type { System } from './system.ts'

const page = z.object({
  after: z.string().refine(isId, 'must be an id').default('0'),
  limit: z.coerce.number().int().min(1).max(100).default(20),
})

/** What the routes do, the same behind every framework: input as it came, and who is asking. */
export interface Api {
  book(tx: Tx, merchant: string, body: unknown): Promise<Reply<Shipment>>
  list(merchant: string, query: unknown): Promise<Page>
  find(merchant: string, id: string): Promise<Shipment>
  quote(query: unknown): Promise<{ readonly quote: Quote; readonly headers: Readonly<Record<string, string>> }>
}

export function createApi({ db, quotes }: Pick<System, 'db' | 'quotes'>): Api {
  return {
    async book(tx, merchant, body) {
      const shipment = await bookShipment(tx, merchant, newShipment.parse(body))
      const location: [string, string] = ['Location', `/shipments/${shipment.id}`]
      return created(shipment, [outboxEvent('shipment.created', shipment)], [location])
    },
    async list(merchant, query) {
      const { after, limit } = page.parse(query)
      return await listShipments(db, merchant, after, limit)
    },
    async find(merchant, id) {
      const shipment = await findShipment(db, merchant, id)
      if (shipment === undefined) throw problem(404, 'not-found')
      return shipment
    },
    async quote(query) {
      const { quote, isLastKnown } = await quotes.ask(newQuote.parse(query))
      return { quote, headers: isLastKnown ? { 'X-Fallback': 'last-known' } : {} }
    },
  }
}
