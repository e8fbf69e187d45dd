import { ServerResponse } from 'node:http'
import { types } from 'node:util'
import type { StoredResponse } from '@keelson/kernel'
import { answerTap, type AnswerTapParts } from '../answer-tap.ts'
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

/**
 * As {@link Exchange.capture}, on an answer of node:http. Patches this one response: its bytes are kept and leave when
 * they may; to the handler they look as if they had left. What stands outside, such as compression, is underneath and
 * gets what leaves. `send` sends another answer by the `end` of that. For adapters.
 */
export function captureNodeAnswer(
  res: ServerResponse,
  o: Pick<AnswerTapParts, 'maxBytes' | 'hold' | 'save'>,
  send: (response: StoredResponse, end: (body: Uint8Array) => unknown) => Promise<void>,
): void {
  const { writeHead, write, end, flushHeaders, destroy, sendDate } = res
  const guards = res as unknown as Guards
  const before = headersOf(res)
  let head: { readonly status: number; readonly message: string; readonly isExplicit: boolean } | undefined
  let isImplied = false
  let hasEnded = false
  let isVeiled = false
  let destroyLater: (() => void) | undefined

  const tap = answerTap({
    ...o,
    isHead: res.req.method === 'HEAD',
    isGone: () => res.destroyed,
    fail,
    replace(response) {
      unveil()
      guards._header = null
      setOnly(res, before)
      Object.assign(res, { sendDate, statusMessage: '' })
      send(response, (body) => end.call(res, body, undefined as never)).then(() => destroyLater?.(), fail)
    },
  })

  function fail(error: unknown): void {
    res.destroy(error as Error)
  }

  /** The head is fixed, as Node's own first write does it. */
  function fixHead(): void {
    if (head !== undefined) return
    isImplied = true
    try {
      res.writeHead(res.statusCode)
    } finally {
      isImplied = false
    }
  }

  /** The answer looks ended. Not to what stands outside: it may still write what it was given before. */
  function veil(): void {
    if (write !== node.write || end !== node.end) return
    isVeiled = guards.finished = true
    if (IS_COMPUTED) Object.defineProperty(res, 'writableFinished', { value: false, configurable: true })
  }

  function unveil(): void {
    if (!isVeiled) return
    isVeiled = guards.finished = false
    if (IS_COMPUTED) delete (res as { writableFinished?: boolean }).writableFinished
  }

  /** Node's own answer to what it does not take. What stands outside would take it for a real call. */
  function refuse<R>(call: () => R): R {
    const { finished } = guards
    guards.finished ||= hasEnded
    try {
      return call()
    } finally {
      guards.finished = finished
    }
  }

  /** What the handler was shown becomes true. */
  function leave(): void {
    unveil()
    if (head === undefined || guards._header !== HELD) return
    guards._header = null
    res.statusCode = head.status
    res.statusMessage = head.message
    if (head.isExplicit) writeHead.call(res, head.status)
  }

  res.writeHead = (...args: unknown[]) => {
    const given = args as Parameters<typeof writeHead>
    if (guards._header === HELD) return node.writeHead.apply(res, given)
    // Node calls it for implicit headers, when these leave.
    if (head !== undefined || !takeHead(res, args)) return writeHead.apply(res, given)
    head = { status: res.statusCode, message: res.statusMessage, isExplicit: !isImplied }
    guards._header = HELD
    tap.head(head.status, headersOf(res))
    return res
  }

  res.write = (...args: unknown[]) => {
    const { chunk, encoding, done } = readWrite(args)
    if (hasEnded || !isContent(chunk)) return refuse(() => node.write.apply(res, args as Parameters<typeof write>))
    fixHead()
    const bytes = toBytes(chunk, encoding)
    const go = (then?: () => void): boolean => {
      leave()
      return write.call(res, bytes, then as never)
    }
    return tap.chunk(bytes, go, done)
  }

  res.end = (...args: unknown[]) => {
    const { chunk, encoding, done } = readWrite(args)
    if (hasEnded || (Boolean(chunk) && !isContent(chunk))) {
      return refuse(() => node.end.apply(res, args as Parameters<typeof end>))
    }
    fixHead()
    hasEnded = true
    tap.end(isContent(chunk) ? toBytes(chunk, encoding) : NO_BYTES, () => {
      leave()
      // What stands outside may know no third argument.
      end.apply(res, (encoding ? [chunk, encoding, done] : [chunk, done]) as never)
      destroyLater?.()
      return true
    })
    if (tap.phase === 'saving') veil()
    return res
  }

  res.flushHeaders = () => {
    if (hasEnded) return
    fixHead()
    tap.flush((then) => {
      leave()
      flushHeaders.call(res)
      if (then !== undefined) process.nextTick(then)
      return true
    })
  }

  res.destroy = (error) => {
    // An answer that has ended has left, as the handler sees it: what fails behind it must not take it back.
    if (hasEnded && tap.phase === 'saving' && !res.destroyed) {
      destroyLater ??= () => void destroy.call(res, error)
      return res
    }
    // When the client has left, the handler may still end its answer.
    if (!res.destroyed) tap.abandon()
    return destroy.call(res, error)
  }
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
