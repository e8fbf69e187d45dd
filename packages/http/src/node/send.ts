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
  end: (body: Uint8Array) => unknown,
): Promise<void> {
  if (res.destroyed && res.headersSent) return
  res.statusCode = status
  // Of an answer that was not sent.
  if (hasStatusMessage(res)) res.statusMessage = ''
  for (const [name, value] of groupHeaders(headers, (name) => res.getHeader(name))) res.setHeader(name, value)
  const handedOver = new Promise<void>((resolve) => res.once('finish', resolve).once('close', resolve))
  end(body)
  if (!res.destroyed) await handedOver
}
