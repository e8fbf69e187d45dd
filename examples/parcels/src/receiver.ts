import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { memoryInbox } from '@keelson/webhooks/verify'
import { Webhook } from 'standardwebhooks'

/**
 * A merchant's receiver: somebody else's process, which knows the standard and its secret alone. What comes twice is
 * done once. At times it works and fails to say so (`LOSE_FIRST_ANSWER`), and `/closed` fails until it is told `/open`.
 */
const { PORT = '0', HOST = '127.0.0.1', WEBHOOK_SECRET = '', LOSE_FIRST_ANSWER = '' } = process.env

interface Told {
  readonly type: string
  readonly data: { readonly [field in 'id' | 'to' | 'status' | 'place' | 'courier' | 'lost']: string }
}

/** In a line: of what is booked the address. */
function lineOf({ type, data }: Told): string {
  if (type === 'shipment.conflict') return `${data.courier} lost ${data.lost} of ${data.id}`
  if (type === 'shipment.updated') return `${data.id} is ${data.status}`
  return type === 'shipment.delivered' ? `${data.id} is ${data.place}` : data.to
}

const webhook = new Webhook(WEBHOOK_SECRET)
const inbox = memoryInbox()
const seen = { done: [] as string[], duplicates: [] as string[], attempts: 0 }
let isOpen = false

async function receive(req: IncomingMessage, body: Buffer): Promise<number> {
  seen.attempts++
  if (req.url === '/closed' && !isOpen) return 503
  const headers = req.headers as Record<string, string>
  const line = lineOf(webhook.verify(body.toString(), headers) as Told)
  const key = headers['webhook-id']!
  const outcome = await inbox.consume({ scope: 'parcels', op: 'webhook', key }, async () => void seen.done.push(line))
  if (outcome === 'duplicate') seen.duplicates.push(line)
  return outcome === 'processed' && LOSE_FIRST_ANSWER !== '' ? 500 : 204
}

const server = createServer((req, res) => {
  if (req.url === '/seen') return void res.end(JSON.stringify(seen))
  if (req.url === '/open') {
    isOpen = true
    return void res.end()
  }
  const chunks: Buffer[] = []
  req.on('data', (chunk: Buffer) => chunks.push(chunk))
  req.on('end', () => {
    void receive(req, Buffer.concat(chunks))
      .catch(() => 400)
      .then((status) => res.writeHead(status).end())
  })
})
server.listen(Number(PORT), HOST)
await once(server, 'listening')
const { port } = server.address() as AddressInfo
console.log(JSON.stringify({ ready: true, url: `http://${HOST}:${port}`, pid: process.pid }))
process.once('SIGTERM', () => server.close())
