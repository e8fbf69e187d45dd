import type { Duration } from '../duration.ts'
import { NotMade } from './run-case.ts'
import { runSuite } from './run-suite.ts'
import type { Case, Subject, Suite } from './suite.ts'

/** What a suite is worth: how many broken subjects it told from a good one. */
export interface Score {
  readonly caught: number
  readonly total: number
  /** Broken subjects that passed. */
  readonly survivors: readonly string[]
  /** The case that found each broken subject. */
  readonly caughtBy: Readonly<Record<string, string>>
}

/**
 * Runs a suite against subjects that are broken on purpose, each until its first failure: first the case that it names
 * in `caughtBy`. One that hangs for `timeout` (default 5 s a case) is caught too. Score only a suite that good subjects
 * pass.
 * @throws Error when there are none, or one of them cannot even be made: that says nothing of the suite.
 */
export async function scoreMutants<T>(
  suite: Suite<T>,
  mutants: Readonly<Record<string, Subject<T>>>,
  o: { seed?: number; timeout?: Duration } = {},
): Promise<Score> {
  const total = Object.keys(mutants).length
  if (total === 0) throw new Error('there are no broken subjects to score the suite by')
  const caughtBy: Record<string, string> = {}
  const survivors: string[] = []
  for (const [name, mutant] of Object.entries(mutants)) {
    const { failed } = await runSuite(startingWith(suite, mutant.caughtBy), mutant, { timeout: '5s', ...o, bail: true })
    const [first] = failed
    if (first?.error instanceof NotMade) throw new Error(`broken subject '${name}': ${first.error.message}`)
    if (first === undefined) survivors.push(name)
    else caughtBy[name] = first.name
  }
  return { caught: total - survivors.length, total, survivors, caughtBy }
}

/** The others count only when that one finds nothing. */
function startingWith<T>(suite: Suite<T>, first: string | undefined): Suite<T> {
  const isFirst = ({ name }: Case<T>): boolean => name === first
  return { ...suite, cases: suite.cases.toSorted((a, b) => Number(isFirst(b)) - Number(isFirst(a))) }
}
