import { setTimeout as sleep } from 'node:timers/promises'
import { Redis } from 'ioredis'
import type { Guarantee } from '@keelson/idempotency'
import type { PrivateServer } from '../../../../tools/servers/private-server.ts'
import type { StoreKind } from './open-store.ts'
import { startRunProcess, type Answered, type LedgerLine, type RunProcess } from './run-process.ts'
import { startStand, type Stand } from './stand.ts'

const PROCESSES = 3
const LANES = 24
const LEASE_MS = 300
/** What still runs or is owed when the faults are over ends within this. */
const REST_MS = 3_000
/** Until every key must have its end then. */
const CALM_MS = 60_000

/** What was found. */
export interface ScheduleReport {
  readonly keys: number
  readonly works: number
  readonly takeovers: number
  readonly unknown: number
  readonly faults: Record<string, number>
  readonly broken: readonly string[]
}

interface Key {
  readonly key: string
  readonly guarantee: Guarantee
  /** What callers were answered and promised to be answered again. */
  readonly promised: Set<unknown>
  readonly told: Set<unknown>
}

/**
 * Callers on three processes use keys twice at once and again, while processes and the store are killed, frozen and cut
 * off at random. Each work writes a line into a ledger outside before it begins. Then all is calm, and is counted.
 */
export async function runSchedule(
  kind: StoreKind,
  ledger: PrivateServer,
  { keys: count, seed }: { keys: number; seed: number },
): Promise<ScheduleReport> {
  await using stand = await startStand(kind)
  const random = seededRandom(seed)
  const start = () =>
    startRunProcess({ ...stand, ledgerUrl: ledger.url, options: { lease: LEASE_MS, wait: '1s', retain: '1h' } })
  const processes = await Promise.all(Array.from({ length: PROCESSES }, start))
  const keys = Array.from({ length: count }, (_, i): Key => {
    const guarantee = i % 2 === 0 ? 'at-most-once' : 'at-least-once'
    return { key: `${seed}-${kind}-${i}`, guarantee, promised: new Set(), told: new Set() }
  })
  let values = 0
  const state = { over: false, broken: false }

  /** One try of a caller: undefined when its process died under it. */
  async function call({ key, guarantee, promised, told }: Key, by: RunProcess): Promise<Answered['outcome']> {
    const order = by.order({
      call: { scope: 'm1', op: 'charge', key, guarantee },
      save: 'half',
      holdMs: Math.floor(random() * 250),
      value: `value-${++values}`,
    })
    const [answer] = await order.answers.catch(() => [])
    const outcome = answer?.outcome
    if (outcome?.ok === true) {
      told.add(outcome.value)
      if (outcome.stored) promised.add(outcome.value)
    }
    return outcome
  }

  const isEnd = (outcome: Answered['outcome']): boolean =>
    outcome !== undefined && (outcome.ok || outcome.code === 'OUTCOME_UNKNOWN')

  async function use(key: Key): Promise<void> {
    for (let ended = 0; ended < 2 && !state.broken;) {
      if (isEnd(await call(key, processes[Math.floor(random() * PROCESSES)]!))) ended++
      else await sleep(20)
    }
  }

  const queue = keys.flatMap((key) => [key, key])
  const lanes = Array.from({ length: LANES }, async () => {
    for (let key = queue.shift(); key !== undefined; key = queue.shift()) await use(key)
  })
  const harmed = harm(stand, processes, start, random, () => state.over)
  harmed.catch(() => (state.broken = true)) // such as a server that does not start again
  await Promise.all(lanes)
  state.over = true
  const faults = await harmed
  await sleep(REST_MS)

  const broken: string[] = []
  const books = new Redis(ledger.url)
  let works = 0
  let takeovers = 0
  let unknown = 0
  const finish = async (key: Key): Promise<void> => {
    const ends = await lastAnswers(key)
    const lines = (await books.lrange(`ledger:${key.key}`, 0, -1)).map((line) => JSON.parse(line) as LedgerLine)
    works += lines.length
    takeovers += Math.max(0, lines.length - 1)
    if (ends.some((end) => end?.ok === false)) unknown++
    for (const what of verdict(key, lines, ends)) broken.push(`${key.key}: ${what} (${JSON.stringify(lines)})`)
  }
  /** Of two processes. On a loaded machine an answer may be told to the store long behind its caller: so ask again. */
  async function lastAnswers(key: Key): Promise<Answered['outcome'][]> {
    const untilMs = performance.now() + CALM_MS
    const isLast = (outcome: Answered['outcome']): boolean => isEnd(outcome) && (outcome?.ok !== true || outcome.stored)
    for (;;) {
      const ends = await Promise.all(processes.slice(0, 2).map((each) => call(key, each)))
      if ((ends.every(isLast) && answersOf(ends).size === 1) || performance.now() > untilMs) return ends
      await sleep(50)
    }
  }
  const rest = [...keys]
  await Promise.all(
    Array.from({ length: LANES }, async () => {
      for (let key = rest.shift(); key !== undefined; key = rest.shift()) await finish(key)
    }),
  )
  books.disconnect()
  await Promise.all(processes.map((each) => each.kill()))
  return { keys: count, works, takeovers, unknown, faults, broken }
}

