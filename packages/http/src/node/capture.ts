import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { types } from 'node:util'
import type { StoredResponse } from '@keelson/kernel'
import { answerTap, type AnswerTap, type AnswerTapParts } from '../answer-tap.ts'
import type { Headers } from '../exchange.ts'
import { headersOf, setOnly, takeHead } from './head.ts'

/** By these two Node itself refuses late headers and late writes. */
interface Guards {
  _header: string | null
  finished: boolean
}

const HELD = 'held'
const node = ServerResponse.prototype
/** Node 22 computes `writableFinished` from `finished`; a property over it is slow. */
const IS_COMPUTED = Reflect.get(node, 'writableFinished', { finished: true, outputSize: 0 })

/** `before`: default what stands there now. */
type NodeCaptureParts = Pick<AnswerTapParts, 'maxBytes' | 'hold' | 'save'> & Partial<Pick<AnswerTapParts, 'before'>>

/** The answer that a handler made. */
type Send = (response: StoredResponse, end: (body: Uint8Array | string) => unknown) => Promise<void>

/**
 * As {@link Exchange.capture}, on an answer of node:http. Patches this one response: its bytes are kept and leave when
 * they may; to the handler they look as if they had left. What stands outside, such as compression, is underneath and
 * gets what leaves. `send` sends another answer by the `end` of that. For adapters.
 */
export function captureNodeAnswer(
  res: ServerResponse & { [CAPTURE]?: NodeCapture },
  o: NodeCaptureParts,
  send: Send,
): void {
  const capture = new NodeCapture(res, o, send)
  if (res[CAPTURE] !== undefined)
    return void Object.assign(
      res,
      methodsOf(() => capture),
    )
  res[CAPTURE] = capture
  Object.assign(res, METHODS)
}

const CAPTURE: unique symbol = Symbol('keelson.capture')

type Methods = Pick<ServerResponse, 'writeHead' | 'write' | 'end' | 'flushHeaders' | 'destroy'>

function methodsOf(captureOf: (res: ServerResponse & { [CAPTURE]?: NodeCapture }) => NodeCapture): Methods {
  return {
    writeHead(this: ServerResponse, ...args: unknown[]) {
      return captureOf(this).writeHead(args)
    },
    write(this: ServerResponse, ...args: unknown[]) {
      return captureOf(this).write(args)
    },
    end(this: ServerResponse, ...args: unknown[]) {
      return captureOf(this).end(args)
    },
    flushHeaders(this: ServerResponse) {
      captureOf(this).flushHeaders()
    },
    destroy(this: ServerResponse, error?: Error) {
      return captureOf(this).destroy(error)
    },
  }
}

/** Those of all answers, as in head.ts. An answer that is captured twice has its own for the second time. */
const METHODS = methodsOf((res) => res[CAPTURE]!)

/** One answer that is captured, and what its tap needs. */
class NodeCapture implements AnswerTapParts {
  readonly #res: ServerResponse & Guards
  readonly #under: Methods
  readonly #send: Send
  readonly #sendDate: boolean
  readonly #tap: AnswerTap
  readonly before: Headers
  readonly maxBytes: number
  readonly hold: 'last' | 'all'
  readonly save: AnswerTapParts['save']
  readonly isHead: boolean
  #head: { readonly status: number; readonly message: string; readonly isExplicit: boolean } | undefined
  #isImplied = false
  #hasEnded = false
  #isVeiled = false
  #guarded: Guarded | undefined
  #destroyLater: (() => void) | undefined

  constructor(res: ServerResponse, o: NodeCaptureParts, send: Send) {
    const { writeHead, write, end, flushHeaders, destroy, sendDate } = res
    this.#res = res as ServerResponse & Guards
    this.#under = { writeHead, write, end, flushHeaders, destroy }
    this.#send = send
    this.before = o.before ?? headersOf(res)
    this.#sendDate = sendDate
    this.maxBytes = o.maxBytes
    this.hold = o.hold
    this.save = o.save
    this.isHead = res.req.method === 'HEAD'
    this.#tap = answerTap(this)
  }

  isGone(): boolean {
    return this.#res.destroyed
  }

  replace(response: StoredResponse): void {
    const res = this.#res
    this.#unveil()
    res._header = null
    setOnly(res, this.before)
    Object.assign(res, { sendDate: this.#sendDate, statusMessage: '' })
    this.#send(response, (body) => this.#under.end.call(res, body, undefined as never)).then(
      () => this.#destroyLater?.(),
      (error: unknown) => this.fail(error),
    )
  }

  fail(error: unknown): void {
    this.#res.destroy(error as Error)
  }

  writeHead(args: unknown[]): ServerResponse {
    const res = this.#res
    const given = args as Parameters<Methods['writeHead']>
    if (res._header === HELD) return node.writeHead.apply(res, given)
    // Node calls it for implicit headers, when these leave.
    if (this.#head !== undefined || !takeHead(res, args)) return this.#under.writeHead.apply(res, given)
    this.#head = { status: res.statusCode, message: res.statusMessage, isExplicit: !this.#isImplied }
    res._header = HELD
    this.#tap.head(res.statusCode, headersOf(res))
    return res
  }

  write(args: unknown[]): boolean {
    const { chunk, encoding, done } = readWrite(args)
    if (this.#hasEnded || !isContent(chunk)) {
      return this.#refuse(() => node.write.apply(this.#res, args as Parameters<Methods['write']>))
    }
    this.#fixHead()
    const bytes = toBytes(chunk, encoding)
    const go = (then?: () => void): boolean => {
      this.#leave()
      return this.#under.write.call(this.#res, bytes, then as never)
    }
    return this.#tap.chunk(bytes, go, done)
  }

  end(args: unknown[]): ServerResponse {
    const res = this.#res
    const { chunk, encoding, done } = readWrite(args)
    if (this.#hasEnded || (Boolean(chunk) && !isContent(chunk))) {
      return this.#refuse(() => node.end.apply(res, args as Parameters<Methods['end']>))
    }
    this.#fixHead()
    this.#hasEnded = true
    this.#tap.end(isContent(chunk) ? toBytes(chunk, encoding) : NO_BYTES, () => {
      this.#leave()
      // What stands outside may know no third argument.
      this.#under.end.apply(res, (encoding ? [chunk, encoding, done] : [chunk, done]) as never)
      this.#destroyLater?.()
      return true
    })
    if (this.#tap.phase === 'saving') {
      this.#veil()
      this.#guard(res.socket)
    }
    return res
  }

