import { systemClock } from '../clock.ts'
import { isKeelsonError } from '../error.ts'
import { KernelError } from '../kernel-error.ts'
import type { QueryResult, Tx } from '../tx.ts'
import { endsUnit } from '../ends-unit.ts'

/** The transaction as the work sees it, and what the unit must know of its use. */
export interface OpenTx {
  readonly tx: Tx
  /** Statements without an answer yet. */
  readonly pending: number
  /** When a statement last left or was answered, on the monotonic clock. */
  readonly lastActiveMs: number
  /** Waits for every statement that the work did not await; answers the first failure among them. */
  settled(): Promise<Error | undefined>
  /** The first statement that failed: after it Postgres commits nothing. */
  readonly failure: Error | undefined
  /** From now on nothing reaches the connection: it may be another's. */
  end(): void
}

type Query = (...args: any[]) => unknown

/** Guards the statements of one transaction on their way to the driver; arguments and results pass untouched. */
export function openTx(query: Query, raw: unknown): OpenTx {
  let ended = false
  let failure: Error | undefined
  let unseen: Error | undefined
  const running = new Set<Promise<unknown>>()
  let last: Promise<unknown> = Promise.resolve()
  let lastActiveMs = systemClock.monotonic()

  function send(args: unknown[]): unknown {
    if (ended) throw new KernelError('TX_ENDED', 'this transaction has ended: its connection may be in other hands')
    const text = typeof args[0] === 'string' ? args[0] : (args[0] as { text?: unknown } | undefined)?.text
    if (typeof text === 'string' && endsUnit(text)) {
      throw new KernelError(
        'INPUT_INVALID',
        `tx.query: '${text.trim().slice(0, 40)}' would end the unit of work; return to commit, throw to roll back`,
      )
    }
    lastActiveMs = systemClock.monotonic()
    return query(...args)
  }

  function track(answer: Promise<unknown>): Promise<unknown> {
    // Before the work hears of the answer: what it sends next must find the connection free.
    const answered = (): void => {
      running.delete(watched)
      lastActiveMs = systemClock.monotonic()
    }
    // An error that nobody awaits must not end the process; settled() makes it fail the unit.
    const watched: Promise<void> = answer.then(answered, (error: Error) => {
      // An error of ours was never sent.
      if (!isKeelsonError(error)) failure ??= error
      unseen ??= error
      answered()
    })
    running.add(watched)
    last = watched
    return answer
  }

  const tx: Tx = {
    raw,
    query: ((...args: unknown[]): unknown => {
      // One at a time: pg warns of a second query on a busy client.
      if (running.size > 0) return track(last.then(() => send(args)))
      try {
        const answer = send(args)
        return isPromise(answer) ? track(answer) : answer
      } catch (error) {
        const refused = Promise.reject(error)
        if (!ended) return track(refused)
        // Here too nobody may be awaiting it: a work goes on after its connection was lost.
        refused.catch(() => {})
        return refused
      }
    }) as Tx['query'],
  }

  return {
    tx,
    get pending() {
      return running.size
    },
    get lastActiveMs() {
      return lastActiveMs
    },
    get failure() {
      return failure
    },
    async settled() {
      if (running.size === 0) return undefined
      unseen = undefined
      while (running.size > 0) await Promise.all(running)
      return unseen
    },
    end() {
      ended = true
    },
  }
}

function isPromise(value: unknown): value is Promise<QueryResult> {
  return typeof (value as { then?: unknown } | undefined)?.then === 'function'
}
