import type { Effect } from './effect.ts'
import { show } from './duration.ts'
import { KernelError } from './kernel-error.ts'

/** An HTTP answer as bytes: what is stored, replayed and sent. */
export interface StoredResponse {
  readonly status: number
  /** Order, case and repeats are kept. */
  readonly headers: readonly (readonly [string, string])[]
  readonly body: Uint8Array
}

const BRAND = Symbol.for('keelson.reply')

/** What a write answers, and what must become true with it. Made by {@link reply}. */
export interface Reply<T = unknown> {
  readonly response: StoredResponse
  readonly effects: readonly Effect[]
  /** For types only, never set. */
  readonly body?: T
}

/** True for a {@link Reply} of any copy of the kernel. */
export function isReply(value: unknown): value is Reply {
  return typeof value === 'object' && value !== null && BRAND in value
}

/**
 * Encodes an answer now, so that what is sent, stored and replayed is one array of bytes.
 * `undefined` is an empty body, a Uint8Array `application/octet-stream`, a string `text/plain; charset=utf-8`,
 * anything else `application/json; charset=utf-8`; a given Content-Type wins.
 * @throws KernelError REPLY_INVALID: status not 200 to 599, a header with CR or LF, a header that frames the message
 * (Content-Length), a stream, a body that JSON refuses.
 */
export function reply<T>(
  status: number,
  body?: T,
  effects: readonly Effect[] = [],
  headers: readonly (readonly [string, string])[] = [],
): Reply<T> {
  if (!Number.isInteger(status) || status < 200 || status > 599) {
    throw invalid(`status must be an integer from 200 to 599 (got ${show(status)})`)
  }
  if (!Array.isArray(effects)) throw invalid(`effects must be an array (got ${show(effects)})`)
  const { bytes, type } = encodeBody(body)
  if (bytes.length > 0 && (status === 204 || status === 304)) throw invalid(`status ${status} has no body`)
  if (!Array.isArray(headers)) throw invalid(`headers must be an array of [name, value] (got ${show(headers)})`)
  const checked = headers.map(checkHeader)
  if (type !== undefined && !checked.some(([name]) => name.toLowerCase() === 'content-type')) {
    checked.unshift(['Content-Type', type])
  }
  const made: Reply<T> = { response: { status, headers: checked, body: bytes }, effects }
  Object.defineProperty(made, BRAND, { value: true })
  return Object.freeze(made)
}

const encoder = new TextEncoder()
const EMPTY = new Uint8Array(0)

function encodeBody(body: unknown): { bytes: Uint8Array; type?: string } {
  if (body === undefined) return { bytes: EMPTY }
  // A copy: the caller's buffer may be filled again before the answer is sent.
  if (body instanceof Uint8Array) return { bytes: new Uint8Array(body), type: 'application/octet-stream' }
  if (typeof body === 'string') return { bytes: encoder.encode(body), type: 'text/plain; charset=utf-8' }
  if (isLater(body)) throw invalid('body must not be a stream or a promise: an answer is committed before it is sent')
  if (ArrayBuffer.isView(body) || body instanceof ArrayBuffer) throw invalid('bytes must be a Uint8Array')
  let json: string | undefined
  try {
    json = JSON.stringify(body)
  } catch (cause) {
    throw invalid(`body is not JSON: ${(cause as Error).message}`, cause)
  }
  if (json === undefined) throw invalid(`body is not JSON (got ${show(body)})`)
  return { bytes: encoder.encode(json), type: 'application/json; charset=utf-8' }
}

/** Streams, web Responses, Blobs and promises: values that come later, and that JSON would write as `{}`. */
function isLater(body: unknown): boolean {
  if (typeof body !== 'object' || body === null) return false
  return ['pipe', 'getReader', 'arrayBuffer', 'then', Symbol.asyncIterator].some(
    (method) => typeof (body as Record<string | symbol, unknown>)[method] === 'function',
  )
}

// RFC 9110, section 5: a token as name; visible ASCII, latin1, space and tab as value.
const HEADER_NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** RFC 9112, section 6: the server's own, and wrong as soon as one layer recodes the body. */
const FRAMING = new Set(['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'upgrade', 'trailer'])
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/

function checkHeader(header: readonly [string, string]): readonly [string, string] {
  const [name, value] = Array.isArray(header) ? (header as unknown[]) : []
  if (typeof name !== 'string' || !HEADER_NAME.test(name)) throw invalid(`header name is not a token: ${show(name)}`)
  if (typeof value !== 'string' || !HEADER_VALUE.test(value)) {
    throw invalid(`header "${name}" must be a string without control characters (got ${show(value)})`)
  }
  if (FRAMING.has(name.toLowerCase())) throw invalid(`header "${name}" frames the message: it follows from the body`)
  return [name, value]
}

function invalid(what: string, cause?: unknown): KernelError {
  return new KernelError('REPLY_INVALID', `reply: ${what}`, { cause })
}
