import fc from 'fast-check'
import type { Fingerprint, Settlement } from '@keelson/idempotency'

/** So long that what really passes during a test is nothing: on a server, a lease ends only when the test says so. */
export const UNIT_MS = 1_000_000
export const REFS = 2

/** A command goes through; is sent twice; is done, its reply lost, and sent again; or is refused, and sent again. */
type Mishap = 'none' | 'twice' | 'lose reply' | 'refuse'

/** Who acts: the so-many-th last claim of the ref. Its nonce and its fence may be of two claims, which is nobody. */
export interface By {
  readonly nonceOf: number
  readonly fenceOf: number
}

interface ClaimTerms {
  readonly print: { alg: Fingerprint['alg']; byte: number } | undefined
  readonly lease: number
  readonly retain: number
  readonly onLapsed: 'take' | 'report'
}

/** One thing that happens to a store; durations in units. */
export type StoreStep = { readonly ref: number; readonly mishap: Mishap } & (
  | ({ readonly kind: 'begin'; readonly nonce: number } & ClaimTerms)
  | ({ readonly kind: 'race'; readonly callers: number } & ClaimTerms)
  | { readonly kind: 'settle'; readonly by: By; readonly as: Settlement; readonly retain: number }
  | { readonly kind: 'touch'; readonly by: By; readonly lease: number; readonly checkpoint: Uint8Array | undefined }
  | { readonly kind: 'clear'; readonly how: 'forget' | 'retry' | { bytes: Uint8Array } }
  | { readonly kind: 'peek' }
  | { readonly kind: 'sweep' }
  | { readonly kind: 'pass'; readonly units: number }
  | { readonly kind: 'jump'; readonly wallMs: number }
)

type Of<K> = Extract<StoreStep, { kind: K }>

const of = <K extends StoreStep['kind']>(
  kind: K,
  more: { [N in keyof Omit<Of<K>, 'kind' | 'ref' | 'mishap'>]: fc.Arbitrary<Of<K>[N]> },
): fc.Arbitrary<StoreStep> =>
  fc.record({
    kind: fc.constant(kind),
    // Most of what happens, happens to one.
    ref: fc.constantFrom(...Array.from({ length: REFS }, (_, i) => i), 0, 0, 0),
    mishap: fc.constantFrom<Mishap>('none', 'none', 'none', 'none', 'none', 'twice', 'lose reply', 'refuse'),
    ...more,
  }) as fc.Arbitrary<StoreStep>

const units = fc.constantFrom(1, 1, 2, 3, 4)
const bytes = fc.uint8Array({ maxLength: 12 })
const terms = {
  print: fc.constantFrom<ClaimTerms['print']>(
    undefined,
    { alg: 'json', byte: 1 },
    { alg: 'json', byte: 1 },
    { alg: 'json', byte: 2 },
    { alg: 'raw', byte: 1 },
  ),
  lease: units,
  retain: fc.integer({ min: 1, max: 8 }),
  onLapsed: fc.constantFrom<'take' | 'report'>('take', 'take', 'report'),
}
const latest = fc.constantFrom(0, 0, 0, 0, 1, 2)
const by = fc.oneof(
  { weight: 4, arbitrary: latest.map((n): By => ({ nonceOf: n, fenceOf: n })) },
  fc.record({ nonceOf: latest, fenceOf: latest }),
)
const settlement: fc.Arbitrary<Settlement> = fc.oneof(
  { weight: 2, arbitrary: bytes.map((bytes) => ({ kind: 'done' as const, bytes })) },
  fc.record({ kind: fc.constantFrom('tombstone' as const, 'release' as const, 'unknown' as const, 'lapse' as const) }),
)

const step: fc.Arbitrary<StoreStep> = fc.oneof(
  { weight: 6, arbitrary: of('begin', { nonce: fc.nat(2), ...terms }) },
  { weight: 1, arbitrary: of('race', { callers: fc.integer({ min: 2, max: 4 }), ...terms }) },
  { weight: 3, arbitrary: of('settle', { by, as: settlement, retain: units }) },
  {
    weight: 5,
    // An empty checkpoint is none: the core saves JSON.
    arbitrary: of('touch', {
      by,
      lease: units,
      checkpoint: fc.option(fc.uint8Array({ minLength: 1, maxLength: 8 }), { nil: undefined, freq: 2 }),
    }),
  },
  {
    weight: 3,
    arbitrary: of('clear', {
      how: fc.oneof(fc.constantFrom('forget' as const, 'retry' as const), fc.record({ bytes })),
    }),
  },
  { weight: 1, arbitrary: of('peek', {}) },
  { weight: 1, arbitrary: of('sweep', {}) },
  { weight: 4, arbitrary: of('pass', { units }) },
  { weight: 1, arbitrary: of('jump', { wallMs: fc.integer({ min: -1e9, max: 1e9 }) }) },
)

export const storeSteps: fc.Arbitrary<StoreStep[]> = fc.array(step, { minLength: 4, maxLength: 20, size: 'max' })
