import { checkOptions, opt, type Duration, type Opt, type OptionSpec, type Resolved } from '@keelson/kernel'
import { optionFailure } from '../error.ts'
import type { Sink } from '../sink.ts'

/** What every sink takes; durations as ms or '5s'. */
export interface SinkOptions {
  /** Its cursor is kept under it; default: what the sink is called, such as 'elasticsearch'. */
  readonly name?: string
  /** Only entries of these scopes and actions ('user.*'). */
  readonly only?: NonNullable<Sink['only']>
  /** Default 1 MiB. */
  readonly maxBatchBytes?: number
  /** Default 2,000. */
  readonly maxBatchEntries?: number
  /** How long an entry may wait for a full batch; default '1s'. */
  readonly flush?: Duration
  /** Of one request; default '10s'. */
  readonly timeout?: Duration
}

/** The global one, or what stands in for it. */
export type Fetch = typeof globalThis.fetch

/** What every sink that speaks HTTP takes. */
export interface HttpSinkOptions extends SinkOptions {
  readonly url: string | URL
  /** Instead of the global one. */
  readonly fetch?: Fetch
}

const COMMON = {
  only: opt.custom<NonNullable<Sink['only']>>('{ scopes?, actions? }, arrays of texts', isOnly),
  maxBatchBytes: opt.integer(1_048_576, { min: 1_024, max: 67_108_864 }),
  maxBatchEntries: opt.integer(2_000, { min: 1, max: 10_000 }),
  flush: opt.duration('1s', { max: '1m' }),
  timeout: opt.duration('10s', { min: '100ms', max: '5m' }),
}

/** Of sinks that speak HTTP. */
export const HTTP: { readonly url: Opt<string | URL>; readonly fetch: Opt<Fetch | undefined> } = {
  url: opt.required(opt.custom<string | URL>('an http(s) URL without credentials', isUrl)),
  fetch: opt.custom<Fetch>('a function', (given) => typeof given === 'function'),
}

/** The members of a sink that do not deliver, and its own options. @throws AuditError OPTION_INVALID */
export function checkSinkOptions<S extends OptionSpec>(
  owner: string,
  kind: string,
  given: unknown,
  spec: S,
): { readonly base: Omit<Sink, 'deliver' | 'ordered'>; readonly own: Resolved<S> } {
  const name = opt.string(kind, { match: /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/ })
  const o = checkOptions(owner, given, { ...COMMON, name, ...spec }, optionFailure) as unknown as Resolved<
    typeof COMMON & S & { name: typeof name }
  > & {
    only: Sink['only']
    maxBatchBytes: number
    maxBatchEntries: number
    flush: number
    timeout: number
    name: string
  }
  const base = {
    name: o.name,
    maxBatchBytes: o.maxBatchBytes,
    maxBatchEntries: o.maxBatchEntries,
    flushMs: o.flush,
    timeoutMs: o.timeout,
    ...(o.only === undefined ? {} : { only: o.only }),
  }
  return { base, own: o }
}

const isTexts = (given: unknown): boolean =>
  given === undefined || (Array.isArray(given) && given.length > 0 && given.every((one) => typeof one === 'string'))

function isOnly(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const { scopes, actions, ...unknown } = given as NonNullable<Sink['only']>
  return Object.keys(unknown).length === 0 && isTexts(scopes) && isTexts(actions)
}

function isUrl(given: unknown): boolean {
  try {
    const { protocol, username, password } = new URL(given as string | URL)
    return /^https?:$/.test(protocol) && username === '' && password === ''
  } catch {
    return false
  }
}
