import fc from 'fast-check'
import type { Fault } from '../../src/testing/index.ts'

/**
 * What a work does with its transaction. 'swallow': a statement fails, and nobody is told; 'undo': one fails behind a
 * savepoint; 'forget': a statement that nobody awaits; 'conflict': 40001, in the first so many attempts.
 */
type Act =
  | { readonly kind: 'insert' | 'fail' | 'swallow' | 'undo' | 'pause' }
  | { readonly kind: 'forget'; readonly fails: boolean }
  | { readonly kind: 'conflict'; readonly times: number }

/**
 * What must be true with it. 'late' fails at COMMIT; 'perform' has no statements; 'hook' runs after the commit, 'bad
 * hook' throws there.
 */
export type EffectKind = 'statements' | 'combine' | 'hook' | 'bad hook' | 'perform' | 'fail' | 'late'

/** One unit of work. */
export interface Work {
  readonly acts: readonly Act[]
  readonly effects: readonly EffectKind[]
  readonly end: 'commit' | 'rollback' | 'throw'
  readonly bestEffort: boolean
  /** Of its so many-th call, where the database can be broken. */
  readonly fault: { readonly call: number; readonly is: Fault } | undefined
  /** No answer comes to its COMMIT. */
  readonly losesCommit: boolean
}

/** What must come of a work that nothing goes wrong with; 'any' where it is a matter of time. */
export type Prediction = 'commits' | 'rolls back' | 'fails' | 'any'

export const RETRIES = 2

export function predict({ acts, effects, end, bestEffort }: Work): Prediction {
  const fails = ({ kind, ...more }: Act): boolean =>
    kind === 'fail' || ('fails' in more && more.fails) || ('times' in more && more.times > RETRIES)
  const swallowed = acts.findIndex(({ kind }) => kind === 'swallow')
  // Whatever comes behind it finds the transaction aborted.
  const isAborted = swallowed >= 0 && acts.slice(swallowed).some(({ kind }) => kind !== 'pause' && kind !== 'swallow')
  if (end === 'rollback' && acts.some((act) => act.kind === 'forget' && act.fails)) return 'any'
  if (end === 'throw' || isAborted || acts.some(fails)) return 'fails'
  if (end === 'rollback') return 'rolls back'
  if (swallowed >= 0 || effects.some((kind) => kind === 'fail' || kind === 'late')) return 'fails'
  return effects.includes('perform') && !bestEffort ? 'fails' : 'commits'
}

const act: fc.Arbitrary<Act> = fc.oneof(
  { weight: 12, arbitrary: fc.constant<Act>({ kind: 'insert' }) },
  { weight: 3, arbitrary: fc.constantFrom<Act>({ kind: 'undo' }, { kind: 'pause' }) },
  { weight: 2, arbitrary: fc.constantFrom<Act>({ kind: 'fail' }, { kind: 'swallow' }, { kind: 'swallow' }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('forget' as const), fails: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('conflict' as const), times: fc.integer({ min: 1, max: RETRIES + 1 }) }),
  },
)
const effect = fc.constantFrom<EffectKind>(
  ...(['statements', 'statements', 'statements', 'combine', 'combine', 'combine', 'hook', 'hook', 'bad hook'] as const),
  ...(['perform', 'fail', 'late'] as const),
)

const fault = fc.record({
  call: fc.integer({ min: 1, max: 9 }),
  is: fc.constantFrom<Fault>('refuse', 'lose reply', { slowMs: 5 }),
})

/** A few works at once. */
export const works: fc.Arbitrary<Work[]> = fc.array(
  fc.record({
    acts: fc.array(act, { maxLength: 4 }),
    effects: fc.oneof(fc.constant([]), fc.array(effect, { maxLength: 4 }), fc.array(effect, { maxLength: 4 })),
    end: fc.constantFrom(
      'commit' as const,
      'commit' as const,
      'commit' as const,
      'rollback' as const,
      'throw' as const,
    ),
    bestEffort: fc.boolean(),
    fault: fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, fault),
    losesCommit: fc.constantFrom(true, false, false),
  }),
  { minLength: 1, maxLength: 3, size: 'max' },
)
