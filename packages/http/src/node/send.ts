import { isAscii } from 'node:buffer'
import type { ServerResponse } from 'node:http'
import type { StoredResponse } from '@keelson/kernel'
import { groupHeaders } from '../list-header.ts'
import { hasStatusMessage } from './head.ts'

/**
 * By `setHeader` and `end`, so that compression that stands outside still works. Of a client that has gone only the
 * socket is dead: who captures hears the end.
 */
export async function send(
  res: ServerResponse,
  { status, headers, body }: StoredResponse,
  end: (body: Uint8Array | string) => unknown,
): Promise<void> {
  if (res.destroyed && res.headersSent) return
  res.statusCode = status
  // Of an answer that was not sent.
  if (hasStatusMessage(res)) res.statusMessage = ''
  for (const [name, value] of groupHeaders(headers, (name) => res.getHeader(name))) res.setHeader(name, value)
  const handedOver = new Promise<void>((resolve) => res.once('finish', resolve).once('close', resolve))
  end(inOneWrite(body))
  if (!res.destroyed) await handedOver
}

/** Longer bodies are not worth the copy. */
const ONE_WRITE_BYTES = 16_384

/** Node sends a text together with the header block, bytes behind it. ASCII is the same text in every encoding. */
function inOneWrite(body: Uint8Array): Uint8Array | string {
  if (body.length === 0 || body.length > ONE_WRITE_BYTES || !isAscii(body)) return body
  return Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1')
}
