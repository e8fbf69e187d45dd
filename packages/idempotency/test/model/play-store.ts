import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, expect, vi } from 'vitest'
import type { Begin, Claim, Fingerprint, Own, RecordView } from '@keelson/idempotency'
import { isStoreFailure } from '@keelson/kernel'
import { createStoreModel, type StoreModel } from './store-model.ts'
import { REFS, UNIT_MS, type By, type StoreStep } from './store-steps.ts'
import { timedStores, type TimedStore } from './timed-stores.ts'
import { createWitness, type Witness } from './witness.ts'

const LONG = process.env['LONG'] === '1'
/** A failure is told before the runner's own limit, with what it has shrunk to by then. */
const PARAMETERS = LONG ? { numRuns: 1_000 } : { numRuns: 100, interruptAfterTimeLimit: 40_000 }
if (LONG) vi.setConfig({ testTimeout: 900_000 })

/** The wall clock of this process, which no server may go by. */
const wallClock = Date.now
afterAll(() => void (Date.now = wallClock))
const jumpTo = (offsetMs: number): void => void (Date.now = () => wallClock() + offsetMs)

/** One ref on both sides. */
interface Subject {
  readonly ref: Uint8Array
  readonly model: StoreModel
  readonly witness: Witness
  /** Each claim that was won, with its fence on both sides; the last comes last. */
  readonly won: { readonly nonce: Uint8Array; readonly fence: bigint; readonly modelFence: bigint }[]
}

async function play({ store, pass, breakNext }: TimedStore, steps: readonly StoreStep[]): Promise<void> {
  let nowMs = 0
  const now = (): number => nowMs
  const subjects: Subject[] = Array.from({ length: REFS }, () => ({
    ref: new Uint8Array(randomBytes(16)),
    model: createStoreModel(now),
    witness: createWitness(now),
    won: [],
  }))

  /** Both sides at once; a mishap makes it two times of one or both. */
  async function both<T>(
    { mishap }: StoreStep,
    ask: () => Promise<T>,
    expectation: () => T,
    compare: (answer: T, expected: T) => void,
    unheard: (expected: T) => void = () => {},
  ): Promise<void> {
    if (mishap === 'lose reply' || mishap === 'refuse') breakNext?.(mishap)
    const first = await ask().then(
      (answer) => ({ answer }),
      (error: unknown) => {
        if (isStoreFailure(error)) return undefined
        throw error
      },
    )
    breakNext?.(undefined)
    if (first !== undefined) compare(first.answer, expectation())
    else if (mishap === 'lose reply') unheard(expectation())
    if (first === undefined || mishap === 'twice') compare(await ask(), expectation())
  }

  function begun(subject: Subject, claim: Claim, answer: Begin, expected: Begin): void {
    expect(timeless(answer)).toEqual(timeless(expected))
    subject.witness.begun(claim, answer)
    if (answer.kind !== 'yours' || expected.kind !== 'yours') return
    const { fence, nonce } = { ...answer, ...claim }
    const known = subject.won.find(({ modelFence }) => modelFence === expected.fence)
    if (known === undefined) subject.won.push({ nonce, fence, modelFence: expected.fence })
    else expect(fence, 'a repeated claim has the fence of the first').toBe(known.fence)
  }

  /** Who acts, on both sides. */
  function owns({ won }: Subject, { nonceOf, fenceOf }: By): { own: Own; modelOwn: Own } {
    // A nonce and a fence that no claim has: each may come together with the other one of a claim.
    const nobody = { nonce: Buffer.alloc(16, 255), fence: 999_999_999n, modelFence: -1n }
    const { nonce } = won.at(-1 - nonceOf) ?? nobody
    const { fence, modelFence } = won.at(-1 - fenceOf) ?? nobody
    return { own: { nonce, fence }, modelOwn: { nonce, fence: modelFence } }
  }

  async function take(step: StoreStep): Promise<void> {
    const subject = subjects[step.ref]!
    const { ref, model, witness } = subject
    switch (step.kind) {
      case 'begin': {
        const claim = claimOf(step, Buffer.alloc(16, step.ref * 16 + step.nonce))
        await both(
          step,
          () => store.begin(ref, claim),
          () => model.begin(claim),
          (answer, expected) => begun(subject, claim, answer, expected),
        )
        return
      }
      case 'race': {
        const claims = Array.from({ length: step.callers }, () => claimOf(step, randomBytes(16)))
        const answers = await Promise.all(claims.map((claim) => store.begin(ref, claim)))
        // Any may win; for the others it was first.
        const order = claims.map((claim, i) => ({ claim, answer: answers[i]! }))
        order.sort((a, b) => Number(b.answer.kind === 'yours') - Number(a.answer.kind === 'yours'))
        for (const { claim, answer } of order) begun(subject, claim, answer, model.begin(claim))
        return
      }
      case 'settle': {
        const { own, modelOwn } = owns(subject, step.by)
        const retainMs = step.retain * UNIT_MS
        await both(
          step,
          () => store.settle(ref, own, step.as, retainMs),
          () => model.settle(modelOwn, step.as, retainMs),
          (answer, expected) => {
            expect(answer).toBe(expected)
            witness.settled(own, step.as, retainMs, answer)
          },
          (expected) => witness.settled(own, step.as, retainMs, expected),
        )
        return
      }
      case 'touch': {
        const { own, modelOwn } = owns(subject, step.by)
        const leaseMs = step.lease * UNIT_MS
        await both(
          step,
          () => store.touch(ref, own, leaseMs, step.checkpoint),
          () => model.touch(modelOwn, leaseMs, step.checkpoint),
          (answer, expected) => {
            expect(answer).toBe(expected)
            witness.touched(own, leaseMs, answer)
          },
        )
        return
      }
      case 'clear': {
        // The one call that nobody repeats.
        const answer = await store.clear(ref, step.how)
        expect(answer).toBe(model.clear(step.how))
        witness.cleared(step.how, answer)
        return
      }
      case 'peek':
        expect(viewed(await store.peek(ref))).toEqual(viewed(model.peek()))
        return
      case 'sweep':
        await store.sweep?.(1)
        return
      case 'pass':
        nowMs += step.units * UNIT_MS
        return pass(
          subjects.map(({ ref }) => ref),
          step.units * UNIT_MS,
        )
      case 'jump':
        return jumpTo(step.wallMs)
    }
  }

  for (const step of steps) await take(step)
  // Whatever was changed where nothing should have been, shows now.
  for (const { ref, model, won } of subjects) {
    if (won.length === 0) continue
    expect(viewed(await store.peek(ref))).toEqual(viewed(model.peek()))
    const look = claimOf({ print: undefined, lease: 1, retain: 1, onLapsed: 'report' }, randomBytes(16))
    expect(timeless(await store.begin(ref, look))).toEqual(timeless(model.begin(look)))
  }
}

