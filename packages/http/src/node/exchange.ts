import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { StoredResponse, Tx } from '@keelson/kernel'
import { UNIX } from '../addresses.ts'
import { bodyTap, type BodyTap } from '../body-tap.ts'
import { HttpError } from '../error.ts'
import type { CaptureOptions, Exchange } from '../exchange.ts'
import type { FetchHandler } from '../fetch-handler.ts'
import type { Http } from '../http.ts'
import type { Operation, Work } from '../operation.ts'
import { readTarget } from '../request-target.ts'
import type { Route } from '../route.ts'
import { captureNodeAnswer } from './capture.ts'
import { hasFinished } from './has-finished.ts'
import { onNodeHead } from './head.ts'
import { holdAnswer } from './hold-answer.ts'
import { capturePayload, takeReply, type PayloadCapture, type PayloadReply } from './payload-capture.ts'
import { readBody, tapBody } from './request-body.ts'
import { sendWeb } from './send-web.ts'
import { send } from './send.ts'
import { toRequest } from './to-request.ts'

/** What an adapter on node:http knows of its framework's requests: one for all of them. For adapters. */
export interface NodeFrame<Raw> {
  /** The target as the client sent it, whatever a router has cut off: '/orders?page=2'. */
  target(raw: Raw): string
  /** As {@link Exchange.route}; called late. */
  route(raw: Raw): string
  /** As {@link Exchange.capture}, at most once a request. Default: the bytes that reach the response of node:http. */
  capture?(raw: Raw, ...args: Parameters<Exchange['capture']>): void
  /**
   * The reply of a framework that hands answers on as payloads: they are captured as such, see {@link
   * NodeExchange.payload}, and what we answer by node:http is taken from it.
   */
  reply?(raw: Raw): PayloadReply | undefined
}

/** An exchange over node:http. */
export interface NodeExchange extends Exchange {
  /**
   * Answers by an API that is mounted, and sees of the path only `target`; what the API or its body throws is answered
   * as by `fail`. Settles when the answer was handed over, and never rejects.
   */
  serve(http: Pick<Http, 'problem'>, api: FetchHandler, target: string): Promise<void>
  /** A payload on its way to the client, if there is a `reply`: resolves with what is to go on in its place. */
  payload(payload: unknown): Promise<unknown>
  /**
   * As {@link Route.transact}; what the handler answers by itself does not leave: it is refused with INPUT_INVALID, and
   * its rows are taken back. While it runs, `tx` and `op` are there.
   */
  transact(route: Route, work: Work): Promise<StoredResponse>
  readonly tx?: Tx | undefined
  readonly op?: Operation | undefined
  /** The answer to come is not the handler's: it was never called, and its key is free again. */
  disown(): void
  /** Answers with the problem of what was thrown; an answer that has begun is broken off. Never rejects. */
  fail(http: Pick<Http, 'problem'>, error: unknown): Promise<void>
  /** Answers that no route matched. Never rejects. */
  unmatched(http: Pick<Http, 'problem'>): Promise<void>
}

/** The exchanges of one adapter. */
export interface NodeExchanges<Raw> {
  /** The exchange of a request, made when it is asked for first: from then on the bytes of its body are kept. */
  of(req: IncomingMessage, res: ServerResponse, raw: Raw): NodeExchange
  has(req: IncomingMessage): boolean
}

/** Requests and answers of node:http as exchanges; bodies are kept up to `maxRawBody` bytes. For adapters. */
export function nodeExchanges<Raw>(frame: NodeFrame<Raw>, maxRawBody: number): NodeExchanges<Raw> {
  // On the request itself: to the collector a WeakMap of short-lived keys costs more than all the rest.
  const EXCHANGE = Symbol('keelson.exchange')
  type Seen = IncomingMessage & { [EXCHANGE]?: NodeExchange }
  return {
    of(req: Seen, res, raw) {
      const known = req[EXCHANGE]
      if (known !== undefined) return known
      const tap = bodyTap(maxRawBody)
      tapBody(req, tap)
      return (req[EXCHANGE] = new FramedExchange(req, res, raw, tap, frame))
    },
    has: (req) => EXCHANGE in req,
  }
}

/** A class: one is made for each request, and an object literal with getters costs ten times as much. */
class FramedExchange<Raw> implements NodeExchange {
  readonly #req: IncomingMessage
  readonly #res: ServerResponse
  readonly #tap: BodyTap
  readonly #frame: NodeFrame<Raw>
  readonly #bytesBefore: number
  readonly raw: Raw
  readonly method: string
  readonly path: string
  readonly query: string
  readonly remoteAddress: string
  tx: Tx | undefined
  op: Operation | undefined
  #searchParams: URLSearchParams | undefined
  #gone: AbortController | undefined
  #body: Promise<Uint8Array> | undefined
  #isCaptured = false
  /** One listener for all: of more than ten Node warns, and frameworks add theirs. */
  #payloads: PayloadCapture | undefined
  #ends: OnEnd[] | undefined
  #isDisowned = false
  #isMounted = false

  constructor(req: IncomingMessage, res: ServerResponse, raw: Raw, tap: BodyTap, frame: NodeFrame<Raw>) {
    const { path, query } = readTarget(frame.target(raw))
    this.#req = req
    this.#res = res
    this.#tap = tap
    this.#frame = frame
    this.#bytesBefore = bytesWritten(req)
    this.raw = raw
    this.method = req.method!
    this.path = path
    this.query = query
    // Now: a socket whose client has hung up does not know any more who that was.
    this.remoteAddress = req.socket.remoteAddress ?? (isUnix(req.socket) ? UNIX : '')
  }

