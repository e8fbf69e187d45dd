import { durationAllowed, parseDuration, show, type Duration } from './duration.ts'
import type { KeelsonError } from './error.ts'
import { KernelError } from './kernel-error.ts'
import { silentLogger, type Logger } from './logger.ts'

/** How one option is read: `parse` answers its value, or undefined when the given one is not allowed. */
export interface Opt<T> {
  readonly allowed: string
  readonly required: boolean
  readonly fallback: T
  /** The options inside a group: each of them is named in its own error. */
  readonly inner?: OptionSpec
  parse(given: unknown): { readonly value: T } | undefined
}

/** The options of one function, by name. */
export type OptionSpec = Readonly<Record<string, Opt<any>>>
/** The values of checked options: durations in ms, defaults filled in. */
export type Resolved<S extends OptionSpec> = { readonly [K in keyof S]: S[K] extends Opt<infer T> ? T : never }

/** How a package raises its own class; the kernel's by default. */
export type OptionFailure = (message: string) => KeelsonError

/**
 * Checks an options object once, at creation, and fills its defaults in. Nothing is silently fixed.
 * @throws OPTION_INVALID that names the option, what came and what is allowed; also for an unknown option.
 */
export function checkOptions<S extends OptionSpec>(
  owner: string,
  given: unknown,
  spec: S,
  failure: OptionFailure = (message) => new KernelError('OPTION_INVALID', message),
): Resolved<S> {
  if (given !== undefined && !isOptions(given))
    throw failure(`${owner}: options must be an object (got ${show(given)})`)
  return read(owner, '', given ?? {}, spec, failure) as Resolved<S>
}

/** `path` is empty, or names the group with its dot. */
function read(
  owner: string,
  path: string,
  options: Record<string, unknown>,
  spec: OptionSpec,
  failure: OptionFailure,
): Record<string, unknown> {
  for (const name of Object.keys(options)) {
    if (!Object.hasOwn(spec, name)) throw failure(`${owner}: ${unknownOption(path, name, Object.keys(spec))}`)
  }
  const resolved: Record<string, unknown> = {}
  for (const [name, option] of Object.entries(spec)) {
    const value = options[name]
    if (value === undefined) {
      if (option.required) throw failure(`${owner}: "${path}${name}" is required: ${option.allowed}`)
      resolved[name] = option.fallback
    } else if (option.inner !== undefined && isOptions(value)) {
      resolved[name] = read(owner, `${path}${name}.`, value, option.inner, failure)
    } else {
      const parsed = option.parse(value)
      if (parsed === undefined)
        throw failure(`${owner}: "${path}${name}" must be ${option.allowed} (got ${show(value)})`)
      resolved[name] = parsed.value
    }
  }
  return resolved
}

function isOptions(given: unknown): given is Record<string, unknown> {
  return typeof given === 'object' && given !== null && !Array.isArray(given)
}

function unknownOption(path: string, name: string, known: readonly string[]): string {
  const nearest = known.toSorted((a, b) => editDistance(name, a) - editDistance(name, b))[0]
  if (nearest !== undefined && editDistance(name, nearest) <= Math.max(2, name.length / 3)) {
    return `unknown option "${path}${name}"; did you mean "${path}${nearest}"?`
  }
  return `unknown option "${path}${name}"; allowed are ${known.join(', ')}`
}

/** Levenshtein's distance, by rows. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

function option<T>(
  allowed: string,
  fallback: T,
  accepts: (given: unknown) => boolean,
  convert: (given: any) => T = (given) => given as T,
): Opt<T> {
  return {
    allowed,
    required: false,
    fallback,
    parse: (given) => (accepts(given) ? { value: convert(given) } : undefined),
  }
}

/** A default in the reader's form, before its value is read. */
type DurationLimits = { readonly min?: Duration; readonly max?: Duration }

function duration(fallback: Duration, limits?: DurationLimits): Opt<number>
function duration(fallback?: undefined, limits?: DurationLimits): Opt<number | undefined>
function duration(fallback?: Duration, { min = 0, max = Infinity }: DurationLimits = {}): Opt<number | undefined> {
  const minMs = parseDuration(min) ?? 0
  const maxMs = parseDuration(max) ?? Infinity
  const bounds = [minMs > 0 ? `at least ${min}` : '', maxMs < Infinity ? `at most ${max}` : ''].filter(Boolean)
  return option<number | undefined>(
    [durationAllowed, ...bounds].join(', '),
    fallback === undefined ? undefined : parseDuration(fallback),
    (given) => {
      const givenMs = parseDuration(given)
      return givenMs !== undefined && givenMs >= minMs && givenMs <= maxMs
    },
    parseDuration,
  )
}

