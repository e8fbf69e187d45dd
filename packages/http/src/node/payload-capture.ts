import { validateHeaderName, validateHeaderValue, type ServerResponse } from 'node:http'
import { finished, Readable } from 'node:stream'
import type { ReadableStream as WebStream } from 'node:stream/web'
import { types } from 'node:util'
import type { StoredResponse } from '@keelson/kernel'
import { answerTap, type AnswerTap } from '../answer-tap.ts'
import type { CaptureOptions, Exchange, Headers } from '../exchange.ts'
import { groupHeaders } from '../list-header.ts'
import { captureNodeAnswer } from './capture.ts'
import { hasFinished } from './has-finished.ts'
import { setOnly } from './head.ts'
import { send } from './send.ts'

type HeaderValues = Readonly<Record<string, number | string | readonly string[] | undefined>>

/** The reply of a framework that hands answers on as payloads, such as Fastify's. */
export interface PayloadReply {
  readonly raw: ServerResponse
  readonly statusCode: number
  /** Its own headers and those of `raw`. */
  getHeaders(): HeaderValues
  code(status: number): unknown
  header(name: string, value: string | string[]): unknown
  /** The framework answers nothing more. */
  hijack(): unknown
}

/** One answer that is captured as a payload. */
export interface PayloadCapture {
  /** An answer is on its way that waits to be saved: nothing else may be answered. */
  readonly isHeld: boolean
  /**
   * A payload on its way to the client; resolves with what is to go on in its place, when that may: for a stream at once,
   * for anything else when it is saved; never, when another answer was sent. A second payload goes on only behind the
   * first, untouched, and undefined as such never.
   */
  payload(payload: unknown): Promise<unknown>
}

const NO_BYTES = new Uint8Array(0)

/**
 * As {@link Exchange.capture}, in front of whatever compresses payloads: strings, bytes, streams of Node and the web, web
 * Responses. An answer behind a hijack is captured as its bytes reach node:http; one that is neither is 'abandoned'. For
 * adapters.
 */
export function capturePayload(reply: Captured<PayloadReply>, o: CaptureOptions, save: Save): PayloadCapture {
  return new KeptPayload(reply, o, save)
}

type Save = Parameters<Exchange['capture']>[1]

const CAPTURE: unique symbol = Symbol('keelson.capture')

type Captured<Of> = Of & { [CAPTURE]?: KeptPayload }

/** One for all replies, as in head.ts. */
function hijackCaptured(this: Captured<PayloadReply>): unknown {
  return this[CAPTURE]!.hijack()
}

/** One for all answers. */
function destroyCaptured(this: Captured<ServerResponse>, error?: Error): ServerResponse {
  return this[CAPTURE]!.destroy(error)
}

class KeptPayload implements PayloadCapture {
  readonly #reply: PayloadReply
  readonly #res: ServerResponse
  readonly #hijack: PayloadReply['hijack']
  readonly #destroy: ServerResponse['destroy']
  readonly #before: Headers
  readonly #o: CaptureOptions
  readonly #save: Save
  /** The answer that is handed on as a payload. */
  #current: AnswerTap | undefined
  /** What the framework pipes of it. */
  #out: Readable | undefined
  #isHijacked = false
  #isClosed = false
  #isBroken = false

