import type { ServerResponse } from 'node:http'

/** What is known of a stream of HTTP/2. */
interface Http2Response {
  readonly writableEnded: boolean
  readonly stream?: { readonly aborted: boolean; readonly rstCode: number }
}

/** All of an answer was handed over. One of HTTP/2 only knows that it has ended, also when its client cancelled it. */
export function hasFinished(res: ServerResponse): boolean {
  if (res.req.httpVersionMajor < 2) return res.writableFinished
  const { writableEnded, stream } = res as Http2Response
  return writableEnded && stream?.aborted !== true && (stream?.rstCode ?? 0) === 0
}
