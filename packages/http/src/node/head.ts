import type { ClientRequest, ServerResponse } from 'node:http'
import type { Headers } from '../exchange.ts'
import { groupHeaders } from '../list-header.ts'

/** The headers that are set on `res`, line by line. */
export function headersOf(res: ServerResponse): Headers {
  const lines: [string, string][] = []
  // @types/node has it for requests only; HTTP/2 has no case.
  const { getRawHeaderNames = res.getHeaderNames } = res as unknown as Partial<ClientRequest>
  for (const name of getRawHeaderNames.call(res as never)) {
    const value: unknown = res.getHeader(name)
    if (Array.isArray(value)) for (const one of value) lines.push([name, String(one)])
    else lines.push([name, String(value)])
  }
  return lines
}

/**
 * Sets what `writeHead` was given on `res`, as Node itself does once any header is set. False, with nothing set, for
 * what Node refuses.
 */
export function takeHead(res: ServerResponse, [status, ...rest]: readonly unknown[]): boolean {
  const own = typeof rest[0] === 'string' ? (rest.shift() as string) : undefined
  // HTTP/2 has none, and warns even who reads it.
  const message = hasStatusMessage(res) ? (own ?? res.statusMessage) : undefined
  const code = Math.trunc(Number(status))
  const isRefused = !(code >= 100 && code <= 999) || /[^\t\x20-\x7e\x80-\xff]/.test(message ?? '')
  if (res.headersSent || isRefused) return false
  res.statusCode = code
  if (message !== undefined) res.statusMessage = message
  setAll(res, rest.find(Boolean) ?? {})
  return true
}

/** Not in HTTP/2. */
export function hasStatusMessage(res: ServerResponse): boolean {
  return res.req.httpVersionMajor < 2
}

/** An object, a flat array of names and values, or an array of pairs. Only arrays repeat a name. */
function setAll(res: ServerResponse, headers: object): void {
  if (!Array.isArray(headers)) {
    for (const [name, value] of Object.entries(headers)) res.setHeader(name, value as string)
    return
  }
  const flat = (Array.isArray(headers[0]) ? headers.flat(1) : headers) as string[]
  for (let i = 0; i < flat.length; i += 2) res.removeHeader(flat[i]!)
  for (let i = 0; i < flat.length; i += 2) res.appendHeader(flat[i]!, flat[i + 1]!)
}

/** Nothing but these is set on `res`; the length of the body is again Node's to tell. */
export function setOnly(res: ServerResponse, headers: Headers): void {
  for (const name of res.getHeaderNames()) res.removeHeader(name)
  for (const [name, value] of groupHeaders(headers)) res.setHeader(name, value)
  // Node remembers which of its own headers were removed.
  Object.assign(res, { _removedContLen: false, _removedTE: false, _removedConnection: false })
}

/** Who waits for the head of a response, and its `writeHead` before ours. */
interface Awaited extends ServerResponse {
  [AWAITED]?: { readonly writeHead: ServerResponse['writeHead']; readonly heads: OnHead[] }
}
type OnHead = (status: number, headers: Headers) => void
const AWAITED: unique symbol = Symbol('keelson.head')

/** As {@link Exchange.onHead}: Node calls `writeHead` for implicit headers too. The newest `f` comes first. */
export function onNodeHead(res: Awaited, f: OnHead): void {
  const awaited = res[AWAITED]
  if (awaited !== undefined) return void awaited.heads.push(f)
  res[AWAITED] = { writeHead: res.writeHead, heads: [f] }
  res.writeHead = tellHead
}

/** One for all responses: a closure on each of them keeps it alive so long that collecting costs more than the rest. */
function tellHead(this: Awaited, ...args: any[]): ServerResponse {
  const { writeHead, heads } = this[AWAITED]!
  // To list the headers costs more than all else here, and most want to set one only.
  const areWanted = heads.some((f) => f.length > 1)
  if (areWanted && !takeHead(this, args)) return writeHead.apply(this, args as [number])
  const status = areWanted ? this.statusCode : (args[0] as number)
  for (let f = heads.pop(); f !== undefined; f = heads.pop()) f(status, areWanted ? headersOf(this) : [])
  return areWanted ? writeHead.call(this, status) : writeHead.apply(this, args as [number])
}
