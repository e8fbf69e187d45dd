import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Call, Outcome } from '@keelson/idempotency'
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
  const [beginner, settler, thrower, saver, waiter, unprotected] = await Promise.all([
    ...([open(), open(), open(), open(), open()] as const),
    stand.open({ lease: LEASE_MS, onStoreDown: 'run-unprotected' }),
  ])
  const bystander = await stand.open({ lease: LEASE_MS }, { direct: true })
  const calls = {
    begin: someCall(),
    settle: someCall(),
    release: someCall(),
    save: { ...someCall(), lease: '3s' as const },
    unprotected: someCall(),
  }
  const runs = { begin: 0, settle: 0, release: 0, save: 0, waiter: 0, unprotected: 0 }
  for (const each of [beginner, waiter, unprotected]) await each.run(someCall(), async () => 'warm')

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
  await sleep(50) // it has begun by then, or begins in the outage

  await harm(stand)
  ending.open()
  const work = (name: keyof typeof runs) => async () => `${name} ${++runs[name]}`
  const [first, bare, settled, thrown] = await Promise.all([
    timed(beginner.run(calls.begin, work('begin'))),
    timed(unprotected.run(calls.unprotected, work('unprotected'))),
    timed(settling),
    timed(throwing.catch((error: unknown) => error)),
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
  const all = [beginner, settler, thrower, saver, waiter, unprotected]
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
      const ms = (...each: Timed<unknown>[]): number[] => each.map(({ tookMs }) => Math.round(tookMs))
      console.log(`${kind} ${name}: ms to the first answers ${ms(seen.first, seen.settled, seen.thrown, seen.bare)}, \
to 20 more ${ms(seen.next)}; back after ${Math.round(seen.backMs)}`)
    })

    test('a first call is answered in time, the next ones at once, and none of them has run', () => {
      expect(seen.first.tookMs).toBeLessThan(IN_TIME_MS)
      if (fault.partial === true) return
      expect(seen.first.value).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE', retryable: true })
      // Far less than one time-out for all of them: nothing was asked.
      expect(codes(seen.next.value)).toEqual(Array(20).fill('STORE_UNAVAILABLE'))
      expect(seen.next.tookMs).toBeLessThan(STORE_TIMEOUT_MS)
      expect(seen.ranMeanwhile).toBe(0)
    })

    test('the same key works again soon after, and is not held by the claim that nobody was told of', () => {
      expect(seen.again).toMatchObject({ ok: true, attempt: 1, stored: true })
      expect(seen.backMs).toBeLessThan(RECOVERY_MS)
    })

    test('a work that ends in the outage comes back with its value, and its repeat finds it stored', () => {
      const value = { charge: 'ch_settle' }
      expect(seen.settled.value).toMatchObject({ ok: true, kind: 'executed', attempt: 1, value })
      expect(seen.settled.tookMs).toBeLessThan(IN_TIME_MS)
      if (fault.partial !== true) expect(seen.settled.value).toMatchObject({ stored: false })
      expect(seen.settleRepeat).toMatchObject({ ok: true, kind: 'replayed', attempt: 1, value })
      expect(seen.runs.settle).toBe(1)
    })

    test('a work that throws in the outage rejects with its own error, and its key is free again', () => {
      expect(seen.thrown.value).toBe(seen.failure)
      expect(seen.thrown.tookMs).toBeLessThan(IN_TIME_MS)
      expect(seen.releaseRepeat).toMatchObject({ ok: true, kind: 'executed', attempt: 1, value: 'release 2' })
    })

    test('a work that goes on through the outage keeps its key, and can save again', () => {
      if (fault.partial !== true) expect(seen.saves).toEqual(['STORE_UNAVAILABLE'])
      const value = { attempt: 1, lost: false }
      expect(seen.saved).toMatchObject({ ok: true, kind: 'executed', stored: true, value })
      expect(seen.saveRepeat).toMatchObject({ ok: true, kind: 'replayed', value })
      expect(seen.runs.save).toBe(1)
    })

    test('a duplicate that waits through the outage gets the value or is refused, and does not run', () => {
      const { value: outcome, tookMs } = seen.waited
      expect(tookMs).toBeLessThan(RECOVERY_MS)
      if (outcome.ok) expect(outcome).toMatchObject({ kind: 'replayed', waited: true, value: { attempt: 1 } })
      else expect(outcome.code).toBe('STORE_UNAVAILABLE')
      expect(seen.runs.waiter).toBe(0)
    })

    test('who prefers it runs unprotected meanwhile and is told so, and is protected again after', () => {
      expect(seen.bare.tookMs).toBeLessThan(IN_TIME_MS)
      if (fault.partial !== true) {
        for (const outcome of [seen.bare.value, seen.bareNext]) {
          expect(outcome).toMatchObject({ ok: true, kind: 'unprotected', stored: false, replayed: false, attempt: 1 })
        }
      }
      expect(seen.bareRepeat).toMatchObject({ ok: true, stored: true, attempt: 1 })
    })
  })
}
