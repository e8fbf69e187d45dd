import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Environment } from './environment.ts'
import { expressApp } from './express.ts'
import { openHttp } from './http.ts'
import type { System } from './system.ts'

/** A listening node. */
export interface Node {
  readonly url: string
  /** Takes no new request, lets the running ones end, at most `drainMs`. The system stays open. */
  close(drainMs?: number): Promise<void>
}

/** Serves the system over HTTP. Port 0 takes a free one. */
export async function startNode(system: System, { PORT, HOST }: Pick<Environment, 'PORT' | 'HOST'>): Promise<Node> {
  const http = openHttp(system)
  const server = createServer(expressApp(system, http))
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(PORT, HOST, resolve)
  })
  const { address, port, family } = server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    async close(drainMs = 10_000) {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const idle = setInterval(() => server.closeIdleConnections(), 100)
      const hard = setTimeout(() => server.closeAllConnections(), drainMs)
      await closed
      clearInterval(idle)
      clearTimeout(hard)
      await http.close()
    },
  }
}
