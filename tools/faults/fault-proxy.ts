/** A TCP proxy that fails like a network does, and counts round trips: for tests that must not depend on luck. */
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { openLane, type Lane } from './fault-lane.ts'

const HOST = '127.0.0.1'
const REPLY_BYTES = 1024 * 1024

/** A running proxy. It starts in `pass`; each mode replaces the one before. */
export interface FaultProxy extends AsyncDisposable {
  readonly host: string
  readonly port: number
  /** All bytes go through at once, the held ones first. */
  pass(): void
  /** Resets the connections there are and each new one. */
  refuse(): void
  /** Connections are accepted and stay open, but nothing goes through, either way. `pass` delivers what is held. */
  freeze(): void
  /** Each chunk arrives `delayMs` later, in each direction, in order. */
  delay(delayMs: number): void
  /** The connections there are never hear from the server again, not even in a later mode; new ones pass. */
  halfOpen(): void
  /** As `halfOpen`, and no new connection hears from the server either: everything is done, nothing is answered. */
  mute(): void
  /** Resets the connections there are. The mode stays. */
  resetAll(): void
  /**
   * Once: the first client chunk that matches reaches the server, its reply gets lost, and the client is reset as soon
   * as the server has answered, so what was asked for is done. Resolves to true then; to false when the connection or
   * the proxy ended without an answer.
   *
   * `answered` sees the whole reply so far (up to 1 MiB). By default its first chunk is the answer; a client that sends
   * several statements in one flight gets several, so wait for the one that counts.
   */
  loseReplyAfter(match: (clientBytes: Buffer) => boolean, answered?: (serverBytes: Buffer) => boolean): Promise<boolean>
  /** Flights since `resetCount`, over all connections: a client chunk that is first or follows a server chunk. */
  readonly roundTrips: number
  resetCount(): void
  /** Resets all connections and stops listening. Repeatable. */
  close(): Promise<void>
}

/** A reply to lose. */
interface Loss {
  match: (clientBytes: Buffer) => boolean
  answered: (serverBytes: Buffer) => boolean
  resolve: (fired: boolean) => void
}

interface Connection {
  client: Socket
  server: Socket
  lanes: readonly Lane[]
  lose: () => void
}

/** Starts a proxy to `target` on a free loopback port. */
export async function startFaultProxy(target: { host: string; port: number }): Promise<FaultProxy> {
  const connections = new Set<Connection>()
  const armed = new Set<Loss>()
  let refusing = false
  let muting = false
  let holdMs = 0
  let roundTrips = 0

  const accept = (client: Socket): void => {
    client.on('error', () => {}) // also without a lane
    if (refusing) return void client.resetAndDestroy()
    const server = connect({ ...target, noDelay: true, allowHalfOpen: true })
    let clientSpoke = false
    let losing: (Loss & { reply: Buffer }) | undefined

    const up = openLane(client, server, {
      holdMs: () => holdMs,
      arrived: () => {
        if (!clientSpoke) roundTrips++
        clientSpoke = true
      },
      passes: (bytes) => {
        const loss = losing ?? [...armed].find(({ match }) => match(bytes))
        if (losing === undefined && loss !== undefined) {
          armed.delete(loss)
          losing = { ...loss, reply: Buffer.alloc(0) }
        }
        return true
      },
    })
    const down = openLane(server, client, {
      holdMs: () => holdMs,
      passes: (bytes) => {
        clientSpoke = false
        if (losing === undefined) return true
        losing.reply = Buffer.concat([losing.reply, bytes]).subarray(-REPLY_BYTES)
        if (losing.answered(losing.reply)) {
          client.resetAndDestroy()
          server.end() // the server is done and may say goodbye
          losing.resolve(true)
        }
        return false
      },
    })

    const connection = { client, server, lanes: [up, down], lose: () => down.lose() }
    connections.add(connection)
    if (muting) connection.lose()
    const closed = (): void => {
      if (server.destroyed) losing?.resolve(false)
      if (client.destroyed && server.destroyed) connections.delete(connection)
    }
    client.on('close', closed)
    server.on('close', closed)
  }

  const listener = createServer({ noDelay: true, allowHalfOpen: true }, accept)
  listener.listen(0, HOST)
  await once(listener, 'listening')
  listener.on('error', () => {}) // one failed accept is no reason to end the test run
  const { port } = listener.address() as AddressInfo

  const setMode = (mode: { holdMs: number; refusing?: boolean; muting?: boolean }): void => {
    holdMs = mode.holdMs
    refusing = mode.refusing ?? false
    muting = mode.muting ?? false
    for (const { lanes } of connections) for (const lane of lanes) lane.pump()
  }
  const loseReplies = (): void => {
    for (const { lose } of connections) lose()
  }
  const resetAll = (): void => {
    for (const { client, server } of connections) {
      client.resetAndDestroy()
      server.resetAndDestroy()
    }
  }
  const close = async (): Promise<void> => {
    resetAll()
    for (const loss of armed) loss.resolve(false)
    if (!listener.listening) return
    listener.close()
    await once(listener, 'close')
  }
  return {
    host: HOST,
    port,
    pass: () => setMode({ holdMs: 0 }),
    refuse: () => {
      resetAll()
      setMode({ holdMs: 0, refusing: true })
    },
    freeze: () => setMode({ holdMs: Infinity }),
    delay: (delayMs) => {
      if (!(delayMs >= 0 && delayMs < 2 ** 31)) throw new RangeError(`delayMs is ${delayMs}, not 0 to 2^31`)
      setMode({ holdMs: delayMs })
    },
    halfOpen: () => {
      loseReplies()
      setMode({ holdMs: 0 })
    },
    mute: () => {
      loseReplies()
      setMode({ holdMs: 0, muting: true })
    },
    resetAll,
    loseReplyAfter: (match, answered = () => true) => new Promise((resolve) => armed.add({ match, answered, resolve })),
    get roundTrips() {
      return roundTrips
    },
    resetCount: () => {
      roundTrips = 0
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
