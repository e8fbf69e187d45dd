import type { IncomingMessage, Server, ServerResponse } from 'node:http'

/** How often sockets are looked for that have become idle. */
const TICK_MS = 100

/** A server of node:http, or of node:http2. */
export type DrainableServer = Pick<Server, 'listening' | 'close' | 'prependListener'> &
  Partial<Pick<Server, 'closeIdleConnections' | 'closeAllConnections'>>

/** A part of a shutdown: `shutdown.add('http', part)`. */
export interface ServerDrain {
  /**
   * No new connections; each answer that has not begun says `Connection: close`, of a pipeline the last one; idle sockets
   * are closed. Settles when no request is left, or when `signal` aborts.
   */
  drain(signal: AbortSignal): Promise<void>
}

/** Counts the requests of a server from now on, so that it can be drained. For adapters. */
export function drainServer(server: DrainableServer): ServerDrain {
  const active = new Set<ServerResponse>()
  let isDraining = false

  server.prependListener('request', (_req: IncomingMessage, res: ServerResponse) => {
    if (isDraining) {
      const before = lastOnes(active).get(res.req.socket)
      if (before !== undefined) say(before, 'keep-alive')
      say(res, 'close')
    }
    active.add(res)
    res.once('close', () => active.delete(res))
  })

  return {
    async drain(signal) {
      isDraining = true
      for (const res of lastOnes(active).values()) say(res, 'close')
      // With the server Node closes idle connections.
      await looked()
      if (server.listening) server.close()
      // Only after a tick: what has arrived on an open connection is then seen.
      do {
        await tick(signal)
        await looked()
        server.closeIdleConnections?.()
      } while (active.size > 0 && !signal.aborted)
      // Those that never sent a whole request count as busy to Node.
      if (!signal.aborted) server.closeAllConnections?.()
    },
  }
}

/** Of pipelined requests the last: behind an answer that says `close` Node sends no other. */
function lastOnes(active: ReadonlySet<ServerResponse>): Map<unknown, ServerResponse> {
  return new Map([...active].map((res) => [res.req.socket, res]))
}

function say(res: ServerResponse, connection: 'close' | 'keep-alive'): void {
  // HTTP/2 has no such field: its sessions are closed by the server.
  if (!res.headersSent && res.req.httpVersionMajor < 2) res.setHeader('Connection', connection)
}

/** Behind a look at all sockets: what had arrived is read. In a process that stood still timers come first. */
function looked(): Promise<void> {
  return new Promise((resolve) => void setImmediate(() => setImmediate(resolve)))
}

/** Holds the process: the parts that close after this one must still run. */
function tick(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, TICK_MS)
    function done(): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    if (signal.aborted) done()
    else signal.addEventListener('abort', done)
  })
}
