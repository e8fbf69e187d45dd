import { spawn } from 'node:child_process'
import type { Call, Execution, IdempotencyOptions, Outcome } from '@keelson/idempotency'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import type { StoreKind } from './open-store.ts'

/** One call, made `times` at once. Its work writes a line into the ledger, says so, saves, sleeps, waits, and answers. */
export interface Order {
  readonly id: string
  readonly call: Call
  readonly times?: number
  /** It goes on when that fails. */
  readonly save?: string
  readonly holdMs?: number
  /** Waits for `go`. */
  readonly gated?: boolean
  /** After that, as soon as the store can be asked; another failure is the work's. */
  readonly saveLater?: string
  readonly value?: unknown
}

/** What the ledger is told at the start of each work. */
export interface LedgerLine {
  readonly attempt: number
  readonly fence: string
  /** What the work will answer. */
  readonly value: unknown
}

type Plain<T> = T extends { error(): unknown } ? Omit<T, 'error'> : T

/** What one call was answered, and when on the clock that all processes share; ms. */
export interface Answered {
  readonly outcome?: Plain<Outcome<unknown>> | undefined
  readonly threw?: string
  readonly atMs: number
}

type Started = Pick<Execution, 'attempt' | 'fence' | 'checkpoint'>

/** What a worker says of an order. */
export type Said = { readonly id: string } & (
  | { readonly said: 'ready' | 'saved' }
  | ({ readonly said: 'started' } & Started)
  | { readonly said: 'ended'; readonly answers: readonly Answered[] }
)

/** An order on its way. Each promise rejects when the process ends first. */
interface Ordered {
  readonly started: Promise<Started>
  readonly saved: Promise<void>
  readonly answers: Promise<readonly Answered[]>
  /** Lets the work go on. */
  go(): void
}

/** A process of its own with an instance over a store. */
export interface RunProcess extends AsyncDisposable {
  readonly pid: number
  order(order: Omit<Order, 'id'>): Ordered
  /** SIGSTOP: it stands still and keeps what it has. */
  freeze(): void
  thaw(): void
  kill(): Promise<void>
  readonly ended: Promise<string>
}

/** Where the process finds its store. */
export interface RunProcessOptions {
  readonly kind: StoreKind
  readonly url: string
  readonly space: string
  /** A Redis that hears of each work before it begins. */
  readonly ledgerUrl?: string
  readonly options?: Partial<Omit<IdempotencyOptions, 'store'>>
}

let orders = 0

export async function startRunProcess({
  kind,
  url,
  space,
  ledgerUrl,
  options,
}: RunProcessOptions): Promise<RunProcess> {
  const worker = await startWorker<Order | { go: string }, Said>(new URL('./run-worker.ts', import.meta.url), {
    STORE: kind,
    STORE_URL: url,
    SPACE: space,
    ...(ledgerUrl === undefined ? {} : { LEDGER_URL: ledgerUrl }),
    OPTIONS: JSON.stringify(options ?? {}),
  })
  const listeners = new Map<string, (said: Said) => void>()
  worker.onMessage((said) => listeners.get(said.id)?.(said))
  let dead = false
  let guard: (() => void) | undefined
  const kill = (): Promise<void> => {
    dead = true
    guard?.()
    return worker.kill()
  }
  // A pipe without a reader would be an error of ours.
  const send = (message: Order | { go: string }): void => {
    if (!dead) worker.send(message)
  }
  return {
    pid: worker.pid,
    ended: worker.ended,
    order(order) {
      const id = String(++orders)
      const started = Promise.withResolvers<Started>()
      const saved = Promise.withResolvers<void>()
      const answers = Promise.withResolvers<readonly Answered[]>()
      for (const { promise } of [started, saved, answers]) promise.catch(() => {})
      listeners.set(id, (said) => {
        if (said.said === 'started') started.resolve(said)
        else if (said.said === 'saved') saved.resolve()
        else if (said.said === 'ended') answers.resolve(said.answers)
      })
      void worker.ended.then((how) => {
        for (const { reject } of [started, saved, answers]) reject(new Error(`the process ended first: ${how}`))
      })
      send({ id, ...order })
      return {
        started: started.promise,
        saved: saved.promise,
        answers: answers.promise,
        go: () => send({ go: id }),
      }
    },
    freeze: () => {
      guard = guardFrozen(worker.pid)
      process.kill(worker.pid, 'SIGSTOP')
    },
    thaw: () => {
      process.kill(worker.pid, 'SIGCONT')
      guard?.()
    },
    kill,
    [Symbol.asyncDispose]: kill,
  }
}

/** A process that stands still does not hear that we have died: a shell does, and ends it. The answer ends the guard. */
function guardFrozen(pid: number): () => void {
  const script = 'read -r _ || kill -KILL "$1"'
  const shell = spawn('sh', ['-c', script, 'sh', String(pid)], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  shell.on('error', () => {})
  shell.stdin.on('error', () => {})
  shell.unref()
  return () => void shell.stdin.end('\n')
}
