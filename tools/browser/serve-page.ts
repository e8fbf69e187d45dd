import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A page and its origin, which outlives the browser that looks at it. */
export interface ServedPage extends AsyncDisposable {
  /** http://localhost:port/: as secure a context as https, so that Web Locks are there. */
  readonly url: string
}

/** Serves an empty page that loads `script`, on loopback. */
export async function servePage(script: string): Promise<ServedPage> {
  const files: Record<string, [type: string, text: string]> = {
    '/': ['text/html', '<!doctype html><meta charset=utf-8><link rel=icon href=data:,><script src=/page.js></script>'],
    '/page.js': ['text/javascript', script],
  }
  const server = createServer((request, response) => {
    const [type, text] = files[request.url!] ?? []
    response.writeHead(text === undefined ? 404 : 200, { 'content-type': `${type}; charset=utf-8` }).end(text)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://localhost:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