  flushHeaders(): void {
    if (this.#hasEnded) return
    this.#fixHead()
    this.#tap.flush((then) => {
      this.#leave()
      this.#under.flushHeaders.call(this.#res)
      if (then !== undefined) process.nextTick(then)
      return true
    })
  }

  destroy(error: Error | undefined): ServerResponse {
    const res = this.#res
    // An answer that has ended has left, as the handler sees it: what fails behind it must not take it back.
    if (this.#hasEnded && this.#tap.phase === 'saving' && !res.destroyed) {
      this.destroyLater(() => void this.#under.destroy.call(res, error))
      return res
    }
    // When the client has left, the handler may still end its answer.
    if (!res.destroyed) this.#tap.abandon()
    return this.#under.destroy.call(res, error)
  }

  /** Once the answer has left. */
  destroyLater(destroy: () => void): void {
    this.#destroyLater ??= destroy
  }

  /** The head is fixed, as Node's own first write does it. */
  #fixHead(): void {
    if (this.#head !== undefined) return
    this.#isImplied = true
    try {
      this.#res.writeHead(this.#res.statusCode)
    } finally {
      this.#isImplied = false
    }
  }

  /** The answer looks ended. Not to what stands outside: it may still write what it was given before. */
  #veil(): void {
    if (this.#under.write !== node.write || this.#under.end !== node.end) return
    this.#isVeiled = this.#res.finished = true
    if (IS_COMPUTED) Object.defineProperty(this.#res, 'writableFinished', { value: false, configurable: true })
  }

  /** Express itself destroys the connection when a handler throws behind its answer. */
  #guard(socket: Guarded | null): void {
    if (socket === null || this.#res.req.httpVersionMajor >= 2) return
    if (socket[GUARD] === undefined) {
      socket[GUARD] = { destroy: socket.destroy, answer: undefined }
      socket.destroy = destroyGuarded
    }
    socket[GUARD].answer = this
    this.#guarded = socket
  }

  #unveil(): void {
    if (this.#guarded !== undefined) this.#guarded[GUARD]!.answer = undefined
    if (!this.#isVeiled) return
    this.#isVeiled = this.#res.finished = false
    if (IS_COMPUTED) delete (this.#res as { writableFinished?: boolean }).writableFinished
  }

  /** Node's own answer to what it does not take. What stands outside would take it for a real call. */
  #refuse<R>(call: () => R): R {
    const { finished } = this.#res
    this.#res.finished ||= this.#hasEnded
    try {
      return call()
    } finally {
      this.#res.finished = finished
    }
  }

  /** What the handler was shown becomes true. */
  #leave(): void {
    const res = this.#res
    this.#unveil()
    if (this.#head === undefined || res._header !== HELD) return
    res._header = null
    res.statusCode = this.#head.status
    res.statusMessage = this.#head.message
    if (this.#head.isExplicit) this.#under.writeHead.call(res, this.#head.status)
  }
}

/** A connection, the answer on it that waits to be saved, and its `destroy` before ours. */
interface Guarded extends Socket {
  [GUARD]?: { readonly destroy: Socket['destroy']; answer: NodeCapture | undefined }
}
const GUARD: unique symbol = Symbol('keelson.guard')

/** One for all connections, as in head.ts. On one that failed or whose client has left nothing can leave any more. */
function destroyGuarded(this: Guarded, error?: Error): Socket {
  const { destroy, answer } = this[GUARD]!
  if (answer === undefined || error || this.writableEnded) return destroy.call(this, error)
  answer.destroyLater(() => void this.destroy())
  return this
}

const NO_BYTES = new Uint8Array(0)

/** The overloads of `write` and `end`. */
function readWrite(args: readonly unknown[]): {
  chunk: unknown
  encoding: BufferEncoding | undefined
  done: (() => void) | undefined
} {
  const [chunk, encoding] = args.filter((one) => typeof one !== 'function') as [unknown, BufferEncoding?]
  return { chunk, encoding, done: args.find((one) => typeof one === 'function') as (() => void) | undefined }
}

function isContent(chunk: unknown): chunk is string | Uint8Array {
  return typeof chunk === 'string' || types.isUint8Array(chunk)
}

/** A copy: the writer may fill its buffer again. */
function toBytes(chunk: string | Uint8Array, encoding: BufferEncoding | undefined): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : Buffer.from(chunk)
}
