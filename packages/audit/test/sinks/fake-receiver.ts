import { text } from 'node:stream/consumers'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { ArrivedEntry, SinkFault } from '../../src/conformance/index.ts'

/** How a kind of receiver reads a request and what it says. */
export interface Protocol {
  /** @throws Error for what it does not understand, or whom it does not know */
  read(request: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }): ArrivedEntry[]
  /** The answer when it has them. */
  yes(): object
  /** One of them is wrong, and none is kept. */
  invalid?(place: number): { readonly status: number; readonly body: object }
  /** So many are not kept. */
  partial?(rejected: number): object
}

/** A receiver over HTTP that keeps what comes and does wrong as it is told. */
export async function startReceiver(protocol: Protocol) {
  const kept: ArrivedEntry[] = []
  const faults: SinkFault[] = []

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request)
    const { url: path = '', headers } = request
    const entries = protocol.read({ path, headers, body })
    const fault = faults.shift()
    if (fault?.kind === 'hang') return
    if (fault?.kind === 'reset') return void response.socket?.resetAndDestroy()
    if (fault?.kind === 'status') {
      const { status, retryAfter } = fault
      response.writeHead(status, {
        ...(retryAfter !== undefined && { 'retry-after': retryAfter }),
        ...(status >= 300 && status < 400 && { location: path }),
      })
      return void response.end()
    }
    if (fault?.kind === 'html') return void response.end('<html><body>Welcome</body></html>')
    if (fault?.kind === 'invalid') {
      const { status, body } = protocol.invalid!(fault.place)
      return answer(response, status, body)
    }
    const rejected = fault?.kind === 'partial' ? fault.rejected : 0
    kept.push(...entries.slice(rejected))
    if (fault?.kind === 'lost') return void response.socket?.resetAndDestroy()
    answer(response, 200, rejected === 0 ? protocol.yes() : protocol.partial!(rejected))
  }

  const server = createServer((request, response) => {
    void handle(request, response).catch((error: unknown) => answer(response, 422, { error: String(error) }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    arrived: async () => kept,
    fail: (fault: SinkFault) => void faults.push(fault),
    async dispose() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** The texts of the objects and arrays that stand one behind the other, or with commas between. */
export function valuesIn(texts: string): string[] {
  const values: string[] = []
  let depth = 0
  let from = 0
  let isText = false
  for (let at = 0; at < texts.length; at++) {
    const one = texts[at]!
    if (isText) {
      if (one === '\\') at++
      else if (one === '"') isText = false
    } else if (one === '"') isText = true
    else if ('{['.includes(one)) {
      if (depth++ === 0) from = at
    } else if ('}]'.includes(one) && --depth === 0) values.push(texts.slice(from, at + 1))
  }
  return values
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}
