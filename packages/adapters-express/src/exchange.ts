import {
  captureNodeAnswer,
  groupHeaders,
  HttpError,
  onNodeHead,
  readTarget,
  type BodyTap,
  type Exchange,
  type StoredResponse,
} from '@keelson/http'
import type { Request, Response } from 'express'

/** An Express request and its response as an Exchange. */
export function expressExchange(req: Request, res: Response, tap: BodyTap): Exchange {
  const { path, query } = readTarget(req.originalUrl)
  const { socket } = req
  const bytesBefore = socket.bytesWritten
  let searchParams: URLSearchParams | undefined
  let gone: AbortController | undefined
  let body: Promise<Uint8Array> | undefined
  let isCaptured = false

  return {
    method: req.method,
    path,
    raw: req,
    remoteAddress: socket.remoteAddress ?? '',
    get route() {
      const route = req.route as { path: unknown } | undefined
      return route === undefined ? '(none)' : req.baseUrl + String(route.path)
    },
    get searchParams() {
      return (searchParams ??= new URLSearchParams(query))
    },
    get signal() {
      return (gone ??= abortOnLeave(res)).signal
    },
    get headersSent() {
      return res.headersSent
    },
    header: (name) => req.headersDistinct[name.toLowerCase()]?.join(', '),
    headerLines: (name) => req.headersDistinct[name.toLowerCase()] ?? [],
    hideHeader: (name) => void delete req.headers[name.toLowerCase()],
    rawBody: () => (body ??= readBody(req, tap)),
    setHeader(name, value) {
      if (!res.headersSent) res.setHeader(name, value)
    },
    onHead: (f) => onNodeHead(res, f),
    capture(o, save) {
      if (isCaptured) throw new HttpError('CAPTURE_TWICE', 'this answer is captured already')
      isCaptured = true
      captureNodeAnswer(res, { ...o, save }, (response, end) => send(res, response, end))
    },
    send: (response) => send(res, response, (body) => res.end(body)),
    onEnd(f) {
      const report = (): void => {
        f({ status: res.statusCode, bytes: socket.bytesWritten - bytesBefore, aborted: !res.writableFinished })
      }
      if (res.closed) report()
      else res.once('close', report)
    },
  }
}

/** Lets `tap` see the body's bytes on their way into the request's stream, whoever reads it later. */
export function tapBody(req: Request, tap: BodyTap): void {
  if (req.readableDidRead || req.readableLength > 0) return tap.miss()
  if (req.complete) return tap.end()
  const { push } = req
  req.push = (chunk: Uint8Array | null, encoding) => {
    if (chunk === null) tap.end()
    else tap.chunk(chunk)
    // The bytes are kept anyway: whoever waits for them must not wait for a reader that comes later.
    return push.call(req, chunk, encoding) || tap.wanted
  }
}

function readBody(req: Request, tap: BodyTap): Promise<Uint8Array> {
  const bytes = tap.bytes()
  if (tap.wanted) {
    if (req.destroyed) tap.abort()
    else req.once('close', tap.abort)
    // Its flow may have been stopped by a full stream that nobody reads.
    req.socket.resume()
  }
  return bytes
}

/**
 * By `setHeader` and `end`, so that compression that stands outside still works. Of a client that has gone only the
 * socket is dead: who captures hears the end.
 */
async function send(
  res: Response,
  { status, headers, body }: StoredResponse,
  end: (body: Uint8Array) => unknown,
): Promise<void> {
  if (res.destroyed && res.headersSent) return
  res.statusCode = status
  for (const [name, value] of groupHeaders(headers, (name) => res.getHeader(name))) res.setHeader(name, value)
  const handedOver = new Promise<void>((resolve) => res.once('finish', resolve).once('close', resolve))
  end(body)
  if (!res.destroyed) await handedOver
}

function abortOnLeave(res: Response): AbortController {
  const gone = new AbortController()
  const onClose = (): void => {
    if (!res.writableFinished) gone.abort()
  }
  if (res.closed) onClose()
  else res.once('close', onClose)
  return gone
}
