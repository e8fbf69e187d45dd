import fc from 'fast-check'
import { afterEach, expect, test, vi } from 'vitest'
import {
  createIdempotency,
  jsonCodec,
  memoryStore,
  type Execution,
  type Idempotency,
  type IdempotencyStore,
  type Outcome,
} from '@keelson/idempotency'
import { seededRandom, virtualClock } from '@keelson/kernel/testing'
import { digestRef } from '../../src/ref.ts'
import { watchRejections } from '../faults/unhandled.ts'
import { acrossNetwork, WELL } from './network.ts'
import { createProcess, type Process } from './process.ts'
import {
  FAULTS_END_MS,
  LEASE_MS,
  PROCESSES,
  REFS,
  scenarios,
  STORE_TIMEOUT_MS,
  type Caller,
  type Scenario,
} from './run-scenario.ts'

const RUNS = process.env['LONG'] === '1' ? 1_000 : 100
watchRejections()
afterEach(() => vi.restoreAllMocks())

/** A work that has begun. */
interface Run {
  readonly ref: number
  readonly value: string
  readonly attempt: number
  readonly fence: bigint
  end: 'running' | 'value' | 'throw' | 'heeded' | 'unsaved' | 'notStarted'
  error?: unknown
}

/** A caller's whole story. */
interface Story {
  readonly caller: Caller
  /** Its own work, when that has run. */
  run?: Run
  outcome?: Outcome<string>
  error?: unknown
  ended: boolean
}

const callOf = (ref: number) => ({ scope: 'm1', op: 'POST /charges', key: `key-${ref}` })

