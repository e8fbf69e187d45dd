/** A receiver in a process of its own: takes everything, hangs under `/hung`, and under `/timed` reads when it was sent. */
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serveParent } from '../../src/child.ts'
import { nowMs } from './now.ts'

/** What a receiver is asked: its address, or how late what arrived since the last question was. */
export type Question = { readonly kind: 'url' | 'delays' }

let delaysMs: number[] = []

async function time(req: IncomingMessage): Promise<void> {
  const arrivedMs = nowMs()
  const chunks: Buffer[] = []
  for await (const chunk of req) chunks.push(chunk as Buffer)
  delaysMs.push(arrivedMs - Number(/"sentMs":([\d.]+)/.exec(Buffer.concat(chunks).toString())![1]))
}

const server = createServer(async (req, res) => {
  if (req.url!.startsWith('/hung')) return void req.resume()
  if (req.url!.startsWith('/timed')) await time(req)
  else await new Promise((resolve) => req.resume().on('end', resolve))
  res.writeHead(204).end()
})
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  serveParent<Question>(({ kind }) => {
    if (kind === 'url') return url
    const told = delaysMs
    delaysMs = []
    return told
  })
})
