import {
  captureNodeAnswer,
  groupHeaders,
  HttpError,
  onNodeHead,
  readTarget,
  type BodyTap,
  type CaptureOptions,
  type Exchange,
  type StoredResponse,
} from '@keelson/http'
import type { Request, Response } from 'express'

/** An Express request and its response as an Exchange. */
export function expressExchange(req: Request, res: Response, tap: BodyTap): Exchange {
  return new ExpressExchange(req, res, tap)
}

/** A class: one is made for each request, and an object literal with getters costs ten times as much. */
class ExpressExchange implements Exchange {
  readonly #res: Response
  readonly #tap: BodyTap
  readonly #query: string
  readonly #bytesBefore: number
  readonly raw: Request
  readonly method: string
  readonly path: string
  #searchParams: URLSearchParams | undefined
  #gone: AbortController | undefined
  #body: Promise<Uint8Array> | undefined
  #isCaptured = false

  constructor(req: Request, res: Response, tap: BodyTap) {
    const { path, query } = readTarget(req.originalUrl)
    this.raw = req
    this.#res = res
    this.#tap = tap
    this.method = req.method
    this.path = path
    this.#query = query
    this.#bytesBefore = req.socket.bytesWritten
  }

  get remoteAddress(): string {
    return this.raw.socket.remoteAddress ?? ''
  }

  get route(): string {
    const route = this.raw.route as { path: unknown } | undefined
    return route === undefined ? '(none)' : this.raw.baseUrl + String(route.path)
  }

  get searchParams(): URLSearchParams {
    return (this.#searchParams ??= new URLSearchParams(this.#query))
  }

  get signal(): AbortSignal {
    return (this.#gone ??= abortOnLeave(this.#res)).signal
  }

  get headersSent(): boolean {
    return this.#res.headersSent
  }

  header(name: string): string | undefined {
    return this.raw.headersDistinct[name.toLowerCase()]?.join(', ')
  }

  headerLines(name: string): readonly string[] {
    return this.raw.headersDistinct[name.toLowerCase()] ?? []
  }

  hideHeader(name: string): void {
    delete this.raw.headers[name.toLowerCase()]
  }

  rawBody(): Promise<Uint8Array> {
    return (this.#body ??= readBody(this.raw, this.#tap))
  }

  setHeader(name: string, value: string | readonly string[]): void {
    if (!this.#res.headersSent) this.#res.setHeader(name, value)
  }

  onHead(f: Parameters<Exchange['onHead']>[0]): void {
    onNodeHead(this.#res, f)
  }

  capture(o: CaptureOptions, save: Parameters<Exchange['capture']>[1]): void {
    if (this.#isCaptured) throw new HttpError('CAPTURE_TWICE', 'this answer is captured already')
    this.#isCaptured = true
    captureNodeAnswer(this.#res, { ...o, save }, (response, end) => send(this.#res, response, end))
  }

  send(response: StoredResponse): Promise<void> {
    return send(this.#res, response, (body) => this.#res.end(body))
  }

  onEnd(f: Parameters<Exchange['onEnd']>[0]): void {
    const res = this.#res
    const report = (): void => {
      const bytes = this.raw.socket.bytesWritten - this.#bytesBefore
      f({ status: res.statusCode, bytes, aborted: !res.writableFinished })
    }
    if (res.closed) report()
    else res.once('close', report)
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
    else req.once('close', () => tap.abort())
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
