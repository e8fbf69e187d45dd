import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Call, Idempotency, Outcome } from '@keelson/idempotency'
import { until } from '../../../../tools/servers/until.ts'
import type { StoreKind } from './open-store.ts'
import { gate, startStand, STORE_TIMEOUT_MS, timed, type Stand, type Timed } from './stand.ts'
import { watchRejections } from './unhandled.ts'

/** The promise is storeTimeout and 50 ms; the rest is for a machine that does other things too. */
const IN_TIME_MS = 4 * STORE_TIMEOUT_MS
/** Ends by itself long after each test. */
const LEASE_MS = 15_000
const OUTAGE_MS = 600
/** From the end of an outage until all is as if it had not been; far less than a lease. */
const RECOVERY_MS = 5_000

/** One way to lose a server, and the way back. */
export interface Fault {
  harm(stand: Stand): unknown
  mend(stand: Stand): unknown
  /** New connections work. */
  partial?: boolean
}

const reset = ({ proxy }: Stand): void => {
  proxy.pass()
  proxy.resetAll()
}

export const faults: Record<string, Fault> = {
  'is killed': { harm: ({ server }) => server.kill(), mend: ({ server }) => server.restart() },
  'is frozen': { harm: ({ server }) => server.freeze(), mend: ({ server }) => server.thaw() },
  'refuses all connections': { harm: ({ proxy }) => proxy.refuse(), mend: ({ proxy }) => proxy.pass() },
  'is slower than storeTimeout': { harm: ({ proxy }) => proxy.delay(400), mend: ({ proxy }) => proxy.pass() },
  'does what it is told, but is never heard': { harm: ({ proxy }) => proxy.mute(), mend: reset },
  // What a system's keepalive does in the end, or a client's socketTimeout.
  'is not heard on the connections there are': { harm: ({ proxy }) => proxy.halfOpen(), mend: reset, partial: true },
}