  get route(): string {
    const route = this.#frame.route(this.raw)
    // Its prefix may have been a parameter, so it is no label.
    return this.#isMounted && route === '(none)' ? '(mounted)' : route
  }

  get searchParams(): URLSearchParams {
    return (this.#searchParams ??= new URLSearchParams(this.query))
  }

  get signal(): AbortSignal {
    if (this.#gone === undefined) {
      const gone = (this.#gone = new AbortController())
      this.onEnd(({ aborted }) => {
        if (aborted) gone.abort()
      })
    }
    return this.#gone.signal
  }

  get headersSent(): boolean {
    return this.#res.headersSent
  }

  header(name: string): string | undefined {
    const lines = this.headerLines(name)
    return lines.length === 0 ? undefined : lines.join(', ')
  }

  /** Of `rawHeaders`: HTTP/2 and requests without a socket have no `headersDistinct`, and few names are ever asked for. */
  headerLines(name: string): readonly string[] {
    const { rawHeaders } = this.#req
    const key = name.toLowerCase()
    let lines: string[] | undefined
    for (let i = 0; i < rawHeaders.length; i += 2) {
      const one = rawHeaders[i]!
      if (one.length === key.length && one.toLowerCase() === key) (lines ??= []).push(rawHeaders[i + 1]!)
    }
    return lines ?? NO_LINES
  }

  hideHeader(name: string): void {
    delete this.#req.headers[name.toLowerCase()]
  }

  rawBody(): Promise<Uint8Array> {
    return (this.#body ??= readBody(this.#req, this.#tap))
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
    const saveOwn: typeof save = (captured) =>
      save(this.#isDisowned ? { kind: 'abandoned', hasBegun: false } : captured)
    const reply = this.#reply
    if (reply !== undefined) this.#payloads = capturePayload(reply, o, saveOwn)
    else if (this.#frame.capture !== undefined) this.#frame.capture(this.raw, o, saveOwn)
    else captureNodeAnswer(this.#res, { ...o, save: saveOwn }, (response, end) => send(this.#res, response, end))
  }

  async payload(payload: unknown): Promise<unknown> {
    return this.#payloads === undefined ? payload : this.#payloads.payload(payload)
  }

  async transact(route: Route, work: Work): Promise<StoredResponse> {
    const held = holdAnswer(this.#res, this.#reply)
    try {
      return await route.transact!(this, (tx, op) => {
        this.tx = tx
        this.op = op
        return held.value(() => work(tx, op))
      })
    } finally {
      held.end()
    }
  }

  disown(): void {
    this.#isDisowned = true
  }

  send(response: StoredResponse): Promise<void> {
    this.#take()
    return send(this.#res, response, (body) => this.#res.end(body))
  }

  async serve(http: Pick<Http, 'problem'>, api: FetchHandler, target: string): Promise<void> {
    const { remoteAddress } = this
    this.#isMounted = true
    try {
      const response = await api(toRequest(this.#req, this, target), { remoteAddress })
      this.#take()
      await sendWeb(this.#res, response)
    } catch (error) {
      await this.fail(http, error)
    }
  }

  async fail(http: Pick<Http, 'problem'>, error: unknown): Promise<void> {
    const answer = http.problem(error ?? new Error(`thrown: ${String(error)}`), this)
    // An answer that waits to be saved stands, whatever is thrown behind it.
    if (this.#payloads?.isHeld !== true) await this.#answer(http, answer)
  }

  unmatched(http: Pick<Http, 'problem'>): Promise<void> {
    return this.#answer(http, http.problem(undefined, this))
  }

  async #answer(http: Pick<Http, 'problem'>, answer: StoredResponse): Promise<void> {
    if (this.headersSent) return void this.#res.destroy()
    try {
      await this.send(answer)
    } catch (failure) {
      http.problem(failure, this)
      this.#res.destroy()
    }
  }

  get #reply(): PayloadReply | undefined {
    return this.#frame.reply?.(this.raw)
  }

  /** From now on the framework answers nothing. */
  #take(): void {
    const reply = this.#reply
    if (reply !== undefined) takeReply(reply)
  }

  onEnd(f: OnEnd): void {
    const res: Watched = this.#res
    if (res.closed) return f(this.#end())
    if (this.#ends !== undefined) return void this.#ends.push(f)
    this.#ends = [f]
    if (res[WATCHERS] === undefined) res.on('close', tellEnd)
    ;(res[WATCHERS] ??= []).push(this)
  }

  /** The answer is over. */
  ended(): void {
    const end = this.#end()
    for (const f of this.#ends!) f(end)
  }

  #end(): Parameters<OnEnd>[0] {
    const bytes = Math.max(0, bytesWritten(this.#req) - this.#bytesBefore)
    return { status: this.#res.statusCode, bytes, aborted: !hasFinished(this.#res) }
  }
}

type OnEnd = Parameters<Exchange['onEnd']>[0]

/** A response, and who hears of its end. */
interface Watched extends ServerResponse {
  [WATCHERS]?: { ended(): void }[]
}
const WATCHERS: unique symbol = Symbol('keelson.watchers')

/** One for all responses, see `onNodeHead`. It comes once. */
function tellEnd(this: Watched): void {
  for (const watcher of this[WATCHERS]!) watcher.ended()
}

const NO_LINES: readonly string[] = []

/** A socket whose client has reset it has no peer either, and still an address of its own; one that is destroyed has none. */
function isUnix({ localAddress, destroyed }: Partial<Socket>): boolean {
  return localAddress === undefined && destroyed === false
}

/** A request that was injected has no real socket. */
function bytesWritten({ socket }: IncomingMessage): number {
  return (socket as { bytesWritten?: number }).bytesWritten ?? 0
}
