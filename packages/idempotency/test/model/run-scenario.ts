import fc from 'fast-check'
import type { Guarantee } from '@keelson/idempotency'
import type { Fate } from './network.ts'

export const PROCESSES = 3
export const REFS = 2
export const LEASE_MS = 1_000
export const STORE_TIMEOUT_MS = 250
/** Nothing goes wrong any more from then on. */
export const FAULTS_END_MS = 12_000

/** What a work does. 'stall': its whole process stands still. 'heed': gives up when its signal has aborted. */
type Act =
  | { readonly kind: 'spend' | 'stall'; readonly forMs: number }
  | { readonly kind: 'save'; readonly swallows: boolean }
  | { readonly kind: 'heed' }

/** One caller: when and where it comes, and what its work would do. */
export interface Caller {
  readonly atMs: number
  readonly process: number
  readonly ref: number
  readonly waitMs: number
  readonly acts: readonly Act[]
  readonly end: 'value' | 'throw' | 'notStarted'
}

/** Everything that chance decides in a run of the model. */
export interface Scenario {
  readonly guarantees: readonly Guarantee[]
  readonly callers: readonly Caller[]
  readonly fates: readonly Fate[]
  readonly freezes: readonly { readonly atMs: number; readonly process: number; readonly forMs: number }[]
  /** The server is away for everybody. */
  readonly outages: readonly { readonly atMs: number; readonly forMs: number; readonly kind: Fate['kind'] }[]
  readonly wallJumps: readonly { readonly atMs: number; readonly byMs: number }[]
  /** Whether the store says when a record has ended. */
  readonly wakesUp: boolean
  /** No command is lost or doubled, and nobody stands still. */
  readonly isOnlySlow: boolean
  /** Of everything in the code that is left to chance. */
  readonly seed: number
}

const upTo = (max: number): fc.Arbitrary<number> => fc.integer({ min: 0, max })
const instant = upTo(9_000)
const latencyWhere = (weight: number): fc.Arbitrary<number> =>
  fc.oneof({ weight, arbitrary: upTo(20) }, { weight: 1, arbitrary: upTo(2 * STORE_TIMEOUT_MS) })
const process = fc.nat(PROCESSES - 1)
const ref = fc.constantFrom(...Array.from({ length: REFS }, (_, i) => i), 0)

const spend = fc.record({ kind: fc.constant('spend' as const), forMs: upTo(2_500) })
const save = fc.record({ kind: fc.constant('save' as const), swallows: fc.boolean() })
const heed = fc.constant({ kind: 'heed' as const })
const stall = fc.record({ kind: fc.constant('stall' as const), forMs: fc.integer({ min: 500, max: 4_000 }) })
const callersWhere = (act: fc.Arbitrary<Act>): fc.Arbitrary<Caller[]> =>
  fc.array(
    fc.record({
      // Duplicates come soon, or together.
      atMs: fc.oneof(fc.constantFrom(0, 0, 100, 1_000, 2_000), instant),
      process,
      ref,
      waitMs: fc.constantFrom(0, 500, 2_000, 5_000),
      acts: fc.array(act, { maxLength: 4 }),
      end: fc.constantFrom('value', 'value', 'value', 'throw', 'notStarted'),
    }),
    { minLength: 1, maxLength: 16, size: 'max' },
  )

const fatesWhere = (kind: fc.Arbitrary<Fate['kind']>, latency: fc.Arbitrary<number>): fc.Arbitrary<Fate[]> =>
  fc.array(fc.record({ kind, outMs: latency, backMs: latency, againMs: fc.oneof(upTo(50), upTo(3_000)) }), {
    maxLength: 80,
    size: 'max',
  })
const well = fc.constant<Fate['kind']>('well')
const bad = fc.constantFrom<Fate['kind']>('refused', 'hung', 'lost', 'lost', 'mute', 'doubled', 'doubled')

const everywhere = {
  guarantees: fc.array(fc.constantFrom<Guarantee>('at-least-once', 'at-most-once'), {
    minLength: REFS,
    maxLength: REFS,
  }),
  wallJumps: fc.array(fc.record({ atMs: instant, byMs: fc.integer({ min: -1e8, max: 1e8 }) }), { maxLength: 2 }),
  wakesUp: fc.boolean(),
  seed: fc.integer(),
}

/** Nothing is lost and nobody stands still, but answers come late. */
const slow: fc.Arbitrary<Scenario> = fc.record({
  ...everywhere,
  isOnlySlow: fc.constant(true),
  callers: callersWhere(fc.oneof({ weight: 3, arbitrary: spend }, save, heed)),
  fates: fatesWhere(well, latencyWhere(2)),
  freezes: fc.constant([]),
  outages: fc.constant([]),
})

/** Mostly well, or hardly ever: a store that is always away is asked nothing. */
const rough: fc.Arbitrary<Scenario> = fc.constantFrom(20, 20, 8, 2).chain((weight) =>
  fc.record({
    ...everywhere,
    isOnlySlow: fc.constant(false),
    callers: callersWhere(fc.oneof({ weight: 3, arbitrary: spend }, save, heed, stall)),
    fates: fatesWhere(fc.oneof({ weight, arbitrary: well }, bad), latencyWhere(15)),
    freezes: fc.array(fc.record({ atMs: upTo(8_000), process, forMs: fc.integer({ min: 100, max: 5_000 }) }), {
      maxLength: 6,
      size: 'max',
    }),
    outages: fc.array(
      fc.record({
        atMs: upTo(6_000),
        forMs: upTo(3_000),
        kind: fc.constantFrom<Fate['kind']>('refused', 'hung', 'mute'),
      }),
      { maxLength: 2 },
    ),
  }),
)

export const scenarios: fc.Arbitrary<Scenario> = fc.oneof(
  { weight: 3, arbitrary: rough },
  { weight: 1, arbitrary: slow },
)
