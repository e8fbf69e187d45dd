import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'

/** In front of another service: it keeps the headers that came, and hands the rest on, unless it is told to fail. */
export interface Recorder extends AsyncDisposable {
  readonly url: string
  readonly requests: readonly IncomingHttpHeaders[]
  /** So many of the next requests are answered 503. */
  fail(times: number): void
}

export async function startRecorder(target: string): Promise<Recorder> {
  const requests: IncomingHttpHeaders[] = []
  let failing = 0
  const server = createServer(async (req, res) => {
    requests.push(req.headers)
    const body = Buffer.concat((await req.toArray()) as Buffer[])
    if (failing-- > 0) return void res.writeHead(503).end()
    const { connection: _, host: __, 'content-length': ___, ...headers } = req.headers
    const answer = await fetch(target + req.url!, {
      method: req.method!,
      headers: headers as Record<string, string>,
      ...(body.length === 0 ? {} : { body }),
    })
    res.writeHead(answer.status).end(Buffer.from(await answer.arrayBuffer()))
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    fail: (times) => void (failing = times),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
}
