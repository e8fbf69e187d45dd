import type { Duration } from '../duration.ts'
import { KernelError } from '../kernel-error.ts'
import { checkOptions, opt } from '../options.ts'
import { applies, checkSubject, type Case, type Subject, type Suite } from './suite.ts'
import { anySeed, runCase } from './run-case.ts'

/** What a suite found of one subject. */
export interface Report {
  readonly suite: string
  readonly seed: number
  readonly passed: readonly string[]
  readonly failed: readonly { readonly name: string; readonly error: unknown }[]
  /** Cases that need what the subject does not have. */
  readonly omitted: readonly string[]
}

/** How to run a suite. */
export interface RunOptions {
  /** Default: a new one. */
  readonly seed?: number
  /** Only cases whose name matches. */
  readonly only?: RegExp
  /** A case that takes longer has failed: it hangs. Default 30 s. */
  readonly timeout?: Duration
  /** Stop at the first failure. Default false. */
  readonly bail?: boolean
}

const OPTIONS = {
  seed: opt.custom<number>('an integer', Number.isInteger),
  only: opt.custom<RegExp>('a RegExp', (given) => given instanceof RegExp),
  timeout: opt.duration('30s', { min: 1 }),
  bail: opt.boolean(false),
}

/**
 * Runs a suite without a test runner, one case after the other. Rejects only for what it cannot run: KernelError
 * OPTION_INVALID for wrong options, also for an `only` that no case has; TypeError for what is no suite or subject.
 */
export async function runSuite<T>(suite: Suite<T>, subject: Subject<T>, o: RunOptions = {}): Promise<Report> {
  const { seed = anySeed(), only, bail, timeout } = checkOptions('runSuite', o, OPTIONS)
  checkSubject(suite, subject)
  const passed: string[] = []
  const failed: { name: string; error: unknown }[] = []
  const wanted = suite.cases.filter(({ name }) => only === undefined || name.search(only) !== -1)
  if (wanted.length === 0) throw new KernelError('OPTION_INVALID', `runSuite: no case of ${suite.name} matches ${only}`)
  const applicable = wanted.filter((each) => applies(each, subject))

  for (const each of applicable) {
    try {
      await inTime(each, runCase(suite, each, subject, seed), timeout)
      passed.push(each.name)
    } catch (error) {
      failed.push({ name: each.name, error })
      if (bail) break
    }
  }
  const omitted = wanted.filter((each) => !applicable.includes(each)).map(({ name }) => name)
  return { suite: suite.name, seed, passed, failed, omitted }
}

async function inTime<T>(each: Case<T>, running: Promise<void>, timeoutMs: number): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`'${each.name}' did not end within ${timeoutMs} ms`)), timeoutMs)
  })
  try {
    await Promise.race([running, hung])
  } finally {
    clearTimeout(timer)
  }
}
