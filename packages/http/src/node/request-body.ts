import type { IncomingMessage } from 'node:http'
import type { BodyTap } from '../body-tap.ts'

/** A request, who sees its bytes, and its `push` before ours. */
interface Tapped extends IncomingMessage {
  [TAPPED]?: { readonly taps: BodyTap[]; readonly push: IncomingMessage['push'] }
}
const TAPPED: unique symbol = Symbol('keelson.body')

/** Lets `tap` see the body's bytes on their way into the request's stream, whoever reads it later. */
export function tapBody(req: Tapped, tap: BodyTap): void {
  if (req.readableDidRead || req.readableLength > 0) return tap.miss()
  if (req.complete) return tap.end()
  const tapped = req[TAPPED]
  if (tapped !== undefined) return void tapped.taps.push(tap)
  req[TAPPED] = { taps: [tap], push: req.push }
  req.push = pushSeen
}

/** One for all requests: a closure on each of them keeps it alive so long that collecting costs more than the rest. */
function pushSeen(this: Tapped, chunk: Uint8Array | null, encoding?: BufferEncoding): boolean {
  const { taps, push } = this[TAPPED]!
  for (const tap of taps) {
    if (chunk === null) tap.end()
    else tap.chunk(chunk)
  }
  // The bytes are kept anyway: whoever waits for them must not wait for a reader that comes later.
  return push.call(this, chunk, encoding) || taps.some((tap) => tap.wanted)
}

/** The bytes that `tap` has seen or is going to see. */
export function readBody(req: IncomingMessage, tap: BodyTap): Promise<Uint8Array> {
  const bytes = tap.bytes()
  if (tap.wanted) {
    if (req.destroyed) tap.abort()
    else req.once('close', () => tap.abort())
    // Its flow may have been stopped by a full stream that nobody reads. That of HTTP/2 begins with the first read.
    // So does one that was injected, which has no real socket.
    if (req.httpVersionMajor < 2 && 'resume' in req.socket) req.socket.resume()
    else req.read(0)
  }
  return bytes
}
