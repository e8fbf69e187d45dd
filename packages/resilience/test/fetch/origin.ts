import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A request as it arrived. */
interface Arrived {
  readonly method: string
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

/** A real server. */
export interface Origin {
  readonly url: string
  readonly host: string
  readonly arrived: Arrived[]
  /** How many connections were made. */
  connections: number
  readonly open: Set<Socket>
  /** Answers that have neither been taken whole nor given up. */
  readonly underWay: Set<ServerResponse>
  close(): Promise<void>
}

/** `answer` is asked for each request, when all of it is here; `n` counts from 0. */
export async function startOrigin(
  answer: (res: ServerResponse, n: number, req: IncomingMessage, body: string) => unknown,
): Promise<Origin> {
  const arrived: Arrived[] = []
  const open = new Set<Socket>()
  const underWay = new Set<ServerResponse>()
  const server = createServer((req, res) => {
    underWay.add(res)
    res.on('close', () => underWay.delete(res))
    const chunks: Buffer[] = []
    req.on('data', (chunk: Buffer) => chunks.push(chunk))
    req.on('error', () => {})
    req.on('end', () => {
      const body = Buffer.concat(chunks).toString('latin1')
      arrived.push({ method: req.method!, path: req.url!, headers: req.headers, body })
      void answer(res, arrived.length - 1, req, body)
    })
  })
  server.on('connection', (socket) => {
    origin.connections++
    open.add(socket)
    socket.on('close', () => open.delete(socket))
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const origin: Origin = {
    url: `http://127.0.0.1:${port}`,
    host: `127.0.0.1:${port}`,
    arrived,
    connections: 0,
    open,
    underWay,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return origin
}
