import { once } from 'node:events'
import type { ClientHttp2Session } from 'node:http2'

/** One request on a session, with a JSON body if it has one. */
export async function askHttp2(
  session: ClientHttp2Session,
  path: string,
  headers: Record<string, string> = {},
  method = 'POST',
): Promise<{ head: Record<string, string | number>; body: string }> {
  const stream = session.request({ ':method': method, ':path': path, 'content-type': 'application/json', ...headers })
  if (method === 'POST') stream.end('{"a":1}')
  const [head] = (await once(stream, 'response')) as [Record<string, string | number>]
  return { head, body: Buffer.concat(await stream.toArray()).toString() }
}
