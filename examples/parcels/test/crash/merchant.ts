import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { buffer } from 'node:stream/consumers'
import { Webhook } from 'standardwebhooks'

/** A merchant that verifies what it is sent, and does once what comes twice. */
export interface Merchant {
  readonly url: string
  /** By event id: for which address. */
  readonly done: ReadonlyMap<string, string>
  /** Set once, before anything is sent. */
  secret: string
}

export async function openMerchant(): Promise<Merchant> {
  const done = new Map<string, string>()
  const server = createServer((req, res) => {
    void buffer(req)
      .then((body) => {
        const headers = req.headers as Record<string, string>
        const { data } = new Webhook(merchant.secret).verify(body.toString(), headers) as { data: { to: string } }
        done.set(headers['webhook-id']!, data.to)
        return 204
      })
      .catch(() => 400)
      .then((status) => res.writeHead(status).end())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const merchant: Merchant = { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, done, secret: '' }
  return merchant
}
