/** Load for an HTTP server: keep-alive sockets that each have one request in flight, as light as it gets. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { Figures } from './case.ts'
import { figuresOfLatencies } from './closed-loop.ts'

/** What one request is made of. */
export interface Requests {
  readonly port: number
  readonly connections: number
  readonly path: string
  /** Of a POST; without it requests are GET. */
  readonly body?: object
  /** What is answered; default any 2xx. */
  readonly status?: number
  /** Called for each request: its `Idempotency-Key`. */
  readonly keyOf?: (connection: number) => string
  /** Each request has the ETag of an answer before it. */
  readonly hasTag?: boolean
}

/** New connections send requests for `forMs`. Rejects on an answer of another status. */
export async function loadOverHttp(o: Requests, forMs: number): Promise<{ figures: Figures; answered: number }> {
  const requestOf = await requestsOf(o)
  // Opened anew: a server closes what was idle for a round.
  const sockets = await Promise.all(Array.from({ length: o.connections }, () => open(o.port)))
  const latencies: number[] = []
  const beginsMs = performance.now()
  const endsMs = beginsMs + forMs
  try {
    await Promise.all(
      sockets.map((socket, connection) => exchanges(socket, () => requestOf(connection), latencies, endsMs, o.status)),
    )
  } finally {
    for (const socket of sockets) socket.destroy()
  }
  return { figures: figuresOfLatencies(latencies, performance.now() - beginsMs), answered: latencies.length }
}

/** The bytes of the next request of a connection. */
async function requestsOf(o: Requests): Promise<(connection: number) => string> {
  const where = `${o.path} HTTP/1.1\r\nHost: 127.0.0.1:${o.port}\r\n`
  if (o.body === undefined) {
    const tag = o.hasTag === true ? await tagOf(`http://127.0.0.1:${o.port}${o.path}`) : undefined
    const request = `GET ${where}${tag === undefined ? '' : `If-None-Match: ${tag}\r\n`}\r\n`
    return () => request
  }
  const body = JSON.stringify(o.body)
  const head =
    `POST ${where}Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` +
    'Idempotency-Key: '
  return (connection) => `${head}${o.keyOf!(connection)}\r\n\r\n${body}`
}

async function tagOf(url: string): Promise<string> {
  const { headers } = await fetch(url)
  const tag = headers.get('etag')
  if (tag === null) throw new Error(`no ETag: ${url}`)
  return tag
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  await once(socket, 'connect')
  return socket
}

/** One request after the other until `endsMs`. Callbacks, not promises: the load shares the machine with the server. */
function exchanges(
  socket: Socket,
  requestOf: () => string,
  latencies: number[],
  endsMs: number,
  status: number | undefined,
): Promise<void> {
  const expected = `HTTP/1.1 ${status ?? 2}`
  return new Promise((resolve, reject) => {
    let startMs = 0
    let answer = ''
    const next = (): void => {
      startMs = performance.now()
      if (startMs >= endsMs) resolve()
      else socket.write(requestOf(), 'latin1')
    }
    socket.on('data', (chunk) => {
      answer = answer === '' ? chunk.toString('latin1') : answer + chunk.toString('latin1')
      const length = lengthOf(answer)
      if (length === undefined || answer.length < length) return
      if (!answer.startsWith(expected)) return reject(new Error(`not ${expected}: ${answer}`))
      answer = ''
      latencies.push(performance.now() - startMs)
      next()
    })
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('the server closed the connection')))
    next()
  })
}

/** Of head and body; undefined while the head is not all there. */
function lengthOf(answer: string): number | undefined {
  const headEnds = answer.indexOf('\r\n\r\n')
  if (headEnds === -1) return undefined
  if (answer.startsWith('HTTP/1.1 304')) return headEnds + 4
  // Fastify writes it in lower case.
  const at = answer.search(/\r\ncontent-length: /i)
  if (at === -1 || at > headEnds) throw new Error(`an answer without Content-Length: ${answer}`)
  return headEnds + 4 + Number.parseInt(answer.slice(at + 18, at + 28), 10)
}