function claimOf(
  {
    print,
    lease,
    retain,
    onLapsed,
  }: Pick<Extract<StoreStep, { kind: 'begin' }>, 'print' | 'lease' | 'retain' | 'onLapsed'>,
  nonce: Uint8Array,
): Claim {
  const fingerprint: Fingerprint | undefined = print && { alg: print.alg, digest: new Uint8Array(32).fill(print.byte) }
  return {
    nonce,
    leaseMs: lease * UNIT_MS,
    retainMs: retain * UNIT_MS,
    onLapsed,
    scope: 'm1',
    op: 'POST /orders',
    ...(fingerprint === undefined ? {} : { fingerprint }),
  }
}

/** Without the fence, which is each store's own, and with durations in units. */
function timeless(begin: Begin): object {
  switch (begin.kind) {
    case 'yours': {
      const { kind, attempt, checkpoint } = begin
      return { kind, attempt, checkpoint: checkpoint && [...checkpoint] }
    }
    case 'done':
      return { ...begin, bytes: [...begin.bytes] }
    case 'busy':
      return { ...begin, leaseLeftMs: units(begin.leaseLeftMs) }
    default:
      return begin
  }
}

function viewed(view: RecordView | null): object | null {
  if (view === null) return null
  const { state, attempt, ageMs, leaseLeftMs, expiresInMs, bytes, operationId } = view
  const spans = [ageMs, leaseLeftMs ?? 0, expiresInMs].map(units)
  return { state, attempt, spans, bytes, operationId, hasLease: leaseLeftMs !== undefined }
}

const units = (ms: number): number => Math.round(ms / UNIT_MS)

/** Plays random `steps` to a store and to the model: both must answer the same. */
export async function behavesAsModel(name: keyof typeof timedStores, steps: fc.Arbitrary<StoreStep[]>): Promise<void> {
  await using opened = await timedStores[name]!()
  await fc.assert(
    fc.asyncProperty(steps, (script) => play(opened, script)),
    PARAMETERS,
  )
}
