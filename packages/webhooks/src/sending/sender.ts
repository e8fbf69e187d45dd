import type { Clock } from '@keelson/kernel'
import type { SendOutcome } from '../delivery.ts'
import type { CheckedNetwork } from '../network-options.ts'
import { judgeUrl } from '../safe-agent/check-url.ts'
import { remembered } from '../signing/remembered.ts'
import { append, createLinkedList, remove, valuesOf } from '../linked-list.ts'
import { Attempt } from './attempt.ts'
import { createConnections } from './connections.ts'
import { createDeadlines } from './deadlines.ts'

/** One attempt to be made: a POST. */
export interface SendRequest {
  readonly url: string
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
  /** Covers the wait for a socket, DNS, connect, TLS, head and body. */
  readonly timeoutMs: number
}

/** What is known of an attempt. */
export interface SendResult {
  /** By an answer ('success' 2xx, 'redirect' 3xx, 'status' any other), or by what kept it from one; 'proxy': denied by it. */
  readonly outcome: SendOutcome
  /** Of the answer, also of one that was cut off. */
  readonly status: number | null
  /** Null when nothing was reached, and behind a proxy. */
  readonly remoteAddress: string | null
  /** The first bytes of the body as sent, at most `keepResponseBytes`; null without an answer. */
  readonly response: Uint8Array | null
  /** What a Retry-After of an answer other than 2xx asks for. */
  readonly retryAfterMs: number | null
  /** A code or a reason, such as ECONNREFUSED or 'loopback'; null with a complete answer. */
  readonly error: string | null
  readonly durationMs: number
}

/** Makes attempts over the network. */
export interface Sender {
  /** Never rejects. */
  send(request: SendRequest): Promise<SendResult>
  /** Ends the attempts under way as 'reset' and closes all sockets. */
  close(): Promise<void>
}

/** Where a URL leads. */
export interface Target {
  readonly origin: string
  readonly path: string
}

/** Endpoints are called again and again; judging a URL costs more than signing. */
const MAX_TARGETS = 1_000

/** A sender by these options; durations in ms. `clock` measures and limits attempts. */
export function createSender(network: CheckedNetwork, clock: Clock): Sender {
  const connections = createConnections(network)
  const deadlines = createDeadlines(clock)
  const shared = { network, clock, connections, deadlines }
  const underWay = createLinkedList<Attempt>()
  const targetOf = remembered(MAX_TARGETS, (url): Target | string => {
    const check = judgeUrl(url, network)
    if (!check.allowed) return check.reason
    const { origin, pathname, search } = new URL(url)
    return { origin, path: pathname + search }
  })
  let isClosed = false
  return {
    send(request) {
      if (isClosed) return Promise.resolve(unsent('reset', 'CLOSED'))
      const target = targetOf(request.url)
      if (typeof target === 'string') return Promise.resolve(unsent('refused', target))
      return new Promise((resolve) => {
        const attempt = new Attempt(shared, request, target, (result) => {
          remove(link)
          resolve(result)
        })
        const link = append(underWay, attempt)
        attempt.begin()
      })
    },
    async close() {
      isClosed = true
      // The list loses each as it ends: a copy, or the first would be the last.
      for (const attempt of Array.from(valuesOf(underWay))) attempt.giveUp('reset', 'CLOSED')
      deadlines.stop()
      await connections.close()
    },
  }
}

function unsent(outcome: 'refused' | 'reset', error: string): SendResult {
  return { outcome, status: null, remoteAddress: null, response: null, retryAfterMs: null, error, durationMs: 0 }
}