const answersOf = (ends: readonly Answered['outcome'][]): Set<unknown> =>
  new Set(ends.map((end) => (end?.ok === true ? end.value : end?.code)))

function verdict(
  { guarantee, promised, told }: Key,
  lines: readonly LedgerLine[],
  ends: readonly Answered['outcome'][],
): string[] {
  const broken: string[] = []
  const ran = new Set(lines.map(({ value }) => value))
  const answers = answersOf(ends)
  if (answers.size !== 1) broken.push(`ends as ${[...answers].map(String).join(' and ')}`)
  if (guarantee === 'at-most-once' && lines.length > 1) broken.push(`ran ${lines.length} times`)
  if (guarantee === 'at-least-once' && !ends.every((end) => end?.ok === true && end.stored)) {
    broken.push(`has no stored answer but ${JSON.stringify(ends)}`)
  }
  for (const value of promised) if (!answers.has(value)) broken.push(`promised ${String(value)}`)
  for (const value of told) if (!ran.has(value)) broken.push(`told ${String(value)}, which never ran`)
  const byFence = lines.toSorted((a, b) => Number(BigInt(a.fence) - BigInt(b.fence)))
  for (const [i, line] of byFence.entries()) {
    const before = byFence[i - 1]
    if (before !== undefined && (line.attempt <= before.attempt || line.fence === before.fence)) {
      broken.push(`attempt ${line.attempt} has fence ${line.fence}, attempt ${before.attempt} had ${before.fence}`)
    }
  }
  return broken
}

/** Harms one process and the store after the other until `over`, then mends all. Answers how often which. */
async function harm(
  stand: Stand,
  processes: RunProcess[],
  start: () => Promise<RunProcess>,
  random: () => number,
  over: () => boolean,
): Promise<Record<string, number>> {
  const { server, proxy } = stand
  const between = (least: number, most: number): number => least + Math.floor(random() * (most - least))
  const some = (): number => between(0, PROCESSES)
  const script = stand.kind === 'Postgres' ? 'COMMIT\0' : 'EVALSHA'
  const lasting = (begin: () => void, end: () => void, most: number) => async (): Promise<void> => {
    begin()
    await sleep(between(20, most))
    end()
  }
  const processFaults: Faults = {
    'process killed': async () => {
      const i = some()
      await processes[i]!.kill()
      processes[i] = await start()
    },
    'process frozen': async () => {
      const frozen = processes[some()]!
      frozen.freeze()
      await sleep(between(LEASE_MS / 2, 3 * LEASE_MS))
      frozen.thaw()
    },
  }
  const storeFaults: Faults = {
    'store frozen': lasting(server.freeze, server.thaw, 400),
    'store killed': async () => {
      await server.kill()
      await server.restart()
    },
    'store refuses': lasting(proxy.refuse, proxy.pass, 400),
    'store slow': lasting(() => proxy.delay(between(10, 300)), proxy.pass, 400),
    'store mute': lasting(proxy.mute, () => (proxy.pass(), proxy.resetAll()), 400),
    'store half-open': lasting(proxy.halfOpen, proxy.resetAll, 400),
    'connections reset': async () => proxy.resetAll(),
    'reply lost': () => Promise.race([proxy.loseReplyAfter((bytes) => bytes.includes(script)), sleep(100)]),
  }
  const done: Record<string, number> = {}
  const loop = async (faults: Faults, longestPauseMs: number): Promise<void> => {
    const names = Object.keys(faults)
    while (!over()) {
      const name = names[between(0, names.length)]!
      await faults[name]!()
      done[name] = (done[name] ?? 0) + 1
      await sleep(between(0, longestPauseMs))
    }
  }
  await Promise.all([loop(processFaults, 100), loop(storeFaults, 400)])
  return done
}

type Faults = Record<string, () => Promise<unknown>>

/** mulberry32: the same numbers for the same seed. */
function seededRandom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let n = Math.imul(state ^ (state >>> 15), state | 1)
    n ^= n + Math.imul(n ^ (n >>> 7), n | 61)
    return ((n ^ (n >>> 14)) >>> 0) / 2 ** 32
  }
}
