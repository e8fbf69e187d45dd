import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Call, Idempotency, Outcome } from '@keelson/idempotency'
import { until } from '../../../../tools/servers/until.ts'
import type { Fault } from './faults.ts'
import { gate, timed, type Gate, type Stand, type Timed } from './stand.ts'

/** Ends by itself long after each test. */
const LEASE_MS = 120_000
/** Of the work that goes on through the outage: it outlives outage and recovery, also on a machine that stands still. */
const SAVER_LEASE_MS = 60_000
/** A waiter that hears nothing looks again after a quarter of its own lease. */
const WAITER_LEASE_MS = 8_000
const OUTAGE_MS = 300
/** From the end of an outage until all is as if it had not been: far less than a lease. */
export const RECOVERY_MS = 20_000

/** How often each work has run. */
type Runs = Record<'begin' | 'settle' | 'release' | 'save' | 'waiter' | 'unprotected', number>

/** What calls met an outage with, and what became of them. */
export interface Seen {
  readonly runs: Runs
  /** A call that begins in the outage, 20 more on the same instance, its works until the end, and the key after. */
  readonly first: Timed<Outcome<string>>
  readonly next: Timed<Outcome<string>[]>
  readonly ranMeanwhile: number
  readonly again: Outcome<string>
  readonly backMs: number
  /** A work that ends in the outage, and a repeat after it. */
  readonly settled: Timed<Outcome<object>>
  readonly settleRepeat: Outcome<unknown>
  /** A work that throws `failure` in the outage, and a repeat after it. */
  readonly failure: Error
  readonly thrown: Timed<unknown>
  readonly releaseRepeat: Outcome<string>
  /** A work that saves in the outage and after it, its repeat, and a duplicate that waited all the time. */
  readonly saves: readonly string[]
  readonly saved: Outcome<{ attempt: number; lost: boolean }>
  readonly saveRepeat: Outcome<unknown>
  readonly waited: Timed<Outcome<unknown>>
  /** The same twice, by an instance that prefers to run unprotected, and the key after. */
  readonly bare: Timed<Outcome<string>>
  readonly bareNext: Outcome<string>
  readonly bareRepeat: Outcome<string>
}

/** Runs of all kinds meet an outage, each on an instance of its own: an open guard would answer for the others. */
export async function liveThrough(stand: Stand, { harm, mend }: Fault): Promise<Seen> {
  const open = () => stand.open({ lease: LEASE_MS })
  const [beginner, settler, thrower, saver, waiter] = await Promise.all([open(), open(), open(), open(), open()])
  const bareRunner = await stand.open({ lease: LEASE_MS, onStoreDown: 'run-unprotected' })
  const bystander = await stand.open({ lease: LEASE_MS, storeTimeout: '30s' }, { direct: true })
  const calls = {
    begin: someCall(),
    settle: someCall(),
    release: someCall(),
    save: { ...someCall(), lease: SAVER_LEASE_MS },
    unprotected: someCall(),
  }
  const runs: Runs = { begin: 0, settle: 0, release: 0, save: 0, waiter: 0, unprotected: 0 }
  const counted = (name: keyof Runs) => async (): Promise<string> => `${name} ${++runs[name]}`
  const failure = new Error('the bank said no')
  const saves: string[] = []
  const [ending, mended] = [gate(), gate()]

  // In the middle of their works when the server goes.
  const [settling, throwing, saving] = [
    await inWork(settler, calls.settle, ending, async () => {
      runs.settle++
      return { charge: 'ch_settle' }
    }),
    await inWork(thrower, calls.release, ending, async (): Promise<never> => {
      runs.release++
      throw failure
    }),
    await inWork(saver, calls.save, ending, async (x) => {
      runs.save++
      saves.push(await x.save('half', 1).then(() => 'saved', codeOf))
      await mended.opened
      await until('a step can be saved again', RECOVERY_MS, () => x.save('more', 2).then(() => true))
      return { attempt: x.attempt, lost: x.signal.aborted }
    }),
  ]
  const waiting = waiter.run({ ...calls.save, lease: WAITER_LEASE_MS, wait: '60s' }, counted('waiter'))
  await sleep(50) // it has begun by then, or begins in the outage

  await harm(stand)
  ending.open()
  const [first, bare, settled, thrown] = await Promise.all([
    timed(beginner.run(calls.begin, counted('begin'))),
    timed(bareRunner.run(calls.unprotected, counted('unprotected'))),
    timed(settling.outcome),
    timed(throwing.outcome.catch((error: unknown) => error)),
  ])
  const others = Array.from({ length: 20 }, () => beginner.run(someCall(), counted('begin')))
  const next = await timed(Promise.all(others))
  const bareNext = await bareRunner.run(calls.unprotected, counted('unprotected'))
  await sleep(OUTAGE_MS)
  const ranMeanwhile = runs.begin
  await mend(stand)
  mended.open()

  const back = await timed(
    until('the key works again', RECOVERY_MS, async () => {
      const outcome = await beginner.run(calls.begin, counted('begin'))
      return outcome.ok ? outcome : undefined
    }),
  )
  await until('the answer that was owed is stored', RECOVERY_MS, async () => {
    return (await bystander.find(calls.settle))?.state === 'done' || undefined
  })
  const settleRepeat = await bystander.run(calls.settle, counted('settle'))
  const releaseRepeat = await bystander.run({ ...calls.release, wait: RECOVERY_MS }, counted('release'))
  const waited = await timed(waiting)
  const saved = await saving.outcome
  const saveRepeat = await bystander.run(calls.save, counted('save'))
  const bareRepeat = await until('what ran unprotected is protected again', RECOVERY_MS, async () => {
    const outcome = await bareRunner.run(calls.unprotected, counted('unprotected'))
    return outcome.ok && outcome.kind !== 'unprotected' ? outcome : undefined
  })
  const instances = [beginner, settler, thrower, saver, waiter, bareRunner]
  await until('nothing is owed', RECOVERY_MS, async () => {
    const states = await Promise.all(instances.map((each) => each.inspect()))
    return states.every(({ state }) => state === 'ok') || undefined
  })
  return {
    runs,
    first,
    next,
    ranMeanwhile,
    again: back.value,
    backMs: back.tookMs,
    settled,
    settleRepeat,
    failure,
    thrown,
    releaseRepeat,
    saves,
    saved,
    saveRepeat,
    waited,
    bare,
    bareNext,
    bareRepeat,
  }
}

/** Starts a run whose work waits for `ending`; resolves when the work has begun, which may take more than one try. */
async function inWork<T>(
  idempotency: Idempotency,
  call: Call,
  ending: Gate,
  work: Parameters<typeof idempotency.run<T>>[1],
): Promise<{ outcome: Promise<Outcome<T>> }> {
  const begun = gate()
  for (;;) {
    const outcome = idempotency.run<T>(call, async (x) => {
      begun.open()
      await ending.opened
      return work(x)
    })
    const refused = await Promise.race([begun.opened, outcome])
    if (refused === undefined) return { outcome }
    await sleep(100)
  }
}

const someCall = (): Call => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })
const codeOf = (error: unknown): string => String((error as { code?: unknown }).code)
