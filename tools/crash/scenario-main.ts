/** The process of a scenario, worker or witness: loads its file, then does what it is asked, until it is killed. */
import { flushCompileCache } from 'node:module'
import { fly } from './flight.ts'
import { aboutOf, writeAt, type About, type Death, type Write } from './plan.ts'
import { wholeOnce, type Counts, type CrashPlace, type CrashScenario, type CrashWrites } from './scenario.ts'

/** A write, and what its client was told of it. */
export interface Told extends Write {
  readonly told: string
}

/** A retry that was rejected. */
export interface Threw extends Write {
  readonly threw: string
}

/** What is wrong with a write. */
export interface Finding {
  readonly key: string
  readonly wrong: string
}

/** What a worker is asked to do. */
export interface Job {
  readonly seed: number
  readonly round: number
  readonly death: Death
}

/** What a process can be asked. */
export interface Asks {
  about(): Promise<About>
  open(place: CrashPlace): Promise<void>
  /** Makes these writes one after the other, and answers how many flights each took. */
  rehearse(writes: readonly Write[]): Promise<(Told & { flights: number })[]>
  /** Writes, telling each answer in a message, until it dies. Resolves when the death has not come. */
  work(job: Job): Promise<void>
  /** All at once. */
  retry(writes: readonly Write[]): Promise<(Told | Threw)[]>
  /** What is wrong with these writes. */
  judge(writes: readonly (Write & { told: string | undefined })[]): Promise<Finding[]>
  check(): Promise<string | undefined>
}

/** What a process says; `id` is the question's. */
export type Said =
  | { readonly told: Told }
  | { readonly id: number; readonly answer: unknown }
  | { readonly id: number; readonly threw: string }

/** A boundary that no write has reached by then is none. */
const MOST_WRITES = 5_000

const scenario = ((await import(process.env['CRASH_SCENARIO']!)) as { default: CrashScenario }).default
if (typeof scenario?.open !== 'function') throw new TypeError('the default export must be a scenario with open()')
flushCompileCache() // at its end there is no time
const about = aboutOf(scenario)
let writes: CrashWrites

const asks: Asks = {
  about: async () => about,

  async open(place) {
    writes = await scenario.open(place)
  },

  async rehearse(list) {
    const told = []
    for (const write of list) {
      const { value, flights } = await fly(undefined, () => writes.write(write.key, write.kind))
      if (typeof value !== 'string')
        throw new TypeError(`write() must answer what its client is told (got ${String(value)})`)
      if (flights === 0) throw new Error('write() made no flight at which it could die: wrap the driver, see flight()')
      told.push({ ...write, told: value, flights })
    }
    return told
  },

  async work(job) {
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < MOST_WRITES) {
        const index = next++
        const write = writeAt({ ...job, ...about }, index)
        const { value } = await fly(deathOf(write, index, job.death), () => writes.write(write.key, write.kind))
        process.send!({ told: { ...write, told: value } } satisfies Said)
      }
    }
    await Promise.all(Array.from({ length: about.inFlight }, lane))
  },

  retry: (list) =>
    Promise.all(
      list.map((write) =>
        writes.write(write.key, write.kind).then(
          (told) => ({ ...write, told }),
          (error: unknown) => ({ ...write, threw: textOf(error) }),
        ),
      ),
    ),

  async judge(list) {
    const found: unknown = await writes.read(list.map(({ key }) => key))
    if (!(found instanceof Map)) throw new TypeError(`read() must answer a Map of counts by key (got ${String(found)})`)
    return list.flatMap((write) => {
      const counts = (found as ReadonlyMap<string, Counts>).get(write.key) ?? {}
      const wrong = (scenario.judge ?? wholeOnce)({ ...write, counts })
      if (wrong === undefined) return []
      return [{ key: write.key, wrong: `${wrong}; ${JSON.stringify(counts)}, told ${write.told ?? 'nothing'}` }]
    })
  },

  check: async () => writes.check?.(),
}

function deathOf({ kind }: Write, index: number, death: Death) {
  return 'boundary' in death && index >= death.from && kind === death.boundary.kind ? death.boundary : undefined
}

/** With the line that has thrown. */
function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const thrower = error.stack?.split('\n').find((line) => line.startsWith('    at '))
  return [`${error.name}: ${error.message}`, thrower?.trim()].join(' ')
}

async function answer(id: number, ask: keyof Asks, args: unknown[]): Promise<Said> {
  try {
    return { id, answer: await (asks[ask] as (...args: unknown[]) => Promise<unknown>)(...args) }
  } catch (error) {
    return { id, threw: textOf(error) }
  }
}

process.on('message', ({ id, ask, args }: { id: number; ask: keyof Asks; args: unknown[] }) => {
  void answer(id, ask, args).then((said) => process.send!(said))
})
process.on('disconnect', () => process.exit())
process.send!({ ready: true })