function integer(
  fallback: number,
  { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {},
): Opt<number> {
  return option(
    `an integer from ${min} to ${max}`,
    fallback,
    (given) => Number.isInteger(given) && (given as number) >= min && (given as number) <= max,
  )
}

function oneOf<const T extends string>(values: readonly T[], fallback: T): Opt<T> {
  return option(values.map((value) => `'${value}'`).join(' or '), fallback, (given) => values.includes(given as T))
}

function boolean(fallback: boolean): Opt<boolean> {
  return option('true or false', fallback, (given) => typeof given === 'boolean')
}

function string(fallback: string, o?: { match?: RegExp; allowed?: string }): Opt<string>
function string(fallback?: undefined, o?: { match?: RegExp; allowed?: string }): Opt<string | undefined>
function string(fallback?: string, o: { match?: RegExp; allowed?: string } = {}): Opt<string | undefined> {
  return option<string | undefined>(
    o.allowed ?? (o.match === undefined ? 'a string' : `a string that matches ${o.match}`),
    fallback,
    (given) => typeof given === 'string' && (o.match?.test(given) ?? true),
  )
}

function fn<F extends (...args: any[]) => unknown>(): Opt<F | undefined>
function fn<F extends (...args: any[]) => unknown>(fallback: F): Opt<F>
function fn<F extends (...args: any[]) => unknown>(fallback?: F): Opt<F | undefined> {
  return option<F | undefined>('a function', fallback, (given) => typeof given === 'function')
}

/** An object with these methods: a store, a clock, a logger. */
function port<T>(methods: readonly (keyof T & string)[]): Opt<T | undefined>
function port<T>(methods: readonly (keyof T & string)[], fallback: T): Opt<T>
function port<T>(methods: readonly (keyof T & string)[], fallback?: T): Opt<T | undefined> {
  return option<T | undefined>(
    `an object with ${methods.map((method) => `${method}()`).join(', ')}`,
    fallback,
    (given) =>
      typeof given === 'object' &&
      given !== null &&
      methods.every((method) => typeof (given as Record<string, unknown>)[method] === 'function'),
  )
}

/** Silent by default. What is logged must not change what happens: one that throws is not heard. */
function logger(): Opt<Logger> {
  const levels = ['debug', 'info', 'warn', 'error'] as const
  const { allowed, parse } = port<Logger>(levels)
  return option<Logger>(
    allowed,
    silentLogger,
    (given) => parse(given) !== undefined,
    (given: Logger) => {
      const heard = (level: keyof Logger) => (fields: object, message: string) => {
        try {
          given[level](fields, message)
        } catch {}
      }
      return Object.fromEntries(levels.map((level) => [level, heard(level)])) as unknown as Logger
    },
  )
}

/** Anything that `accepts` admits: for options with a rule of their own. */
function custom<T>(allowed: string, accepts: (given: unknown) => boolean): Opt<T | undefined>
function custom<T>(allowed: string, accepts: (given: unknown) => boolean, fallback: T): Opt<T>
function custom<T>(allowed: string, accepts: (given: unknown) => boolean, fallback?: T): Opt<T | undefined> {
  return option<T | undefined>(allowed, fallback, accepts)
}

/** An object with options of its own. */
function group<S extends OptionSpec>(spec: S): Opt<Resolved<S>> {
  const fallback = Object.fromEntries(Object.entries(spec).map(([name, inner]) => [name, inner.fallback as unknown]))
  return {
    allowed: `an object with ${Object.entries(spec)
      .map(([name, inner]) => `${name}: ${inner.allowed}`)
      .join('; ')}`,
    required: false,
    fallback: fallback as Resolved<S>,
    inner: spec,
    // An object is read option by option; anything else is no group.
    parse: () => undefined,
  }
}

function required<T>(inner: Opt<T>): Opt<Exclude<T, undefined>> {
  return { ...inner, required: true } as Opt<Exclude<T, undefined>>
}

/** The kinds of option. Each has its default first; without one the option may be missing. */
export const opt: {
  readonly duration: typeof duration
  readonly integer: typeof integer
  readonly oneOf: typeof oneOf
  readonly boolean: typeof boolean
  readonly string: typeof string
  readonly fn: typeof fn
  readonly port: typeof port
  readonly logger: typeof logger
  readonly custom: typeof custom
  readonly group: typeof group
  readonly required: typeof required
} = { duration, integer, oneOf, boolean, string, fn, port, logger, custom, group, required }
