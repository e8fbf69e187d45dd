import { startWorker, type WorkerProcess } from './worker-process.ts'

/** Where a worker dies: at its own hand, before, just after sending or after the answer of its n-th flight; or at random. */
export type Death =
  | { readonly flight: number; readonly when: 'before' | 'sent' | 'answered' }
  | { readonly afterMs: number }

/** What a worker is told: begin these writes, keep so many in flight, die there. */
export interface CrashJob {
  readonly keys: readonly string[]
  readonly inFlight: number
  readonly death?: Death
}

/** What a worker says: this write was answered so. */
export interface CrashAnswer {
  readonly key: string
  readonly answer: string
}

/** What must hold of one write: told to the client or not, it is all there once, or none of it is. */
export interface WriteState {
  /** Counts of each thing the write makes: business rows, effect rows, stored answers. */
  readonly counts: Record<string, number>
}

export interface CrashScenario {
  readonly worker: URL
  readonly env?: Record<string, string>
  /** The writes in flight of each process when it dies; each is one run. */
  readonly inFlight: number
  readonly deaths: readonly Death[]
  /** Resolves when nothing of a dead worker can act any more, and `read` and `retry` may be called. */
  settled?(worker: { readonly pid: number }): Promise<void>
  /** Called when a death was judged; a database with room for one process is free again when it resolves. */
  judged?(): Promise<void>
  /** The state of these writes, by key. */
  read(keys: readonly string[]): Promise<Map<string, WriteState>>
  /** What a client does whose connection was reset: the same write again; the answer. */
  retry(key: string): Promise<string>
  /** The database has room for one process at a time. */
  exclusive?: boolean
  random?: () => number
}

/** What was done and what was found broken. */
export interface CrashReport {
  readonly kills: number
  readonly runs: number
  readonly retries: number
  readonly broken: readonly string[]
}

/** Kills one worker after another in the middle of its writes; clients retry or never return; then rows are counted. */
export async function crashRuns(scenario: CrashScenario): Promise<CrashReport> {
  const { deaths, inFlight, random = Math.random } = scenario
  const broken: string[] = []
  let runs = 0
  let retries = 0
  const start = (): Promise<WorkerProcess<CrashJob, CrashAnswer>> => startWorker(scenario.worker, scenario.env)
  // The next process starts while this one works, unless the database has room for one only.
  let next = scenario.exclusive === true ? undefined : start()

  for (const [index, death] of deaths.entries()) {
    const worker = await (next ?? start())
    next = scenario.exclusive === true || index === deaths.length - 1 ? undefined : start()
    const keys = Array.from({ length: 40 * inFlight }, (_, i) => `${worker.pid}-${index}-${i}`)
    const told = new Map<string, string>()
    worker.onMessage(({ key, answer }) => told.set(key, answer))
    worker.send({ keys, inFlight, death })
    if ('afterMs' in death) {
      await firstAnswer(worker)
      await new Promise((resolve) => setTimeout(resolve, death.afterMs))
      await worker.kill()
    }
    const how = await worker.ended
    if (how !== 'SIGKILL') broken.push(`worker ${worker.pid} was to die by SIGKILL, but: ${how}`)
    await scenario.settled?.(worker)

    // Begun are the answered ones and `inFlight` more; what lies behind them must not exist either.
    const begun = keys.slice(0, told.size + 2 * inFlight)
    runs += inFlight
    const dead = await scenario.read(begun)
    for (const key of begun) broken.push(...verdict(key, dead.get(key), told.has(key) ? 1 : undefined))

    const retried = begun.filter((key) => !told.has(key) || random() < 0.2).filter(() => random() < 0.5)
    for (const key of retried) {
      const answer = await scenario.retry(key)
      retries++
      if (told.has(key) && told.get(key) !== answer) broken.push(`${key}: told ${told.get(key)}, then ${answer}`)
    }
    const after = await scenario.read(retried)
    for (const key of retried) broken.push(...verdict(key, after.get(key), 1))
    await scenario.judged?.()
  }
  return { kills: deaths.length, runs, retries, broken }
}

/** All counts are equal, 0 or 1, and what `expected` says where the client knows. */
function verdict(key: string, state: WriteState | undefined, expected: 1 | undefined): string[] {
  const counts = Object.values(state?.counts ?? {})
  const first = counts[0] ?? 0
  const whole = counts.every((count) => count === first) && (first === 0 || first === 1)
  if (whole && (expected === undefined || first === expected)) return []
  return [`${key}: ${JSON.stringify(state?.counts ?? 'nothing')}${expected === 1 ? ', but its client was told' : ''}`]
}

/** So that a random death meets a worker in full work. */
function firstAnswer(worker: WorkerProcess<CrashJob, CrashAnswer>): Promise<unknown> {
  return Promise.race([new Promise((resolve) => worker.onMessage(resolve)), worker.ended])
}

/** `count` deaths at random moments within `withinMs` of full work. */
export function randomDeaths(count: number, withinMs: number, random: () => number = Math.random): Death[] {
  return Array.from({ length: count }, () => ({ afterMs: random() * withinMs }))
}

/** Before, between and after each of `flights` flights. */
export function everyBoundary(flights: number): Death[] {
  return Array.from({ length: flights }, (_, i) => i + 1).flatMap((flight) =>
    (['before', 'sent', 'answered'] as const).map((when) => ({ flight, when })),
  )
}
