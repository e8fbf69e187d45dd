import { checkOptions, opt, type Duration, type StandardSchemaV1 } from '@keelson/kernel'
import { optionFailure } from './error.ts'
import { checkTags } from './tag.ts'

/** How one entry is loaded and kept; durations as ms or '5s'. */
export interface EntryOptions<T = any> {
  /** From the load's end by the store's clock. */
  readonly ttl?: Duration
  /** How long it is kept as stale, to be served when a load fails, is slow, or runs elsewhere. */
  readonly grace?: Duration
  /** Of a loaded null. */
  readonly negativeTtl?: Duration
  /** Options by name, of the cache's `policies`; what is given beside it wins. */
  readonly policy?: string
  /** What invalidates it: known before the load, or told from the value. At most 64. */
  readonly tags?: readonly string[] | ((value: T) => readonly string[])
  /** Of the loader: then LOAD_TIMEOUT, or stale data where there is some. The load is aborted. */
  readonly timeout?: Duration
  /** After this time stale data is served, where there is some, and the load goes on; 0 serves it at once. */
  readonly softTimeout?: Duration
  /** Checks what was read from a shared store: what does not fit is a miss, so a deploy is safe. Transforms nothing. */
  readonly schema?: StandardSchemaV1<unknown, T>
  /** Ends this caller's wait; the load is aborted when the last one has left. */
  readonly signal?: AbortSignal
}

/** Entry options with their defaults; durations in ms. */
export interface Policy {
  readonly ttl: number
  readonly grace: number
  readonly negativeTtl: number
  readonly tags?: readonly string[] | ((value: any) => readonly string[]) | undefined
  readonly timeout?: number | undefined
  readonly softTimeout?: number | undefined
  readonly schema?: StandardSchemaV1<unknown, any> | undefined
  readonly signal?: AbortSignal | undefined
}

/** What the options of one call are read against. */
export interface PolicyBase {
  readonly defaults: Policy
  readonly policies: ReadonlyMap<string, Policy>
  readonly maxTtl: number
}

const ttl = opt.duration(undefined, { min: 1 })
const SPEC = {
  ttl,
  grace: opt.duration(),
  negativeTtl: ttl,
  policy: opt.string(),
  tags: opt.custom<NonNullable<EntryOptions['tags']>>(
    'an array of strings or a function',
    (given) => Array.isArray(given) || typeof given === 'function',
  ),
  timeout: opt.duration(undefined, { min: 1 }),
  softTimeout: opt.duration(),
  schema: opt.custom<StandardSchemaV1<unknown, any>>(
    'a Standard Schema',
    (given) => typeof (given as Partial<StandardSchemaV1> | null)?.['~standard']?.validate === 'function',
  ),
  signal: opt.custom<AbortSignal>('an AbortSignal', (given) => given instanceof AbortSignal),
}

/**
 * The options of one call over those of its policy over the cache's.
 * @throws CacheError OPTION_INVALID, TAG_INVALID
 */
export function checkEntryOptions(owner: string, given: Duration | EntryOptions | undefined, base: PolicyBase): Policy {
  if (given === undefined) return base.defaults
  const options = typeof given === 'object' ? given : { ttl: given }
  const o = checkOptions(owner, options, SPEC, optionFailure)
  const under = o.policy === undefined ? base.defaults : base.policies.get(o.policy)
  if (under === undefined) {
    const known = [...base.policies.keys()].join(', ') || 'none'
    throw optionFailure(`${owner}: "policy" must be one of createCache's policies: ${known} (got '${o.policy}')`)
  }
  checkTimes(owner, o, base.maxTtl)
  if (Array.isArray(o.tags)) checkTags(o.tags, { implicit: false })
  return {
    ttl: o.ttl ?? under.ttl,
    grace: o.grace ?? under.grace,
    negativeTtl: o.negativeTtl ?? under.negativeTtl,
    tags: o.tags ?? under.tags,
    timeout: o.timeout ?? under.timeout,
    softTimeout: o.softTimeout ?? under.softTimeout,
    schema: o.schema ?? under.schema,
    signal: o.signal,
  }
}

/** @throws CacheError OPTION_INVALID for what is longer than `maxTtl`: what is older cannot be known to be valid. */
export function checkTimes(
  owner: string,
  given: Readonly<Record<'ttl' | 'negativeTtl' | 'grace', number | undefined>>,
  maxTtl: number,
): void {
  for (const name of ['ttl', 'negativeTtl', 'grace'] as const) {
    const value = given[name]
    if (value !== undefined && value > maxTtl)
      throw optionFailure(`${owner}: "${name}" must be at most maxTtl, ${maxTtl} ms (got ${value})`)
  }
}
