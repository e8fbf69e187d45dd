import type { Clock } from '@keelson/kernel'
import { parseHttpDate, parseRetryAfter } from '@keelson/kernel/retry-after'
import type { Dispatcher } from 'undici'
import type { SendOutcome } from '../delivery.ts'
import type { CheckedNetwork } from '../network-options.ts'
import type { Connection, Connections } from './connections.ts'
import type { Deadline, Deadlines } from './deadlines.ts'
import { failureOf } from './failure.ts'
import type { SendRequest, SendResult, Target } from './sender.ts'

/** What all attempts share. */
interface Shared {
  readonly network: CheckedNetwork
  readonly clock: Clock
  readonly connections: Connections
  readonly deadlines: Deadlines
}

const NO_BYTES = new Uint8Array()

/**
 * One POST. It is undici's handler itself: nothing is parsed, decoded or copied but what is kept, and one deadline covers all
 * of it, the wait for a socket included. Its socket goes back only after a complete answer.
 */
export class Attempt implements Dispatcher.DispatchHandler {
  readonly #shared: Shared
  readonly #request: SendRequest
  readonly #target: Target
  readonly #done: (result: SendResult) => void
  readonly #startedMs: number
  #deadline: Deadline | undefined
  #connection: Connection | undefined
  #address: string | null = null
  #isOver = false
  #isAnswering = false
  #isRedialled = false
  #status: number | null = null
  #headers: Readonly<Record<string, unknown>> = {}
  #kept: Uint8Array[] = []
  #readBytes = 0

  constructor(shared: Shared, request: SendRequest, target: Target, done: (result: SendResult) => void) {
    this.#shared = shared
    this.#request = request
    this.#target = target
    this.#done = done
    this.#startedMs = shared.clock.monotonic()
  }

  /** Once. */
  begin(): void {
    const { connections, deadlines } = this.#shared
    const { timeoutMs } = this.#request
    this.#deadline = deadlines.begin(timeoutMs, this.#startedMs, () => this.giveUp('timeout', 'ETIMEDOUT'))
    connections.take(this.#target.origin, this.#taker)
  }

  readonly #taker = (connection: Connection): void => {
    this.#connection = connection
    const { headers, body } = this.#request
    const listed = listedHeaders(headers, this.#shared.network.userAgent)
    connection.client.dispatch({ method: 'POST', path: this.#target.path, headers: listed, body }, this)
  }

  /** Ends it now, wherever it is. */
  giveUp(outcome: SendOutcome, error: string): void {
    this.#shared.connections.leave(this.#target.origin, this.#taker)
    this.#end(outcome, error)
  }

  onRequestStart(): void {}

  onResponseStarted(): void {
    this.#isAnswering = true
  }

  onResponseStart(_: unknown, status: number, headers: Readonly<Record<string, unknown>>): void {
    if (status < 200) return
    this.#status = status
    this.#headers = headers
  }

  onResponseData(_: unknown, chunk: Uint8Array): void {
    if (this.#isOver) return
    const { maxResponseBytes, keepResponseBytes } = this.#shared.network
    const room = Math.min(keepResponseBytes, maxResponseBytes) - this.#readBytes
    // The chunk is a window of a shared buffer.
    if (room > 0) this.#kept.push(new Uint8Array(chunk.subarray(0, room)))
    this.#readBytes += chunk.length
    if (this.#readBytes > maxResponseBytes) this.#endByStatus()
  }

  onResponseEnd(): void {
    if (this.#isOver) return
    const connection = this.#connection!
    this.#address = connection.address
    this.#connection = undefined
    this.#endByStatus()
    this.#shared.connections.giveBack(connection)
  }

  onResponseError(_: unknown, error: unknown): void {
    if (this.#isOver) return
    const failure = failureOf(error)
    // The receiver hung up an idle socket as we wrote; it has not answered, and the event's id makes a repeat harmless.
    const wasStale = this.#connection?.isReused === true && !this.#isAnswering && failure.outcome === 'reset'
    if (!wasStale || this.#isRedialled) return this.#end(failure.outcome, failure.error)
    this.#isRedialled = true
    this.#leaveSocket()
    this.#shared.connections.take(this.#target.origin, this.#taker, { fresh: true })
  }

  #endByStatus(): void {
    const status = this.#status!
    const outcome = status < 300 ? 'success' : status < 400 ? 'redirect' : 'status'
    this.#end(outcome, null)
  }

  #leaveSocket(): void {
    const connection = this.#connection
    this.#connection = undefined
    if (connection === undefined) return
    this.#address = connection.address
    this.#shared.connections.drop(connection)
  }

  #end(outcome: SendOutcome, error: string | null): void {
    if (this.#isOver) return
    this.#isOver = true
    const { clock, deadlines } = this.#shared
    if (this.#deadline !== undefined) deadlines.cancel(this.#deadline)
    const status = this.#status
    this.#leaveSocket()
    this.#done({
      outcome,
      status,
      remoteAddress: this.#address,
      response: this.#response(),
      retryAfterMs: status === null || status < 300 ? null : askedMs(this.#headers, clock.now()),
      error,
      durationMs: clock.monotonic() - this.#startedMs,
    })
  }

  #response(): Uint8Array | null {
    if (this.#status === null) return null
    if (this.#kept.length === 0) return NO_BYTES
    return this.#kept.length === 1 ? this.#kept[0]! : Buffer.concat(this.#kept)
  }
}

/** Names and values in turn, which undici goes through as they are. */
function listedHeaders(headers: Readonly<Record<string, string>>, userAgent: string): string[] {
  const listed = 'user-agent' in headers ? [] : ['user-agent', userAgent]
  for (const name in headers) listed.push(name, headers[name]!)
  return listed
}

/** What a Retry-After asks for; the receiver's own Date says what time it is there. */
function askedMs(headers: Readonly<Record<string, unknown>>, nowMs: number): number | null {
  const { 'retry-after': asked, date } = headers
  if (typeof asked !== 'string') return null
  const thereMs = typeof date === 'string' ? parseHttpDate(date, nowMs) : undefined
  return parseRetryAfter(asked, thereMs ?? nowMs) ?? null
}
