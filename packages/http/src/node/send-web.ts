import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { groupHeaders } from '../list-header.ts'
import { hasStatusMessage } from './head.ts'

/**
 * Sends a web Response by node:http, each chunk as it comes: what waits for a later one has left. When the client leaves,
 * the body is cancelled. Settles when all was handed over.
 * Rejects with what the body threw; nothing was set on `res` if that came before its first chunk, else `res` is destroyed.
 */
export async function sendWeb(res: ServerResponse, response: Response): Promise<void> {
  const { status, body } = response
  // Its 'close' has come and comes no more: the whole body would be read for nobody.
  if (hasLeft(res)) return body?.cancel()
  if (body === null || res.req.method === 'HEAD' || status === 204 || status === 304) {
    await body?.cancel()
    setHead(res, response)
    return end(res)
  }
  const reader = body.getReader()
  const cancel = (): void => void reader.cancel().catch(() => {})
  res.once('close', cancel)
  try {
    await pump(res, response, reader)
  } catch (error) {
    if (res.headersSent) res.destroy()
    throw error
  } finally {
    res.off('close', cancel)
  }
}

async function pump(
  res: ServerResponse,
  response: Response,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): Promise<void> {
  let next = reader.read()
  if (!(await isReady(next))) {
    setHead(res, response)
    res.flushHeaders()
  }
  let { done, value } = await next
  if (!res.headersSent) setHead(res, response)
  while (!done) {
    next = reader.read()
    const isDue = !(await isReady(next))
    // An answer of one chunk gets a length.
    if (!isDue && !res.headersSent && (await next).done) return end(res, value)
    if (!write(res, value!, isDue)) await drained(res)
    ;({ done, value } = await next)
  }
  return end(res)
}

function setHead(res: ServerResponse, { status, statusText, headers }: Response): void {
  res.statusCode = status
  if (statusText !== '' && hasStatusMessage(res)) res.statusMessage = statusText
  const own = [...headers].filter(([name]) => !HOP_BY_HOP.has(name))
  for (const [name, value] of groupHeaders(own, (name) => res.getHeader(name))) res.setHeader(name, value)
}

/** RFC 9110, section 7.6.1: they are of another connection, if an API hands answers on; HTTP/2 refuses them. */
const HOP_BY_HOP = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'])

/** A response of HTTP/2 does not know it itself. */
function hasLeft(res: ServerResponse & { readonly stream?: { readonly destroyed: boolean } }): boolean {
  return res.destroyed || res.stream?.destroyed === true
}

/** True when it settles before the event loop turns. */
async function isReady(promise: Promise<unknown>): Promise<boolean> {
  const turn = Promise.withResolvers<false>()
  const immediate = setImmediate(turn.resolve, false)
  const settled = promise.then(
    () => true,
    () => true,
  )
  const ready = await Promise.race([settled, turn.promise])
  clearImmediate(immediate)
  return ready
}

/** `isDue`: nothing follows soon, so compression that stands outside must not keep it. */
function write(res: ServerResponse, chunk: Uint8Array, isDue: boolean): boolean {
  if (hasLeft(res)) return true
  const isReadyForMore = res.write(chunk)
  if (isDue) (res as { flush?: () => void }).flush?.()
  return isReadyForMore
}

async function drained(res: ServerResponse): Promise<void> {
  if (hasLeft(res)) return
  const over = new AbortController()
  await Promise.race([once(res, 'drain', over), once(res, 'close', over)]).finally(() => over.abort())
}

async function end(res: ServerResponse, chunk?: Uint8Array): Promise<void> {
  if (hasLeft(res)) return
  const handedOver = Promise.withResolvers<void>()
  res.once('finish', handedOver.resolve).once('close', handedOver.resolve)
  res.end(chunk)
  await handedOver.promise
}
