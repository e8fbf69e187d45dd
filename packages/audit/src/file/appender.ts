import { systemClock } from '@keelson/kernel'
import { AuditError } from '../error.ts'
import type { Row } from '../store.ts'
import { writeId } from './ids.ts'
import { findEntry, type Journal } from './journal.ts'

/** One write and sync takes at most so much. */
const BATCH_BYTES = 4 << 20
/** What may wait for the disk. */
const WAITING_BYTES = 32 << 20
/** What an entry or a key takes beside its bytes, about. */
const OVERHEAD_BYTES = 64

/** What the appender needs to know of its log. */
export interface AppenderOptions {
  readonly timeoutMs: number
  /** How many bytes more there may be. */
  room(): number
  failure(error: unknown): Error
  /** An entry whose bytes were dropped has this id: perhaps, and for sure. */
  mayBeDropped(id: Uint8Array): boolean
  wasDropped(id: string): Promise<boolean>
}

/** Group commit without a timer: what comes while the disk syncs is the next batch. */
export interface Appender {
  /** Resolves when all of them are durable; those that were there already count as done. */
  append(rows: readonly Row[]): Promise<void>
  /** Runs `fn` while nothing is written, when all that was asked before is done. */
  alone<T>(fn: () => Promise<T>): Promise<T>
}

/** Rows that go to the disk together. */
interface Request {
  readonly rows: readonly Row[]
  readonly bytes: number
  readonly waiters: Waiter[]
}

type Job = () => Promise<void>