  constructor(reply: Captured<PayloadReply>, o: CaptureOptions, save: Save) {
    const res: Captured<ServerResponse> = reply.raw
    this.#reply = reply
    this.#res = res
    this.#hijack = reply.hijack
    this.#destroy = res.destroy
    this.#before = linesOf(reply.getHeaders())
    this.#o = o
    this.#save = save
    reply[CAPTURE] = res[CAPTURE] = this
    reply.hijack = hijackCaptured
    res.destroy = destroyCaptured
    res.once('close', () => this.#closed())
  }

  get isHeld(): boolean {
    return this.#current !== undefined && this.#current.phase !== 'through'
  }

  async payload(given: unknown): Promise<unknown> {
    // What an async handler resolves with behind its own `reply.send()` must not overtake the answer that is held.
    if (this.#isBroken) return given
    if (this.isHeld || (this.#current !== undefined && given === undefined)) return new Promise(() => {})
    if (this.#current !== undefined || this.#isHijacked) return given
    const payload = unpacked(this.#reply, given)
    if (payload === undefined || payload === null) return this.#whole(NO_BYTES, payload)
    if (isContent(payload)) return this.#whole(toBytes(payload), payload)
    const source = streamOf(payload)
    if (source === undefined) return payload // The framework itself refuses it.
    return isBodyless(this.#reply.statusCode) ? this.#whole(NO_BYTES, payload) : this.#held(source)
  }

  hijack(): unknown {
    const res = this.#res
    this.#reply.hijack = this.#hijack
    this.#isHijacked = true
    if (this.#current === undefined) {
      if (res.req.httpVersionMajor >= 2) this.#captureEnd()
      else {
        const o = { ...this.#o, before: this.#before, save: this.#save }
        captureNodeAnswer(res, o, (response, end) => send(res, response, end))
      }
    }
    return this.#reply.hijack()
  }

  destroy(error: Error | undefined): ServerResponse {
    // A client that has left has closed it before: this is the handler, and it breaks its answer off.
    if (!this.#isClosed) {
      this.#isBroken = true
      this.#current?.abandon()
    }
    return this.#destroy.call(this.#res, error)
  }

  /** Over HTTP/2 what is written at once, such as a problem. */
  #captureEnd(): void {
    const res = this.#res
    const { end } = res
    res.end = (...args: unknown[]) => {
      const go = (): boolean => {
        Reflect.apply(end, res, args)
        return true
      }
      res.end = end
      const [chunk] = args
      if (res.headersSent) go()
      else this.#begin(linesOf(res.getHeaders())).end(isContent(chunk) ? toBytes(chunk) : NO_BYTES, go)
      return res
    }
  }

  /**
   * Written to `raw` past the framework, or broken off there: nobody has seen it, only that it has begun a stream of
   * events. A client that has left is no end: the handler goes on.
   */
  #closed(): void {
    const res = this.#res
    this.#isClosed = true
    const isSeen = this.#current !== undefined || (this.#isHijacked && res.req.httpVersionMajor < 2)
    if (isSeen) return
    const isEvents = String(res.getHeader('content-type')).startsWith('text/event-stream')
    const head = { status: res.statusCode, headers: linesOf(this.#reply.getHeaders()) }
    if (isEvents) this.#save({ kind: 'part', ...head, why: 'stream' }).catch(() => {})
    else if (this.#isBroken || hasFinished(res)) this.#save({ kind: 'abandoned' }).catch(() => {})
  }

  /** The answer begins: its head is fixed. */
  #begin(headers: Headers): AnswerTap {
    const res = this.#res
    const fail = (error: unknown): void => void res.destroy(error as Error)
    const wasHijacked = this.#isHijacked
    const tap = answerTap({
      maxBytes: this.#o.maxBytes,
      hold: this.#o.hold,
      before: this.#before,
      save: this.#save,
      isHead: res.req.method === 'HEAD',
      isGone: () => res.destroyed,
      fail,
      replace: (response) => {
        if (this.#isHijacked !== wasHijacked) return
        if (!this.#isHijacked) this.#hijack.call(this.#reply)
        setOnly(res, this.#before)
        this.#out?.unpipe()
        send(res, response, (body) => res.end(body)).catch(fail)
      },
    })
    this.#current = tap
    tap.head(this.#reply.statusCode, headers)
    return tap
  }

  #whole(bytes: Uint8Array, payload: unknown): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const headers = this.#reply.getHeaders()
    const restore = keepHead(this.#reply, headers)
    // Whatever length the handler said, the framework says the true one.
    const lines = headersOf(headers, this.#reply.statusCode, payload).filter(([name]) => name !== 'content-length')
    this.#begin(lines).end(bytes, () => {
      // What a handler throws behind its own answer may have been answered meanwhile, or have changed its head.
      restore()
      if (!this.#isHijacked) resolve(payload)
      return true
    })
    return promise
  }

  /** What `source` yields, one chunk late. */
  #held(source: Readable): Readable {
    const tap = this.#begin(headersOf(this.#reply.getHeaders(), this.#reply.statusCode, source))
    const out = new Readable({
      read: () => void source.resume(),
      destroy(error, done) {
        // A client that has left is no end either, as long as the answer is kept.
        if (tap.phase === 'keeping') source.resume()
        else source.destroy()
        done(error)
      },
    })
    this.#out = out
    // The framework may listen later than the source fails.
    out.on('error', () => {})
    source.pause().on('data', (chunk: unknown) => {
      if (!isContent(chunk)) return source.destroy(new TypeError('a stream as payload must yield strings or bytes'))
      const isReady = tap.chunk(toBytes(chunk), () => out.destroyed || out.push(chunk))
      if (!isReady) source.pause()
      if (out.destroyed && tap.phase !== 'keeping') source.destroy()
    })
    finished(source, { writable: false }, (error) => {
      if (!error) return tap.end(NO_BYTES, () => out.push(null))
      // As long as nothing has left, the framework answers the error instead: that answer comes by here, too.
      if (tap.phase === 'keeping' && !this.#res.headersSent && !this.#res.destroyed) this.#current = undefined
      else tap.abandon()
      out.destroy(error)
    })
    return out
  }
}

/** From now on answers go by node:http, with the headers that the framework has collected. For adapters. */
export function takeReply(reply: PayloadReply): void {
  reply.hijack()
  const { raw } = reply
  if (raw.headersSent) return
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value === undefined) continue
    try {
      raw.setHeader(name, value)
    } catch {
      // What node:http refuses would take the answer away that says so.
    }
  }
}

/** Gives an answer to the framework as a handler's own, so that its hooks see it. For adapters. */
export function giveReply(
  reply: PayloadReply & { removeHeader(name: string): unknown; send(payload?: Uint8Array): unknown },
  { status, headers, body }: StoredResponse,
): void {
  reply.code(status)
  for (const [name, value] of groupHeaders(headers, (name) => reply.getHeaders()[name.toLowerCase()])) {
    reply.removeHeader(name)
    reply.header(name, value)
  }
  reply.send(body.length === 0 ? undefined : Buffer.from(body))
}

/** Remembers status and headers. Cookies are added to a reply, never replaced. */
function keepHead(reply: PayloadReply, kept: HeaderValues): () => void {
  const { raw, statusCode } = reply
  return () => {
    if (raw.headersSent || raw.statusCode === statusCode) return
    raw.statusCode = statusCode
    const { 'set-cookie': _, ...headers } = kept
    for (const [name, value] of Object.entries(headers)) if (value !== undefined) reply.header(name, value as string)
  }
}

/** What a web Response says of itself comes before what a framework makes of it. */
function unpacked(reply: PayloadReply, payload: unknown): unknown {
  if (Object.prototype.toString.call(payload) !== '[object Response]') return payload
  const { status, headers, body, bodyUsed } = payload as Response
  if (bodyUsed) return payload
  reply.code(status)
  for (const [name, value] of headers) reply.header(name, value)
  return body
}

function streamOf(payload: unknown): Readable | undefined {
  const { pipe, getReader, locked } = payload as Partial<Readable & ReadableStream>
  if (typeof pipe === 'function') return payload as Readable
  return typeof getReader === 'function' && locked !== true ? Readable.fromWeb(payload as WebStream) : undefined
}

/**
 * An answer without content has no headers of content, whatever its handler gave.
 * Throws for what node:http will refuse: nothing is saved then, and the framework answers the error.
 */
function headersOf(headers: HeaderValues, status: number, payload: unknown): Headers {
  const lines = linesOf(headers)
  for (const [name, value] of lines) {
    validateHeaderName(name)
    validateHeaderValue(name, value)
  }
  if (payload === undefined || payload === null || !isBodyless(status)) return lines
  return lines.filter(([name]) => name !== 'content-type' && name !== 'content-length')
}

function linesOf(headers: HeaderValues): Headers {
  const lines: [string, string][] = []
  for (const name of Object.keys(headers)) {
    const value = headers[name]
    if (Array.isArray(value)) for (const one of value) lines.push([name, String(one)])
    else if (value !== undefined) lines.push([name, String(value)])
  }
  return lines
}

function isBodyless(status: number): boolean {
  return status < 200 || status === 204
}

function isContent(chunk: unknown): chunk is string | Uint8Array {
  return typeof chunk === 'string' || types.isUint8Array(chunk)
}

function toBytes(chunk: string | Uint8Array): Uint8Array {
  return typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}
