import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'

export interface Served {
  readonly port: number
  readonly server: Server
  close(): Promise<void>
}

export async function serve(app: RequestListener): Promise<Served> {
  const server = createServer(app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    server,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

export interface Given {
  readonly method?: string
  readonly path?: string
  readonly headers?: readonly (readonly [string, string])[]
  readonly body?: string | Uint8Array
}

/** An answer as it came over the wire. */
export interface Answer {
  readonly status: number
  readonly lines: readonly (readonly [string, string])[]
  readonly body: Buffer
  header(name: string): string | undefined
  json(): Record<string, unknown>
}

/** Sends bytes that no HTTP client would let through. */
export async function send(port: number, given: Given = {}): Promise<Answer> {
  return readAnswer(await sendRaw(port, given))
}

/** The same, answered with every byte as it came. */
export async function sendRaw(port: number, given: Given = {}): Promise<Buffer> {
  const { body = '' } = given
  const socket = open(port, given, Buffer.byteLength(body))
  socket.write(body)
  const chunks: Buffer[] = []
  for await (const chunk of socket) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

/** The same with JSON and an idempotency key. */
export function post(port: number, key: string | undefined, body: unknown, given: Given = {}): Promise<Answer> {
  const keyed = key === undefined ? [] : [['Idempotency-Key', key] as const]
  const headers = [['Content-Type', 'application/json'] as const, ...keyed, ...(given.headers ?? [])]
  return send(port, { method: 'POST', path: '/orders', ...given, headers, body: JSON.stringify(body) })
}

/** A request whose body the caller writes himself. */
export function open(port: number, given: Given, bodyBytes: number): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(head(given, bodyBytes))
  return socket
}

function head({ method = 'GET', path = '/', headers = [] }: Given, bodyBytes: number): Buffer {
  const lines = [['Host', 'test'], ['Connection', 'close'], ['Content-Length', String(bodyBytes)], ...headers]
  const text = [`${method} ${path} HTTP/1.1`, ...lines.map(([name, value]) => `${name}: ${value}`), '', ''].join('\r\n')
  return Buffer.from(text, 'latin1')
}

/** An answer as far as it has come. */
export function readAnswer(bytes: Buffer): Answer {
  const end = bytes.indexOf('\r\n\r\n')
  // What comes before the answer, such as 103.
  if (/^HTTP\/1.1 1(?!01)/.test(bytes.toString('latin1', 0, 16))) return readAnswer(bytes.subarray(end + 4))
  const [first = '', ...rest] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const lines = rest.map(
    (line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()] as const,
  )
  const isChunked = lines.some(([name, value]) => name.toLowerCase() === 'transfer-encoding' && value === 'chunked')
  const content = bytes.subarray(end < 0 ? bytes.length : end + 4)
  const body = isChunked ? dechunk(content) : content
  return {
    status: Number(first.split(' ')[1]),
    lines,
    body,
    header: (name) => lines.find(([one]) => one.toLowerCase() === name.toLowerCase())?.[1],
    json: () => JSON.parse(body.toString()) as Record<string, unknown>,
  }
}

/** RFC 9112, section 7.1. Trailers are dropped. */
function dechunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const line = bytes.indexOf('\r\n', at)
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16)
    if (line < 0 || !(size > 0)) return Buffer.concat(parts)
    parts.push(bytes.subarray(line + 2, line + 2 + size))
    at = line + 2 + size + 2
  }
}
