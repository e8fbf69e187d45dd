import type { Database } from '@keelson/kernel'
import type { NewShipment } from './domain/shipments.ts'

/** An answer as it came over the wire. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  json(): { code?: string; reference?: string }
}

/** What one key has left behind. */
export interface Rows {
  readonly shipments: number
  readonly events: number
  readonly answers: number
}

/** The story's merchant: real requests to one node, and a look into the tables behind it. */
export function client(
  url: string,
  db: Database,
): {
  /** Books with this key; the address is the key too, so that rows can be told apart. */
  book(key: string, o?: Partial<NewShipment> & { merchant?: string }): Promise<Answer>
  /** The status of a merchant's look at one address. */
  look(merchant: string, path: string): Promise<number>
  /** A merchant's shipments behind this one, at most 100. */
  list(merchant: string, after: string, headers?: Record<string, string>): Promise<Answer>
  rows(key: string): Promise<Rows>
  /** A price for an address that is always the same. */
  quote(): Promise<Answer>
  /** The state of the carrier's breaker, as an operator sees it. */
  breaker(): Promise<string>
} {
  return {
    async book(key, { to = key, kg = 2.5, merchant = 'm1' } = {}) {
      const response = await fetch(`${url}/shipments`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${merchant}`,
          'content-type': 'application/json',
          'idempotency-key': key,
          'x-correlation-id': key,
        },
        body: JSON.stringify({ to, kg }),
      })
      return answerOf(response)
    },
    async look(merchant, path) {
      const response = await fetch(url + path, { headers: { authorization: `Bearer ${merchant}` } })
      await response.arrayBuffer()
      return response.status
    },
    async list(merchant, after, headers = {}) {
      const authorization = `Bearer ${merchant}`
      return answerOf(
        await fetch(`${url}/shipments?after=${after}&limit=100`, { headers: { authorization, ...headers } }),
      )
    },
    async quote() {
      return answerOf(await fetch(`${url}/quotes?to=Rome&kg=3`, { headers: { authorization: 'Bearer m1' } }))
    },
    async breaker() {
      const response = await fetch(`${url}/ops/circuit-breaker/status`, { headers: { authorization: 'Bearer ops' } })
      return ((await response.json()) as { carrier: { breaker: string } }).carrier.breaker
    },
    async rows(key) {
      const { rows } = await db.query(
        `select
  (select count(*)::int from parcels.shipments where "to" = $1) as shipments,
  (select count(*)::int from parcels.outbox where payload->>'to' = $1) as events,
  (select count(*)::int from keelson.idempotency where trace->>'correlationId' = $1 and state = 'done') as answers`,
        [key],
      )
      return rows[0] as Rows
    },
  }
}

async function answerOf(response: Response): Promise<Answer> {
  const bytes = Buffer.from(await response.arrayBuffer())
  const json = (): ReturnType<Answer['json']> => JSON.parse(bytes.toString()) as ReturnType<Answer['json']>
  return { status: response.status, headers: response.headers, bytes, json }
}