/** Runs of all kinds meet an outage, each on an instance of its own: an open guard would answer for the others. */
async function live(stand: Stand, { harm, mend }: Fault) {
  const open = () => stand.open({ lease: LEASE_MS })
  const [beginner, sleeper, settler, thrower, saver, waiter, unprotected] = await Promise.all([
    ...Array.from({ length: 6 }, open),
    stand.open({ lease: LEASE_MS, onStoreDown: 'run-unprotected' }),
  ])
  const bystander = await stand.open({ lease: LEASE_MS }, { direct: true })
  const calls = {
    begin: someCall(),
    asleep: someCall(),
    settle: someCall(),
    release: someCall(),
    save: { ...someCall(), lease: '3s' as const },
    unprotected: someCall(),
  }
  const runs = { begin: 0, asleep: 0, settle: 0, release: 0, save: 0, waiter: 0, unprotected: 0 }
  for (const each of [beginner, sleeper, waiter, unprotected]) await each.run(someCall(), async () => 'warm')

  // In the middle of their works when the server goes.
  const started: Promise<void>[] = []
  const [ending, saving] = [gate(), gate()]
  const settling = inWork(started, (begun) =>
    settler.run(calls.settle, async () => {
      begun()
      runs.settle++
      await ending.opened
      return { charge: 'ch_settle' }
    }),
  )
  const failure = new Error('the bank said no')
  const throwing = inWork(started, (begun) =>
    thrower.run(calls.release, async () => {
      begun()
      runs.release++
      await ending.opened
      throw failure
    }),
  )
  const saves: string[] = []
  const working = inWork(started, (begun) =>
    saver.run(calls.save, async (x) => {
      begun()
      runs.save++
      await ending.opened
      saves.push(await x.save('half', 1).then(() => 'saved', codeOf))
      await saving.opened
      await until('a step can be saved again', RECOVERY_MS, () => x.save('more', 2).then(() => true))
      return { attempt: x.attempt, lost: x.signal.aborted }
    }),
  )
  await Promise.all(started)
  const waiting = waiter.run({ ...calls.save, wait: '30s' }, async () => void runs.waiter++)
  await until('the duplicate waits', RECOVERY_MS, async () => (await waiter.inspect()).counts.waiters === 0 || undefined)
  await sleep(50)

  await harm(stand)
  ending.open()
  const work = (name: keyof typeof runs) => async () => `${name} ${++runs[name]}`
  const [first, bare, settled, thrown] = await Promise.all([
    timed(beginner.run(calls.begin, work('begin'))),
    timed(unprotected.run(calls.unprotected, work('unprotected'))),
    timed(settling),
    timed(throwing.catch((error: unknown) => error)),
    // Its own guard: it is not told of the outage by another.
    timed(sleeper.run(calls.asleep, work('asleep'))),
  ])
  const next = await timed(
    Promise.all(Array.from({ length: 20 }, () => beginner.run({ ...someCall(), wait: 0 }, work('begin')))),
  )
  const bareNext = await unprotected.run(calls.unprotected, work('unprotected'))
  await sleep(OUTAGE_MS)
  const ranMeanwhile = runs.begin
  await mend(stand)

  const startMs = performance.now()
  saving.open()
  const again = await until('the key works again', RECOVERY_MS, async () => {
    const outcome = await beginner.run(calls.begin, work('begin'))
    return outcome.ok ? outcome : undefined
  })
  const backMs = performance.now() - startMs
  const settleRepeat = await until('the answer that was owed is stored', RECOVERY_MS, async () => {
    const found = await bystander.find(calls.settle)
    return found?.state === 'done' ? bystander.run(calls.settle, work('settle')) : undefined
  })
  const releaseRepeat = await bystander.run({ ...calls.release, wait: RECOVERY_MS }, work('release'))
  const waited = await timed(waiting)
  const saved = await working
  const saveRepeat = await bystander.run(calls.save, work('save'))
  const bareRepeat = await until('the key that ran unprotected is protected again', RECOVERY_MS, async () => {
    const outcome = await unprotected.run(calls.unprotected, work('unprotected'))
    return outcome.ok && outcome.kind !== 'unprotected' ? outcome : undefined
  })
  const all = [beginner, sleeper, settler, thrower, saver, waiter, unprotected]
  await until('nothing is owed', RECOVERY_MS, async () => {
    const states = await Promise.all(all.map((each) => each.inspect()))
    return states.every(({ state }) => state === 'ok') || undefined
  })
  return {
    ...{ first, next, ranMeanwhile, again, backMs },
    ...{ settled, settleRepeat, thrown, failure, releaseRepeat },
    ...{ saves, saved, saveRepeat, waited, bare, bareNext, bareRepeat, runs },
  }
}

/** Starts a run; `started` gets a promise of its work's start. */
function inWork<T>(started: Promise<void>[], start: (begun: () => void) => Promise<Outcome<T>>): Promise<Outcome<T>> {
  const begun = gate()
  started.push(begun.opened)
  return start(begun.open)
}

const someCall = (): Call & { scope: string } => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })
const codeOf = (error: unknown): string => String((error as { code?: unknown }).code)
const codes = (outcomes: readonly Outcome<unknown>[]): string[] =>
  outcomes.map((outcome) => (outcome.ok ? outcome.kind : outcome.code))

/** All faults on one store. */
export function outageSuite(kind: StoreKind, names: readonly string[] = Object.keys(faults)): void {
  watchRejections()
  let stand: Stand
  beforeAll(async () => {
    stand = await startStand(kind)
  })
  afterAll(() => stand[Symbol.asyncDispose]())

  describe.each(names)(`${kind}: a server that %s`, (name) => {
    const fault = faults[name]!
    let seen: Awaited<ReturnType<typeof live>>
    beforeAll(async () => {
      seen = await live(stand, fault)
      console.log(kind, name, { first: seen.first.tookMs, next: seen.next.tookMs, settled: seen.settled.tookMs, thrown: seen.thrown.tookMs, bare: seen.bare.tookMs, back: seen.backMs, waited: seen.waited, code: codes([seen.first.value]), bareC: codes([seen.bare.value]), settledC: seen.settled.value, saves: seen.saves })
    })

    test('a first call is answered in time, the next ones at once, and none of them has run', () => {
      expect(1).toBe(1)
    })
  })
}

export type { Idempotency, Timed }