async function play(scenario: Scenario): Promise<void> {
  const { guarantees, fates, freezes, outages, wallJumps, wakesUp, isOnlySlow } = scenario
  vi.spyOn(Math, 'random').mockImplementation(seededRandom(scenario.seed))
  const world = virtualClock()
  const { wait, ...silent } = memoryStore({ clock: world })
  const server: IdempotencyStore = wakesUp ? { ...silent, wait: wait! } : silent

  let commands = 0
  const nextFate = () => {
    const now = world.monotonic()
    const outage = outages.find(({ atMs, forMs }) => atMs <= now && now < atMs + forMs)
    if (outage !== undefined) return { ...WELL, kind: outage.kind }
    return now < FAULTS_END_MS ? (fates[commands++] ?? WELL) : WELL
  }

  const machines: Process[] = Array.from({ length: PROCESSES }, () => createProcess(world))
  const instances: Idempotency[] = machines.map((machine) => {
    const store = acrossNetwork(server, world, machine, nextFate)
    if (!wakesUp) delete store.wait
    return createIdempotency<IdempotencyStore>({
      store,
      clock: machine.clock,
      lease: LEASE_MS,
      retain: '7d',
      storeTimeout: STORE_TIMEOUT_MS,
    })
  })

  const runs: Run[] = []
  // Kept, not thrown: a throw inside of a work would pass for its own.
  const problems: string[] = []
  /**
   * The last owner whose save was acknowledged, by ref. Saves of one owner are not compared: a command that comes late,
   * or once more, brings an older one back.
   */
  const kept = new Map<number, bigint>()
  async function work(story: Story, x: Execution): Promise<string> {
    const { ref, acts, end, process } = story.caller
    const run: Run = { ref, value: `run ${runs.length}`, attempt: x.attempt, fence: x.fence, end: 'running' }
    runs.push(run)
    story.run = run
    const found = BigInt((x.checkpoint?.data as string | undefined) ?? 0)
    const newest = kept.get(ref) ?? 0n
    if (found < newest) problems.push(`fence ${newest} has saved, ${run.value} finds ${found}`)
    const fail = (how: Run['end'], error: unknown): unknown => {
      run.end = how
      return (run.error = error)
    }
    for (const act of acts) {
      if (act.kind === 'spend') await machines[process]!.clock.sleep(act.forMs)
      else if (act.kind === 'stall') {
        machines[process]!.freeze(act.forMs)
        await machines[process]!.clock.sleep(1)
      } else if (act.kind === 'heed' && x.signal.aborted) throw fail('heeded', x.signal.reason)
      else if (act.kind === 'save') {
        try {
          await x.save('step', String(x.fence))
          kept.set(ref, max(x.fence, kept.get(ref) ?? 0n))
        } catch (error) {
          if (!act.swallows) throw fail('unsaved', error)
        }
      }
    }
    if (end === 'throw') throw fail('throw', new Error(`${run.value} fails`))
    if (end === 'notStarted') kept.delete(ref)
    if (end === 'notStarted') throw fail('notStarted', x.notStarted(new Error(`${run.value} has not begun`)))
    run.end = 'value'
    return run.value
  }

  function start(caller: Caller): Story {
    const story: Story = { caller, ended: false }
    const call = { ...callOf(caller.ref), wait: caller.waitMs, guarantee: guarantees[caller.ref]! }
    instances[caller.process]!.run(call, (x) => work(story, x)).then(
      (outcome) => Object.assign(story, { outcome, ended: true }),
      (error: unknown) => Object.assign(story, { error, ended: true }),
    )
    return story
  }

  const stories: Story[] = []
  for (const caller of scenario.callers) {
    const machine = machines[caller.process]!
    world.timer(() => machine.receive(() => void stories.push(start(caller))), caller.atMs)
  }
  for (const { atMs, process, forMs } of freezes) world.timer(() => machines[process]!.freeze(forMs), atMs)
  for (const { atMs, byMs } of wallJumps) world.timer(() => world.jumpWall(byMs), atMs)

  await world.advance(FAULTS_END_MS)
  // The store is well again, and every lease and every debt has ended.
  await world.advance('1m')
  expect(
    stories.filter(({ ended }) => !ended),
    'no call hangs',
  ).toEqual([])
  expect(world.pending(), 'no timer is left').toBe(0)

  // Each key is tried once more, by who has nothing to do with all this.
  const last = Array.from({ length: REFS }, (_, ref) =>
    start({ atMs: 0, process: 0, ref, waitMs: 0, acts: [], end: 'value' }),
  )
  await world.advance('10s')
  stories.push(...last)

  expect(problems).toEqual([])
  for (let ref = 0; ref < REFS; ref++) {
    const of = stories.filter(({ caller }) => caller.ref === ref)
    await check(
      of,
      runs.filter((run) => run.ref === ref),
      guarantees[ref]!,
    )
  }
  await Promise.all(instances.map((instance) => instance.close()))

  async function check(of: readonly Story[], ran: readonly Run[], guarantee: string): Promise<void> {
    const ref = of[0]!.caller.ref
    const stored = await storedAnswer(server, ref)
    const counting = ran.filter(({ end }) => end !== 'notStarted')
    if (guarantee === 'at-most-once') expect(counting.length, 'at most once').toBeLessThanOrEqual(1)
    const final = of.at(-1)!.outcome!
    // Where nothing is lost, and nobody stands still, only a work that failed leaves its key unknown.
    if (isOnlySlow && !final.ok) expect(counting.map(({ end }) => end)).not.toContain('value')
    if (isOnlySlow && counting.length === 0)
      expect(final, 'a claim that came too late is given back').toMatchObject({ ok: true })
    if (guarantee === 'at-least-once') expect(final, 'no key is wedged').toMatchObject({ ok: true, stored: true })
    for (const story of of) {
      const { run, outcome, error } = story
      const why = JSON.stringify(story, (_, value: unknown) => (typeof value === 'bigint' ? String(value) : value))
      if (outcome?.ok) {
        if (outcome.stored) expect(outcome.value, `one stored answer: ${why}`).toBe(stored)
        const made = ran.find(({ value }) => value === outcome.value)
        expect(made?.end, `a value is that of a finished work: ${why}`).toBe('value')
        if (outcome.kind === 'executed') expect(outcome.value, why).toBe(run?.value)
      }
      if (run?.end === 'value' && outcome?.ok !== true) {
        expect(outcome, `finished work is no error: ${why}`).toMatchObject({ code: 'LEASE_LOST' })
        // Somebody else has had the key.
        const others = ran.filter(({ fence }) => fence > run.fence).length
        expect(others, `a lease is lost to somebody: ${why}`).toBeGreaterThan(0)
      }
      if (error !== undefined) expect(error, `only the work’s own error comes out: ${why}`).toBe(run?.error)
      if (run === undefined && outcome?.ok !== true) {
        const codes = ['KEY_IN_USE', 'STORE_UNAVAILABLE', ...(guarantee === 'at-most-once' ? ['OUTCOME_UNKNOWN'] : [])]
        expect(codes, why).toContain(outcome?.code)
      }
    }
  }
}

const max = (a: bigint, b: bigint): bigint => (a > b ? a : b)

/** What the server has of a ref, asked without a network. */
async function storedAnswer(server: IdempotencyStore, ref: number): Promise<unknown> {
  const nonce = new Uint8Array(16)
  const terms = { leaseMs: 1, retainMs: 1, onLapsed: 'report' } as const
  const begin = await server.begin(digestRef(callOf(ref)), { nonce, ...terms })
  return begin.kind === 'done' ? jsonCodec.decode(begin.bytes) : undefined
}

test('run() keeps its word, whatever the network, the store and other processes do', async () => {
  await fc.assert(fc.asyncProperty(scenarios, play), { numRuns: RUNS })
})
