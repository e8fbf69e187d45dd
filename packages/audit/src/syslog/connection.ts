import { once } from 'node:events'
import { connect, isIP, type Socket } from 'node:net'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { DeliveryFailure } from '../sinks/delivery-failure.ts'

/** A connection that is opened when somebody writes, and tells when it broke. */
export interface Connection {
  /** Resolves when all bytes were handed to the system. Rejects until `lost` was asked, once the connection broke. */
  write(bytes: Uint8Array, signal: AbortSignal): Promise<void>
  /** True, once, when a connection broke since it was asked last. */
  lost(): boolean
  close(): void
}

export function createConnection(o: {
  readonly host: string
  readonly port: number
  readonly tls: ConnectionOptions | false
}): Connection {
  let socket: Socket | undefined
  let isLost = false

  function broke(which: Socket): void {
    which.destroy()
    if (socket !== which) return
    socket = undefined
    isLost = true
  }

  async function open(signal: AbortSignal): Promise<Socket> {
    const { host, port, tls } = o
    const servername = isIP(host) === 0 ? { servername: host } : {}
    const opened = tls === false ? connect({ host, port }) : connectTls({ host, port, ...servername, ...tls })
    opened.on('error', () => broke(opened))
    opened.on('close', () => broke(opened))
    opened.on('end', () => broke(opened))
    // Nobody says anything to us; what comes is dropped, so that the end is seen.
    opened.resume()
    try {
      await once(opened, tls === false ? 'connect' : 'secureConnect', { signal })
    } catch (cause) {
      opened.destroy()
      throw new DeliveryFailure(`${host}:${port} is not reached: ${(cause as Error).message}`, { cause })
    }
    opened.setKeepAlive(true, 30_000)
    // A log that is kept open keeps no process alive.
    opened.unref()
    return opened
  }

  return {
    async write(bytes, signal) {
      if (isLost) throw new DeliveryFailure(`the connection to ${o.host}:${o.port} was lost`)
      socket ??= await open(signal)
      const to = socket
      await new Promise<void>((resolve, reject) => {
        const fail = (): void => {
          broke(to)
          reject(new DeliveryFailure(`the connection to ${o.host}:${o.port} was lost`))
        }
        signal.addEventListener('abort', fail, { once: true })
        to.once('close', fail)
        to.write(bytes, (error) => {
          signal.removeEventListener('abort', fail)
          to.off('close', fail)
          if (error) fail()
          else resolve()
        })
      })
    },
    lost() {
      const was = isLost
      isLost = false
      return was
    },
    close() {
      socket?.destroy()
      socket = undefined
      isLost = false
    },
  }
}
