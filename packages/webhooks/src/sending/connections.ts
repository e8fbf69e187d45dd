import { Client, errors } from 'undici'
import { createDialer } from '../safe-agent/dialer.ts'
import type { CheckedNetwork } from '../network-options.ts'

/** One socket to an origin, for one request at a time; undici opens it with the first. */
export interface Connection {
  readonly origin: string
  readonly client: Client
  /** The address that was dialled; null before, and behind a proxy. */
  address: string | null
  /** True when this very socket has carried an answer before: its other end may have hung up meanwhile. */
  isReused: boolean
  /** Destroys the socket, or ends what is being dialled. */
  end(): Promise<void>
}

/** Who waits for a connection. */
type Taker = (connection: Connection) => void

/** Open connections by origin: idle ones are used again, last in first out, and only for their origin. */
export interface Connections {
  /** Calls `taker` once: now, or when one of the origin's sockets is free. `fresh` takes no idle one. */
  take(origin: string, taker: Taker, o?: { fresh?: boolean }): void
  /** A taker that waits, waits no more. */
  leave(origin: string, taker: Taker): void
  /** After a complete answer. */
  giveBack(connection: Connection): void
  /** After anything else: its socket is destroyed, or what is being dialled. */
  drop(connection: Connection): void
  /** How many origins are known, and how many connections there are. */
  size(): { readonly origins: number; readonly open: number }
  /** Destroys them all. */
  close(): Promise<void>
}

interface Origin {
  readonly open: Set<Connection>
  readonly idle: Connection[]
  readonly waiting: Set<Taker>
}

/** Longest that a receiver's `keep-alive: timeout` is believed. */
const LONGEST_IDLE_MS = 60_000

/** One for all: to make an error costs more than to close a socket, and nobody is told of this one. */
const ENDED = new errors.ClientDestroyedError()

/** Sockets as in `Connections`, dialled by the rules of the network. */
export function createConnections(network: CheckedNetwork): Connections {
  const dial = createDialer(network)
  const origins = new Map<string, Origin>()

  function open(name: string, origin: Origin): Connection {
    let dialling: AbortController | undefined
    const client = new Client(name, {
      allowH2: false,
      // The attempt has one deadline for all of it.
      headersTimeout: 0,
      bodyTimeout: 0,
      keepAliveMaxTimeout: LONGEST_IDLE_MS,
      connect: (target, callback) => {
        dialling = new AbortController()
        dial(target, dialling.signal).then(
          ({ socket, address }) => {
            dialling = undefined
            connection.address = address
            connection.isReused = false
            callback(null, socket)
          },
          (error: Error) => callback(error, null),
        )
      },
    })
    const connection: Connection = {
      origin: name,
      client,
      address: null,
      isReused: false,
      end() {
        dialling?.abort(ENDED)
        return client.destroy(ENDED)
      },
    }
    origin.open.add(connection)
    origins.set(name, origin)
    client.on('disconnect', () => {
      // One in use is its attempt's business.
      const at = origin.idle.indexOf(connection)
      if (at === -1) return
      origin.idle.splice(at, 1)
      drop(connection)
    })
    return connection
  }

  function take(name: string, taker: Taker, { fresh = false } = {}): void {
    const origin = origins.get(name) ?? { open: new Set(), idle: [], waiting: new Set() }
    const idle = fresh ? undefined : origin.idle.pop()
    if (idle !== undefined) taker(idle)
    else if (origin.open.size < network.maxSocketsPerOrigin) taker(open(name, origin))
    else origin.waiting.add(taker)
  }

  function drop(connection: Connection): void {
    const origin = origins.get(connection.origin)
    if (origin?.open.delete(connection)) {
      const [next] = origin.waiting
      if (next !== undefined) {
        origin.waiting.delete(next)
        next(open(connection.origin, origin))
      } else if (origin.open.size === 0) origins.delete(connection.origin)
    }
    void connection.end()
  }

  return {
    take,
    drop,
    leave: (name, taker) => void origins.get(name)?.waiting.delete(taker),
    giveBack(connection) {
      connection.isReused = true
      const origin = origins.get(connection.origin)
      if (origin === undefined) return
      const [next] = origin.waiting
      if (next === undefined) return void origin.idle.push(connection)
      origin.waiting.delete(next)
      next(connection)
    },
    size: () => ({
      origins: origins.size,
      open: [...origins.values()].reduce((sum, { open }) => sum + open.size, 0),
    }),
    async close() {
      const all = [...origins.values()].flatMap(({ open }) => [...open])
      origins.clear()
      await Promise.all(all.map((connection) => connection.end()))
    },
  }
}
