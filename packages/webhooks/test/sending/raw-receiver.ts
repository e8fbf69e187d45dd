import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { onTestFinished } from 'vitest'

/** A receiver that may do anything with its sockets. */
export interface RawReceiver {
  readonly url: string
  /** Connections so far. */
  readonly accepted: number
  /** What came in, by connection. */
  readonly heard: string[]
  /** Resolves when no connection is open. */
  nobody(): Promise<void>
}

/** `behave` is called with each first bytes of a request on a socket; `greet` with each new socket. */
export async function rawReceiver(
  behave: (socket: Socket, request: number) => void,
  greet: (socket: Socket) => void = () => {},
): Promise<RawReceiver> {
  const open = new Set<Socket>()
  const heard: string[] = []
  let requests = 0
  const server = createServer((socket) => {
    const connection = heard.push('') - 1
    open.add(socket)
    socket.on('error', () => {})
    socket.once('close', () => {
      open.delete(socket)
      server.emit('left')
    })
    socket.on('data', (chunk) => {
      heard[connection] += chunk.toString('latin1')
      if (chunk.includes('POST ')) behave(socket, ++requests)
    })
    greet(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => {
    server.close()
    for (const socket of open) socket.destroy()
  })
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard,
    get accepted() {
      return heard.length
    },
    async nobody() {
      while (open.size > 0) await once(server, 'left')
    },
  }
}
