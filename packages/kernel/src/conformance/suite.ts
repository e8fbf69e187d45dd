import type { Tools } from './tools.ts'

/** One promise of a port: it holds when `run` resolves. Its name is a sentence. */
export interface Case<T> {
  readonly name: string
  /** Abilities that not every implementation has: the case counts only for subjects that name them in `has`. */
  readonly needs?: readonly string[]
  /** Must not depend on what other cases left: a subject may be shared, so use keys of its own. */
  run(subject: T, tools: Tools): Promise<void>
}

/** All that a port promises. */
export interface Suite<T> {
  readonly name: string
  /** The member of what `make` answers that is tested, such as 'store': without it the subject was not made. */
  readonly of: keyof T & string
  readonly cases: readonly Case<T>[]
}

/** An implementation under test. */
export interface Subject<T> {
  /** Opens one for each case; it may be the same again. `dispose` ends what was opened for this case. */
  make(): Promise<T & { dispose(): Promise<void> }>
  /** What it can do beyond what every implementation must: see the suite's cases for the words. */
  readonly has?: readonly string[]
  /** Of one that is broken on purpose: the name of the case that is there for it. `scoreMutants` runs that one first. */
  readonly caughtBy?: string
}

/** @throws TypeError for what is no suite or no subject. */
export function checkSubject<T>(suite: Suite<T>, subject: Subject<T>): void {
  if (!Array.isArray(suite?.cases)) throw new TypeError('the suite must be { name, of, cases }')
  if (typeof subject?.make === 'function' && (subject.has === undefined || Array.isArray(subject.has))) return
  throw new TypeError(`a subject of the ${suite.name} suite must be { make(), has?: [...] }`)
}

/** Whether a case counts for a subject. */
export function applies(each: Case<never>, { has = [] }: Pick<Subject<never>, 'has'>): boolean {
  return (each.needs ?? []).every((need) => has.includes(need))
}
