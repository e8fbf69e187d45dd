import type { Target } from './case.ts'
import type { Rounds } from './rounds.ts'
import { summaryOf, type Summary } from './statistics.ts'

/** A target and what came out. */
export interface Verdict extends Summary {
  readonly target: Target
  readonly kind: 'met' | 'missed'
  /** False when the target is met and its aim is not. */
  readonly aimMet: boolean
}

/** Compares inside each round, then takes the median of the rounds. */
export function verdictOn(target: Target, rounds: Rounds): Verdict {
  const summary = summaryOf(valuesOf(target, rounds))
  const reaches = (limit: number): boolean =>
    target.atLeast === undefined ? summary.median <= limit : summary.median >= limit
  const limit = target.atLeast ?? target.atMost
  if (limit === undefined) throw new Error(`the target of ${target.of} has no limit`)
  return { ...summary, target, kind: reaches(limit) ? 'met' : 'missed', aimMet: reaches(target.aim ?? limit) }
}

function valuesOf({ of, figure, over, minus }: Target, rounds: Rounds): number[] {
  const own = figuresOf(rounds, of, figure)
  if (over !== undefined) return ratios(own, figuresOf(rounds, over, figure))
  if (minus === undefined) return own
  const other = figuresOf(rounds, minus, figure)
  return own.map((value, round) => value - other[round]!)
}

/** One contender's figure over another's, round by round. */
export function ratios(own: readonly number[], other: readonly number[]): number[] {
  return own.map((value, round) => value / other[round]!)
}

/** A contender's figure in each round. */
export function figuresOf(rounds: Rounds, contender: string, figure: string): number[] {
  const all = rounds.get(contender)
  if (all === undefined) throw new Error(`no contender is named '${contender}'`)
  return all.map((figures) => {
    const value = figures[figure]
    if (value === undefined) throw new Error(`'${contender}' has no figure '${figure}'`)
    return value
  })
}

/** '>= 1.2x of glued stack (aim 1.4x)' */
export function textOf({ over, minus, atLeast, aim, ...target }: Target): string {
  const suffix = over === undefined ? '' : 'x'
  const limit = `${atLeast === undefined ? '<=' : '>='} ${atLeast ?? target.atMost}${suffix}`
  const compared = over === undefined ? (minus === undefined ? '' : ` over '${minus}'`) : ` of '${over}'`
  return `${target.of}, ${target.figure} ${limit}${compared}${aim === undefined ? '' : ` (aim ${aim}${suffix})`}`
}
