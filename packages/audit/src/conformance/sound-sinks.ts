import { parseRetryAfter } from '@keelson/kernel/retry-after'
import { withSeal } from '../entry/seal-member.ts'
import { DeliveryFailure } from '../sinks/delivery-failure.ts'
import { checkSinkOptions, type SinkOptions } from '../sinks/sink-options.ts'
import type { Batch, Outcome, Sink } from '../sink.ts'
import type { ArrivedEntry, SinkFault, SinkUnderTest } from './sink-under-test.ts'

/*
 * Three sinks as good as a sink can be, with receivers in memory: one that is answered request by request, one that
 * nobody answers, one that keeps its own place. The broken ones are made of them.
 */

/** What is answered, as by HTTP. */
export interface Answer {
  readonly status: number
  readonly retryAfter?: string
  /** Absent: it is no JSON. */
  readonly body?: { readonly items?: readonly number[]; readonly invalid?: number; readonly rejected?: number }
}

/** What may be wrong between a sink and its receiver, or with the sink itself. */
export interface Tampering {
  sink?(sink: Sink, receiver: SinkUnderTest): Partial<Sink>
  /** What leaves the sink. */
  sent?(documents: readonly Uint8Array[], batch: Batch): readonly Uint8Array[]
  /** What the sink reads. */
  answer?(answer: Answer, entries: number): Answer
  /** The receiver keeps copies. */
  readonly forgetful?: boolean
}

const SECRET = 'a-password-of-nobody'

/** Answered request by request, with a status for each entry. */
function answeredSink({ sink: change, sent, answer: changed, forgetful = false }: Tampering = {}): SinkUnderTest {
  const kept: ArrivedEntry[] = []
  const ids = new Set<string>()
  const faults: SinkFault[] = []

  function keep({ id }: Batch['entries'][number], document: Uint8Array): number {
    if (ids.has(id) && !forgetful) return 409
    ids.add(id)
    kept.push({ document })
    return 201
  }

  async function post({ entries }: Batch, documents: readonly Uint8Array[], signal: AbortSignal): Promise<Answer> {
    const fault = faults[0]?.kind === 'setup' ? undefined : faults.shift()
    if (fault?.kind === 'reset') throw new Error('the connection was reset')
    if (fault?.kind === 'hang')
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    if (fault?.kind === 'status') return { ...fault, body: {} }
    if (fault?.kind === 'html') return { status: 200 }
    if (fault?.kind === 'invalid') return { status: 400, body: { invalid: fault.place } }
    const wrong = fault?.kind === 'items' ? fault.items : {}
    const refused = fault?.kind === 'partial' ? fault.rejected : 0
    const items = entries.slice(refused).map((entry, i) => wrong[i] ?? keep(entry, documents[i + refused]!))
    if (fault?.kind === 'lost') throw new Error('the connection was reset')
    if (refused > 0) return { status: 200, body: { rejected: refused } }
    return { status: 200, body: { items: fault?.kind === 'short' ? items.slice(1) : items } }
  }

  function open(options: SinkOptions = {}): Sink {
    const { base } = checkSinkOptions('answeredSink', 'answered', options, {})
    const sink: Sink = {
      ...base,
      ordered: false,
      async setup() {
        const at = faults.findIndex(({ kind }) => kind === 'setup')
        const [fault] = at === -1 ? [] : faults.splice(at, 1)
        if (fault?.kind === 'setup') readStatus({ status: fault.status })
      },
      async deliver(batch, signal) {
        const documents = documentsOf(batch)
        const answer = await post(batch, sent?.(documents, batch) ?? documents, signal)
        return outcomesOf(changed?.(answer, batch.entries.length) ?? answer, batch.entries.length)
      },
    }
    return { ...sink, ...change?.(sink, subject) }
  }

  const subject: SinkUnderTest = {
    sink: open,
    arrived: async () => kept,
    fail: (fault) => void faults.push(fault),
    secrets: [SECRET],
  }
  return subject
}

