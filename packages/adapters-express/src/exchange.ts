import { isListHeader, type BodyTap, type Exchange, type StoredResponse } from '@keelson/http'
import type { Request, Response } from 'express'

/** An Express request and its response as an Exchange. */
export function expressExchange(req: Request, res: Response, tap: BodyTap): Exchange {
  const [path, query] = splitTarget(req.originalUrl)
  const { socket } = req
  const bytesBefore = socket.bytesWritten
  let searchParams: URLSearchParams | undefined
  let gone: AbortController | undefined
  let body: Promise<Uint8Array> | undefined

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
    rawBody: () => (body ??= readBody(req, tap)),
    setHeader(name, value) {
      if (!res.headersSent) res.setHeader(name, value)
    },
    send: (response) => send(res, response),
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

/** By `setHeader` and `end`, so that compression that stands outside still works. */
async function send(res: Response, { status, headers, body }: StoredResponse): Promise<void> {
  if (res.destroyed) return
  res.statusCode = status
  for (const [name, values] of Object.values(groupByName(headers))) {
    const before = isListHeader(name) ? [res.getHeader(name) ?? []].flat() : []
    const all = [...before.map(String), ...values]
    res.setHeader(name, all.length === 1 ? all[0]! : all)
  }
  const handedOver = new Promise<void>((resolve) => res.once('finish', resolve).once('close', resolve))
  res.end(body)
  await handedOver
}

/** Lines of one name under its first spelling: `appendHeader` would double what the framework has set. */
function groupByName(headers: StoredResponse['headers']): Record<string, [string, string[]]> {
  const groups: Record<string, [string, string[]]> = Object.create(null)
  for (const [name, value] of headers) (groups[name.toLowerCase()] ??= [name, []])[1].push(value)
  return groups
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

/** Path and query of a request target, untouched; also in its absolute form (RFC 9112, section 3.2). */
function splitTarget(target: string): [path: string, query: string] {
  const origin = target.startsWith('/') ? '' : (/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i.exec(target)?.[0] ?? '')
  const [path, ...query] = target.slice(origin.length).split('?')
  return [path || '/', query.join('?')]
}
