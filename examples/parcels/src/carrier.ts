import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createChaos } from '@keelson/resilience/chaos'
import { newQuote, tariff } from './domain/quotes.ts'

/** The service that quotes prices: somebody else's, so it fails at times. A process of its own; see `FAILURE_RATE`. */
const { PORT = '0', HOST = '127.0.0.1', FAILURE_RATE = '0' } = process.env
const chaos = createChaos({ seed: 7, rules: [{ rate: Number(FAILURE_RATE), fault: 'error' }] })
const priced = chaos.wrap(tariff)

const server = createServer((req, res) => {
  const asked = newQuote.safeParse(Object.fromEntries(new URL(req.url ?? '/', 'http://carrier').searchParams))
  const answer = (status: number, body: object): void => {
    res.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  if (!asked.success) return answer(400, { error: 'to and kg are needed' })
  try {
    answer(200, { cents: priced(asked.data), reference: req.headers['x-correlation-id'] })
  } catch {
    answer(503, { error: 'out of order' })
  }
})
server.listen(Number(PORT), HOST, () => {
  const { port } = server.address() as AddressInfo
  console.log(JSON.stringify({ ready: true, url: `http://${HOST}:${port}`, pid: process.pid }))
})
process.once('SIGTERM', () => server.close())