/** @throws DeliveryFailure */
function outcomesOf(answer: Answer, entries: number): readonly Outcome[] {
  const { status, body } = answer
  if (status === 400 && body?.invalid !== undefined) {
    const { invalid } = body
    return Array.from({ length: entries }, (_, i) => (i === invalid ? { reject: '400 invalid' } : { retry: 'another' }))
  }
  readStatus(answer)
  if (body?.rejected !== undefined) {
    return Array.from({ length: entries }, () => ({ reject: `${body.rejected} of ${entries} refused` }))
  }
  if (body?.items?.length !== entries) throw new DeliveryFailure('an answer without an item for each entry')
  return body.items.map((item) => {
    if (item === 409) return 'duplicate'
    if (item < 300) return 'ok'
    if (item === 403) return { halt: 'the index is blocked' }
    return item === 429 || item >= 500 ? { retry: `${item}` } : { reject: `${item} wrong` }
  })
}

/** @throws DeliveryFailure unless it is 2xx */
function readStatus({ status, retryAfter }: Answer): void {
  if (status < 300) return
  const after = parseRetryAfter(retryAfter ?? null, Date.now())
  const halt = status < 400 || status === 401 || status === 403 || status === 404
  const isOurs = status >= 400 && status < 500 && status !== 408 && status !== 429 && !halt
  throw new DeliveryFailure(`it answered ${status}`, {
    ...(halt ? { halt } : {}),
    ...(isOurs ? { status: 413 } : {}),
    ...(after === undefined ? {} : { retryAfter: after }),
  })
}

/** Nobody answers: what was handed over counts when the connection has lasted. */
function silentSink({ sink: change }: Tampering = {}): SinkUnderTest {
  const kept: ArrivedEntry[] = []
  const faults: SinkFault[] = []
  let connections = 0
  const cuts = new Set<number>()

  function open(options: SinkOptions = {}): Sink {
    const { base } = checkSinkOptions('silentSink', 'silent', options, {})
    let mine: number | undefined
    let isLost = false
    async function connect(signal: AbortSignal): Promise<number> {
      const fault = faults.shift()
      if (fault?.kind === 'reset') throw new Error('nobody answers')
      if (fault?.kind === 'hang') {
        await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
      }
      return ++connections
    }
    const sink: Sink = {
      ...base,
      ordered: true,
      settleAfterMs: 5_000,
      lost() {
        isLost ||= mine !== undefined && cuts.has(mine)
        if (isLost) mine = undefined
        const was = isLost
        isLost = false
        return was
      },
      async deliver(batch, signal) {
        if (mine !== undefined && cuts.has(mine)) {
          mine = undefined
          isLost = true
        }
        if (isLost) throw new DeliveryFailure('the connection was lost')
        mine ??= await connect(signal)
        kept.push(...documentsOf(batch).map((document) => ({ document })))
        return batch.entries.map(() => 'ok')
      },
      async close() {
        mine = undefined
        isLost = false
      },
    }
    return { ...sink, ...change?.(sink, subject) }
  }

  const subject: SinkUnderTest = {
    sink: open,
    arrived: async () => kept,
    fail: (fault) => void faults.push(fault),
    cut: () => void cuts.add(connections),
  }
  return subject
}

/** Keeps how much there is with the cursor, and cuts the rest off. */
function exactSink({ sink: change }: Tampering = {}): SinkUnderTest {
  const kept: ArrivedEntry[] = []

  function open(options: SinkOptions = {}): Sink {
    const { base } = checkSinkOptions('exactSink', 'exact', options, {})
    const sink: Sink = {
      ...base,
      ordered: true,
      async open(state) {
        if (state !== null) kept.splice(Number(state))
      },
      state: () => String(kept.length),
      async deliver(batch) {
        kept.push(...documentsOf(batch).map((document) => ({ document })))
        return batch.entries.map(() => 'ok')
      },
    }
    return { ...sink, ...change?.(sink, subject) }
  }

  const subject: SinkUnderTest = { sink: open, arrived: async () => kept }
  return subject
}

/** One of them, and what it can do. */
interface Sound {
  readonly has: readonly string[]
  make(tampering?: Tampering): SinkUnderTest
}

/** All three. */
export const SOUND: Readonly<Record<'answered' | 'silent' | 'exact', Sound>> = {
  answered: {
    make: answeredSink,
    has: ['options', 'network', 'status', 'body', 'items', 'names', 'counts', 'once', 'setup'],
  },
  silent: { make: silentSink, has: ['options', 'network', 'settles'] },
  exact: { make: exactSink, has: ['options', 'once', 'state'] },
}

function documentsOf({ log, entries }: Batch): readonly Uint8Array[] {
  return entries.map(({ bytes, index, leaf }) => withSeal(bytes, { log, index, leaf }))
}
