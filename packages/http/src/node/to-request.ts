import type { IncomingMessage } from 'node:http'
import type { Writable } from 'node:stream'
import type { UnderlyingSource } from 'node:stream/web'
import type { TLSSocket } from 'node:tls'
import type { Exchange } from '../exchange.ts'
import { problem } from '../problem.ts'
import { readTarget } from '../request-target.ts'

/** Of a request target: no path, user or blank can come in with it. */
const HOST = /^[\w.~%-]+(:\d+)?$|^\[[\da-f:.]+\](:\d+)?$/i
/** What a web Request cannot be. */
const NO_WEB_METHOD = /^(CONNECT|TRACE|TRACK)$/i

/** What of an exchange is needed. */
type Asked = Pick<Exchange, 'signal' | 'rawBody' | 'onEnd'>

/**
 * A request of node:http as a web Request for `target`, what of the path is left behind a mount point. Its body streams,
 * or is what `x` has kept if a body parser has read it; its signal aborts when the client leaves. Protocol and host are
 * those of the connection: forwarded headers are anybody's.
 * @throws HttpProblem 400 'host-malformed', 501 'method-not-implemented'
 */
export function toRequest(req: IncomingMessage, x: Asked, target: string): Request {
  const method = req.method ?? 'GET'
  if (NO_WEB_METHOD.test(method)) throw problem(501, 'method-not-implemented')
  const { path, query } = readTarget(target)
  const hasBody = method !== 'GET' && method !== 'HEAD'
  return new Request(originOf(req) + path + (query === '' ? '' : `?${query}`), {
    method,
    headers: headersOf(req),
    signal: x.signal,
    ...(hasBody ? { body: bodyOf(req, x), duplex: 'half' } : {}),
  })
}

function originOf({ socket, headers }: IncomingMessage): string {
  const protocol = (socket as Partial<TLSSocket>).encrypted === true ? 'https' : 'http'
  const host = headers.host ?? (headers[':authority'] as string | undefined) ?? 'localhost'
  const origin = `${protocol}://${host}`
  // A port or an address may have too large a number.
  if (!HOST.test(host) || !URL.canParse(origin)) throw problem(400, 'host-malformed')
  return origin
}

function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers()
  for (let i = 0; i < rawHeaders.length; i += 2) {
    // HTTP/2 has its request line among them.
    if (!rawHeaders[i]!.startsWith(':')) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!)
  }
  return headers
}

function bodyOf(req: IncomingMessage, x: Asked): ReadableStream<Uint8Array> {
  return req.readableDidRead ? kept(x) : streaming(req, x)
}

function kept(x: Asked): ReadableStream<Uint8Array> {
  return new ReadableStream({
    async pull(controller) {
      const bytes = await x.rawBody()
      if (bytes.length > 0) controller.enqueue(bytes)
      controller.close()
    },
  })
}

/** Not by `Readable.toWeb`: it buffers thousands of chunks, and to cancel its body ends the connection. */
function streaming(req: IncomingMessage, x: Asked): ReadableStream<Uint8Array> {
  let isOver = false
  const source: UnderlyingSource<Uint8Array> = {
    start(controller) {
      const end = (error?: Error): void => {
        if (isOver) return
        isOver = true
        if (error === undefined) controller.close()
        else controller.error(error)
      }
      // A listener makes a stream flow, unless it was paused.
      req.pause().on('data', (chunk: Uint8Array) => {
        if (isOver) return
        controller.enqueue(chunk)
        req.pause()
      })
      req.once('end', () => end()).once('close', () => end(new Error('the body ended early')))
      req.on('error', end)
      // What is left must not stand in front of the connection's next request; that of HTTP/2 would hold its answer open.
      const drop = (): void => {
        end(new Error('the answer is over'))
        req.resume()
      }
      x.onEnd(drop)
      ;(req as { stream?: Writable }).stream?.once('finish', drop)
    },
    pull: () => void req.resume(),
    cancel() {
      isOver = true
      req.resume()
    },
  }
  return new ReadableStream(source, { highWaterMark: 0 })
}
