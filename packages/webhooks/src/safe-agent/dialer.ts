import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { buildConnector } from 'undici'
import { candidates, refusal } from './candidates.ts'
import { judgeAddress } from './check-address.ts'
import { judgeTarget, literalOf, portOf } from './check-url.ts'
import { DialError, dialFailure } from './dial-error.ts'
import type { CheckedSafeAgent } from './options.ts'
import { createResolver, sharedResolver } from './resolver.ts'
import { within, type TimeLeft } from './time-left.ts'
import { openTunnel } from './tunnel.ts'

/** Where to: the parts of a URL. `hostname` may be in any spelling. */
interface Target {
  readonly protocol: string
  readonly hostname: string
  readonly port: string
}

/** An open connection, through TLS where the URL says so. */
interface Dialled {
  readonly socket: Socket
  /** The address that was dialled; null behind a proxy, which alone knows it. */
  readonly address: string | null
}

/** Makes one connection. Rejects with URL_REFUSED or a {@link DialError}; when `signal` is aborted with ETIMEDOUT. */
export type Dialer = (target: Target, signal: AbortSignal) => Promise<Dialled>

/**
 * Resolve, judge every answer, dial one of those very addresses, judge who is there. Nobody asks DNS again in between, so
 * a name that changes its mind changes nothing.
 */
export function createDialer(options: CheckedSafeAgent): Dialer {
  const resolve = sharedResolver(options.resolve ?? createResolver())
  // Sessions are resumed by it; HTTP/2 would put the requests of many tenants on one socket.
  const secure = buildConnector({ allowH2: false, timeout: 0 })

  async function reach(target: Target, time: TimeLeft): Promise<Dialled> {
    if (options.proxy !== undefined)
      return { socket: await openTunnel(options.proxy, target.hostname, portOf(target), time), address: null }
    const literal = literalOf(target.hostname)
    const answers =
      literal === undefined
        ? await within(resolve(target.hostname), time, () => {}).catch(dnsFailure)
        : [{ address: literal, family: literal.includes(':') ? (6 as const) : (4 as const) }]
    return dialFirst(candidates(answers, options), portOf(target), time)
  }

  async function dialFirst(addresses: readonly string[], port: number, time: TimeLeft): Promise<Dialled> {
    for (const [i, address] of addresses.entries()) {
      const isLast = i === addresses.length - 1
      try {
        const socket = await dial(address, port, time, 1 / (addresses.length - i))
        judgeWhoIsThere(socket, options)
        return { socket, address }
      } catch (error) {
        if (isLast || !(error instanceof DialError) || time.signal.aborted) throw error
      }
    }
    throw new DialError('dns', 'ENOTFOUND')
  }

  function secured(socket: Socket, { protocol, port }: Target, hostname: string): Promise<TLSSocket> {
    return new Promise((resolve, reject) => {
      const servername = literalOf(hostname) === hostname ? undefined : hostname
      secure(
        { protocol, port, hostname, host: hostname, httpSocket: socket, ...(servername && { servername }) },
        (error, done) => (error === null ? resolve(done as TLSSocket) : reject(error)),
      )
    })
  }

  return async (given, signal) => {
    const target = { ...given, hostname: normalised(given.hostname) }
    const check = judgeTarget(target, options)
    if (!check.allowed) throw refusal(check.reason)
    const time = { endsMs: performance.now() + options.connectTimeout, signal }
    const reached = await reach(target, time)
    if (target.protocol === 'http:') return reached
    // Certificates know no dot behind a name, and no brackets.
    const name = target.hostname.replace(/\.+$/, '')
    const undo = (): void => void reached.socket.destroy()
    const socket = await within(secured(reached.socket, target, name), time, undo).catch((cause: unknown) => {
      throw dialFailure('tls', cause)
    })
    return { ...reached, socket }
  }
}

/** TCP to one address, within a share of the time. */
async function dial(host: string, port: number, time: TimeLeft, share: number): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 })
  const undo = (): void => void socket.destroy()
  try {
    await within(once(socket, 'connect'), time, undo, share)
  } catch (cause) {
    throw dialFailure('connect', cause)
  }
  // From here on its owner listens; in between nothing may end the process.
  return socket.on('error', () => {})
}

/** The socket of a refused address, or of one that has hung up since, is destroyed. */
function judgeWhoIsThere(socket: Socket, options: CheckedSafeAgent): void {
  const { remoteAddress } = socket
  const check = remoteAddress === undefined ? undefined : judgeAddress(remoteAddress, options)
  if (check?.allowed) return
  socket.destroy()
  // Nobody is there who could be refused: the next attempt may find somebody.
  if (check === undefined) throw new DialError('connect', 'ECONNRESET')
  throw refusal(check.reason)
}

/** A host as URLs spell it: `0x7f.1`, `127。0。0。1` and `１２７.1` are 127.0.0.1. Without the brackets of IPv6. */
function normalised(hostname: string): string {
  const isBare = hostname.includes(':') && !hostname.startsWith('[')
  const url = URL.parse(`http://${isBare ? `[${hostname}]` : hostname}`)
  if (url === null || url.pathname !== '/' || url.port !== '' || url.username !== '' || url.search + url.hash !== '')
    throw refusal('not a host')
  return url.hostname.replace(/^\[(.*)\]$/, '$1')
}

function dnsFailure(cause: unknown): never {
  throw dialFailure('dns', cause)
}
