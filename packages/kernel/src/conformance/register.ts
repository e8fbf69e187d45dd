import { applies, checkSubject, type Subject, type Suite } from './suite.ts'
import { anySeed, runCase } from './run-case.ts'

/** What vitest, node:test and jest have in common. */
export interface Runner {
  describe(name: string, define: () => void): unknown
  it(name: string, run: () => Promise<void>): unknown
}

/**
 * Makes a test of each case: `register(idempotencyStoreSuite, subject, { describe, it })` is a store's whole test. Cases
 * that need what the subject does not have are left out. A failure names the seed with which {@link runSuite} repeats
 * it. Give `it.concurrent` as `it` when `make` is not shared.
 */
export function register<T>(suite: Suite<T>, subject: Subject<T>, { describe, it }: Runner): void {
  checkSubject(suite, subject)
  describe(suite.name, () => {
    for (const each of suite.cases) {
      // No arguments: node:test hands a context, and takes a function of two for one with a callback.
      if (applies(each, subject)) it(each.name, () => runCase(suite, each, subject, anySeed()))
    }
  })
}