/** Who waits for requests, and until when. */
interface Waiter {
  readonly endsMs: number
  /** Of how many requests. */
  left: number
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** What was found of an id: it is there, or it is not below a position. */
type Looked = Map<string, 'there' | number>

const NOTHING: Looked = new Map()

export function createAppender(journal: Journal, o: AppenderOptions): Appender {
  // Rows on their way to the disk.
  const pending = new Map<string, { readonly row: Row; readonly request: Request }>()
  // In order: rows, and what is done while none are written.
  const queue: (Request | Job)[] = []
  const idBytes = new Uint8Array(16)
  let writing: readonly Request[] = []
  let waitingBytes = 0
  let running = false
  let isWatched = false

  function start(): void {
    if (running) return
    running = true
    // Whoever is resolved together asks again together.
    process.nextTick(() => void run())
  }
  async function run(): Promise<void> {
    while (queue.length > 0) {
      const batch = takeBatch()
      if (batch.length > 0) await write(batch)
      else await (queue.shift() as Job)()
    }
    running = false
  }

  /** None when a job is next. */
  function takeBatch(): Request[] {
    const batch: Request[] = []
    let bytes = 0
    for (const request of queue) {
      if (typeof request === 'function' || (bytes > 0 && bytes + request.bytes > BATCH_BYTES)) break
      bytes += request.bytes
      batch.push(request)
    }
    queue.splice(0, batch.length)
    return batch
  }

  async function write(batch: readonly Request[]): Promise<void> {
    writing = batch
    let failed: Error | undefined
    try {
      await journal.write(batch.length === 1 ? batch[0]!.rows : batch.flatMap(({ rows }) => rows))
    } catch (error) {
      failed = o.failure(error)
    }
    writing = []
    for (const request of batch) {
      waitingBytes -= request.bytes
      for (const { id } of request.rows) pending.delete(id)
      for (const waiter of request.waiters) {
        if (failed !== undefined) waiter.reject(failed)
        else if (--waiter.left === 0) waiter.resolve()
      }
    }
    // The next rows of those who were just told go with the next batch.
    await new Promise<void>((resolve) => {
      process.nextTick(resolve)
    })
  }

  /** Nothing else comes between the look and the queue. Answers what to wait for, or that the disk knows more. */
  function enqueue(rows: readonly Row[], looked: Looked): ReadonlySet<Request> | 'look' {
    const fresh: Row[] = []
    const requests = new Set<Request>()
    const own = rows.length > 1 ? new Map<string, Row>() : undefined
    for (const row of rows) {
      const there = pending.get(row.id)
      const twin = there?.row ?? own?.get(row.id)
      if (twin !== undefined && !isSame(twin.bytes, row.bytes)) throw otherBytes(row.id)
      if (there !== undefined) requests.add(there.request)
      const seen = looked.get(row.id)
      if (twin !== undefined || seen === 'there') continue
      if (mayBeThere(row.id, seen)) return 'look'
      own?.set(row.id, row)
      fresh.push(row)
    }
    if (fresh.length === 0) return requests
    let bytes = 0
    for (const row of fresh) bytes += sizeOf(row)
    checkRoom(bytes)
    const request: Request = { rows: fresh, bytes, waiters: [] }
    for (const row of fresh) pending.set(row.id, { row, request })
    queue.push(request)
    requests.add(request)
    waitingBytes += bytes
    start()
    return requests
  }

  function checkRoom(bytes: number): void {
    if (waitingBytes > 0 && waitingBytes + bytes > WAITING_BYTES)
      throw new AuditError('STORE_UNAVAILABLE', `${waitingBytes} bytes of entries wait for the disk already`)
    if (waitingBytes + bytes > o.room()) throw new AuditError('STORE_FULL', 'the store has as many bytes as it may')
  }

  /** At or behind the position. */
  function mayBeThere(id: string, from: number | undefined): boolean {
    writeId(id, idBytes, 0)
    for (const { first, ids } of journal.segments) {
      const candidates = ids.candidates(idBytes, 0)
      if (candidates.some((ordinal) => from === undefined || first + ordinal >= from)) return true
    }
    return from === undefined && o.mayBeDropped(idBytes)
  }

  /** Which of the rows are there already. */
  async function look(rows: readonly Row[], looked: Looked): Promise<void> {
    for (const row of rows) {
      const upTo = journal.end
      const there = (await findEntry(journal, row.id))?.entry
      if (there !== undefined && !isSame(there.bytes, row.bytes)) throw otherBytes(row.id)
      looked.set(row.id, there !== undefined || (await o.wasDropped(row.id)) ? 'there' : upTo)
    }
  }

  function waitFor(requests: ReadonlySet<Request>): Promise<void> {
    return new Promise((resolve, reject) => {
      const waiter = { endsMs: systemClock.monotonic() + o.timeoutMs, left: requests.size, resolve, reject }
      for (const request of requests) request.waiters.push(waiter)
      if (!isWatched) watch(o.timeoutMs)
    })
  }
  /** One timer for all: the next time is that of the oldest who waits then. */
  function watch(leftMs: number): void {
    isWatched = true
    systemClock.timer(() => {
      isWatched = false
      const nowMs = systemClock.monotonic()
      const late = new AuditError('STORE_UNAVAILABLE', `the disk did not answer within ${o.timeoutMs} ms`)
      let nextMs = Infinity
      for (const request of [...writing, ...queue]) {
        if (typeof request === 'function') continue
        for (const { endsMs, reject } of request.waiters) {
          if (endsMs <= nowMs) reject(late)
          else nextMs = Math.min(nextMs, endsMs)
        }
      }
      if (nextMs < Infinity) watch(nextMs - nowMs)
    }, leftMs)
  }

  async function lookAndAppend(rows: readonly Row[]): Promise<void> {
    const looked: Looked = new Map()
    for (;;) {
      await look(rows, looked)
      const requests = enqueue(rows, looked)
      if (requests !== 'look') return requests.size === 0 ? undefined : waitFor(requests)
    }
  }

  return {
    append(rows) {
      try {
        const requests = enqueue(rows, NOTHING)
        if (requests !== 'look') return requests.size === 0 ? Promise.resolve() : waitFor(requests)
      } catch (error) {
        return Promise.reject(error)
      }
      return lookAndAppend(rows).catch((error: unknown) => {
        throw o.failure(error)
      })
    },
    alone<T>(fn: () => Promise<T>) {
      const done = Promise.withResolvers<T>()
      queue.push(() => fn().then(done.resolve, done.reject))
      start()
      return done.promise
    },
  }
}

function sizeOf(row: Row): number {
  let bytes = OVERHEAD_BYTES + row.bytes.length
  for (const { wrapped } of row.keys) bytes += 2 * OVERHEAD_BYTES + wrapped.length
  return bytes
}

function isSame(a: Uint8Array, b: Uint8Array): boolean {
  return a === b || Buffer.compare(a, b) === 0
}

function otherBytes(id: string): AuditError {
  return new AuditError('ENTRY_INVALID', `the entry ${id} is there already, with other bytes`)
}
