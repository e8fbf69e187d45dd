import { isDeepStrictEqual } from 'node:util'
import type { Database } from '@keelson/kernel'
import type { NewShipment } from './domain/shipments.ts'
import type { Status } from './domain/status.ts'
import { until } from './step.ts'

/** An answer as it came over the wire. */
export interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly bytes: Buffer
  json(): { id?: string; status?: string; code?: string; reference?: string; items?: unknown[]; next?: string | null }
}

/** What one key has left behind. */
export interface Rows {
  readonly shipments: number
  readonly events: number
  readonly answers: number
  /** Of the audit log, about what was done. */
  readonly entries: number
}

/** Entries as they are written, before they are sealed. */
const documents = "(select convert_from(body, 'UTF8')::jsonb as doc from keelson.audit_entry) as entry"
const ofCorrelation = "doc->'audit'->>'correlation' = $1"

/** The story's merchant: real requests to one node, and a look into the tables behind it. */
export function client(
  url: string,
  db: Database,
): {
  /** Books with this key; the address is the key too, so that rows can be told apart. */
  book(key: string, o?: Partial<NewShipment> & { merchant?: string }): Promise<Answer>
  /** Brings m1's shipment to another status. */
  move(key: string, id: string, status: Status): Promise<Answer>
  /** Takes m1's shipment back. */
  cancel(key: string, id: string): Promise<Answer>
  /** The status of a merchant's look at one address. */
  look(merchant: string, path: string): Promise<number>
  /** One shipment of m1. */
  find(id: string, headers?: Record<string, string>): Promise<Answer>
  /** A merchant's shipments behind this one, at most 100. */
  list(merchant: string, after: string, headers?: Record<string, string>): Promise<Answer>
  rows(key: string): Promise<Rows>
  /** Settles when the audit log has writes that were refused with these statuses: they may be there after the answer. */
  onRecord(key: string, statuses: readonly number[]): Promise<void>
  /** All that is held of a merchant. */
  exported(merchant: string, by: string): Promise<Answer>
  /** Takes a merchant out of all stores. */
  erase(merchant: string, by: string): Promise<Answer>
  /** What an operator is told of one correlation id: the kinds of its rows. */
  explain(id: string): Promise<string[]>
  /** A price for an address that is always the same. */
  quote(): Promise<Answer>
  /** A merchant's own endpoints and deliveries. */
  webhooks(method: 'GET' | 'POST', path: string, body?: object, merchant?: string): Promise<Answer>
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
    async move(key, id, status) {
      const headers = {
        authorization: 'Bearer m1',
        'content-type': 'application/json',
        'idempotency-key': key,
        'x-correlation-id': key,
      }
      const body = JSON.stringify({ status })
      return answerOf(await fetch(`${url}/shipments/${id}`, { method: 'PATCH', headers, body }))
    },
    async cancel(key, id) {
      const headers = { authorization: 'Bearer m1', 'idempotency-key': key, 'x-correlation-id': key }
      return answerOf(await fetch(`${url}/shipments/${id}`, { method: 'DELETE', headers }))
    },
    async look(merchant, path) {
      const response = await fetch(url + path, { headers: { authorization: `Bearer ${merchant}` } })
      await response.arrayBuffer()
      return response.status
    },
    async find(id, headers = {}) {
      return answerOf(await fetch(`${url}/shipments/${id}`, { headers: { authorization: 'Bearer m1', ...headers } }))
    },
    async list(merchant, after, headers = {}) {
      const authorization = `Bearer ${merchant}`
      return answerOf(
        await fetch(`${url}/shipments?after=${after}&limit=100`, { headers: { authorization, ...headers } }),
      )
    },
    async explain(id) {
      const response = await fetch(`${url}/ops/explain/${id}`, { headers: { authorization: 'Bearer ops' } })
      return ((await response.json()) as { rows: { kind: string }[] }).rows.map(({ kind }) => kind)
    },
    async quote() {
      return answerOf(await fetch(`${url}/quotes?to=Rome&kg=3`, { headers: { authorization: 'Bearer m1' } }))
    },
    async webhooks(method, path, body, merchant = 'm1') {
      const response = await fetch(`${url}/webhooks${path}`, {
        method,
        headers: { authorization: `Bearer ${merchant}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
      return answerOf(response)
    },
    async breaker() {
      const response = await fetch(`${url}/ops/circuit-breaker/status`, { headers: { authorization: 'Bearer ops' } })
      return ((await response.json()) as { carrier: { breaker: string } }).carrier.breaker
    },
    async rows(key) {
      const { rows } = await db.query(
        `select
  (select count(*)::int from parcels.shipments where "to" = $1) as shipments,
  (select count(*)::int from keelson.webhook_event where correlation = $1) as events,
  (select count(*)::int from keelson.idempotency where trace->>'correlationId' = $1 and state = 'done') as answers,
  (select count(*)::int from ${documents} where ${ofCorrelation} and doc->'event'->>'outcome' = 'success') as entries`,
        [key],
      )
      return rows[0] as Rows
    },
    async onRecord(key, statuses) {
      const text = `select doc->'audit'->'data'->>'status' as status from ${documents}
where ${ofCorrelation} and doc->'event'->>'outcome' = 'failure' order by 1`
      await until(`${statuses.join()} of ${key} on record`, async () => {
        const { rows } = await db.query(text, [key])
        const refused = rows.map(({ status }) => Number(status))
        return isDeepStrictEqual(refused, statuses)
      })
    },
    async exported(merchant, by) {
      const authorization = `Bearer ${by}`
      return answerOf(await fetch(`${url}/merchants/${merchant}/export`, { headers: { authorization } }))
    },
    async erase(merchant, by) {
      const authorization = `Bearer ${by}`
      return answerOf(await fetch(`${url}/merchants/${merchant}`, { method: 'DELETE', headers: { authorization } }))
    },
  }
}

async function answerOf(response: Response): Promise<Answer> {
  const bytes = Buffer.from(await response.arrayBuffer())
  const json = (): ReturnType<Answer['json']> => JSON.parse(bytes.toString()) as ReturnType<Answer['json']>
  return { status: response.status, headers: response.headers, bytes, json }
}
