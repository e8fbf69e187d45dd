import {
  checkOptions,
  opt,
  silentLogger,
  systemClock,
  type Clock,
  type Duration,
  type Logger,
  type OptionSpec,
} from '@keelson/kernel'
import { checkEntryOptions, checkTimes, type EntryOptions, type Policy } from './entry-options.ts'
import { optionFailure } from './error.ts'
import { memoryStore } from './memory.ts'
import type { CacheStore, DropLog } from './store.ts'
import { isValueCodec, type ValueCodec } from './value-codec.ts'

/** What `createCache` takes; durations as ms or '5s'. */
export interface CacheOptions {
  /** Names rows, Redis keys and the metrics' label: a lower-case word of at most 32 characters. */
  readonly name: string
  /** What all nodes share; default `memoryStore()`: this process alone. */
  readonly store?: CacheStore
  /** Makes `drop()` a part of the SQL transaction where the store is not that database. */
  readonly log?: DropLog
  /** This process's own memory: default 10,000 entries and '64mb'. False: none. */
  readonly l1?: false | { readonly maxEntries?: number; readonly maxBytes?: number | `${number}${'kb' | 'mb'}` }
  /**
   * 'strong' (default): no node serves what was invalidated, once `invalidate` has resolved. 'bounded': for at most
   * one `lease` it may, and `invalidate` waits for nobody.
   */
  readonly coherence?: 'strong' | 'bounded'
  /** How long a node may serve from memory on one renewal; default 1 s, at most 10 s. The same on all nodes. */
  readonly lease?: Duration
  /** Of an entry whose call says nothing; default 5 min, or `maxTtl` where that is less. */
  readonly ttl?: Duration
  /** The longest `ttl`, `negativeTtl` and `grace` that any call may ask for; default 7 d, on Postgres 24 h. */
  readonly maxTtl?: Duration
  /** Share of a time to live that chance takes away, so that entries do not end together; default 0.1. */
  readonly jitter?: number
  /** How long a stale entry is kept, to be served when its load fails or is slow; default 0. */
  readonly grace?: Duration
  /** Of a loaded null; default 30 s, or `maxTtl` where that is less. */
  readonly negativeTtl?: Duration
  /** How early one caller refreshes an entry before its end (XFetch's beta); default 1, 0 never. */
  readonly early?: number
  /** How long the store may take to answer a call; default 250 ms. */
  readonly storeTimeout?: Duration
  /** A load that took longer is not stored; default 60 s. */
  readonly maxLoad?: Duration
  /** After this time another process takes over the load of one that died; default 2 s. */
  readonly lockTtl?: Duration
  /** Leading parts of an array key that are tags of their own, for `prefix()`; default 1, at most 4. */
  readonly prefixDepth?: number
  /** Options by name, for `policy`: a time to live, or more. */
  readonly policies?: Readonly<Record<string, Duration | EntryOptions>>
  /** `drop()` while the shared store is away: 'owe' (default) answers, 'wait' waits at most one lease. */
  readonly onUnavailable?: 'owe' | 'wait'
  /** How values become bytes; default 'json'. */
  readonly codec?: 'json' | 'v8' | ValueCodec
  /** Larger bodies are compressed with zstd; default 4096 bytes. */
  readonly compressAbove?: number | false
  /** What callers get: one frozen value (default), a clone each, or one value that anybody may change. */
  readonly share?: 'freeze' | 'clone' | 'unsafe'
  readonly clock?: Clock
  /** 0 to 1; for tests. */
  readonly random?: () => number
  readonly logger?: Logger
}

const TTL_MS = 300_000
const NEGATIVE_TTL_MS = 30_000
const WORD = /^[a-z][a-z0-9_-]{0,31}$/
const BYTES = /^(\d+(?:\.\d+)?)(kb|mb)$/
const UNIT = { kb: 1_024, mb: 1_048_576 } as const

const STORE_METHODS = ['open'] as const
const LOG_METHODS = ['statement', 'claim', 'pending', 'done', 'backlog'] as const

const SPEC = {
  name: opt.required(opt.string(undefined, { match: WORD, allowed: 'a lower-case word of at most 32 characters' })),
  store: opt.port<CacheStore>(STORE_METHODS),
  log: opt.port<DropLog>(LOG_METHODS),
  l1: opt.custom<CacheOptions['l1']>('false or an object with maxEntries and maxBytes', (given) =>
    given === false ? true : typeof given === 'object' && given !== null,
  ),
  coherence: opt.oneOf<'strong' | 'bounded'>(['strong', 'bounded'], 'strong'),
  lease: opt.duration('1s', { min: '50ms', max: '10s' }),
  ttl: opt.duration(undefined, { min: 1 }),
  maxTtl: opt.duration(undefined, { min: 1, max: '365d' }),
  jitter: fraction(0.1),
  grace: opt.duration(0),
  negativeTtl: opt.duration(undefined, { min: 1 }),
  early: opt.custom<number>('a number from 0 to 10', (given) => inRange(given, 10), 1),
  storeTimeout: opt.duration('250ms', { min: '10ms', max: '1m' }),
  maxLoad: opt.duration('60s', { min: '1s', max: '1h' }),
  lockTtl: opt.duration('2s', { min: '100ms', max: '1m' }),
  prefixDepth: opt.integer(1, { max: 4 }),
  policies: opt.custom<NonNullable<CacheOptions['policies']>>(
    'an object of durations or options by name',
    (given) => typeof given === 'object' && given !== null && !Array.isArray(given),
    {},
  ),
  onUnavailable: opt.oneOf<'owe' | 'wait'>(['owe', 'wait'], 'owe'),
  codec: opt.custom<'json' | 'v8' | ValueCodec>(
    "'json', 'v8' or an object with id, encode() and decode()",
    (given) => given === 'json' || given === 'v8' || isValueCodec(given),
    'json',
  ),
  compressAbove: opt.custom<number | false>(
    'a number of bytes or false',
    (given) => given === false || (Number.isInteger(given) && (given as number) >= 0),
    4_096,
  ),
  share: opt.oneOf<'freeze' | 'clone' | 'unsafe'>(['freeze', 'clone', 'unsafe'], 'freeze'),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  random: opt.fn<() => number>(Math.random),
  logger: opt.port<Logger>(['debug', 'info', 'warn', 'error'], silentLogger),
} satisfies OptionSpec

const L1_SPEC = {
  maxEntries: opt.integer(10_000, { min: 1 }),
  maxBytes: opt.custom<number | string>(
    "a number of bytes or text such as '64mb'",
    (given) => bytesOf(given) !== undefined,
    '64mb',
  ),
}

/** The options with their defaults; durations in ms. */
export interface CheckedOptions {
  readonly name: string
  readonly store: CacheStore
  readonly log: DropLog | undefined
  readonly l1: { readonly maxEntries: number; readonly maxBytes: number } | false
  readonly coherence: 'strong' | 'bounded'
  readonly lease: number
  readonly maxTtl: number
  readonly jitter: number
  readonly early: number
  readonly storeTimeout: number
  readonly maxLoad: number
  readonly lockTtl: number
  readonly prefixDepth: number
  readonly onUnavailable: 'owe' | 'wait'
  readonly codec: 'json' | 'v8' | ValueCodec
  readonly compressAbove: number | false
  readonly share: 'freeze' | 'clone' | 'unsafe'
  readonly clock: Clock
  readonly random: () => number
  readonly logger: Logger
  /** Of calls that name none. */
  readonly defaults: Policy
  readonly policies: ReadonlyMap<string, Policy>
}

/** @throws CacheError OPTION_INVALID */
export function checkCacheOptions(options: CacheOptions): CheckedOptions {
  const { ttl, grace, negativeTtl, policies, ...o } = checkOptions('createCache', options, SPEC, optionFailure)
  const store = o.store ?? memoryStore({ clock: o.clock })
  const maxTtl = o.maxTtl ?? (store.kind === 'postgres' ? 86_400_000 : 604_800_000)
  checkTimes('createCache', { ttl, negativeTtl, grace }, maxTtl)
  const defaults: Policy = {
    ttl: ttl ?? Math.min(TTL_MS, maxTtl),
    negativeTtl: negativeTtl ?? Math.min(NEGATIVE_TTL_MS, maxTtl),
    grace,
  }
  return {
    ...o,
    store,
    log: o.log,
    maxTtl,
    l1: l1Of(o.l1),
    defaults,
    policies: new Map(
      Object.entries(policies).map(([name, policy]) => [
        name,
        checkEntryOptions(`createCache: "policies.${name}"`, policy, { defaults, policies: new Map(), maxTtl }),
      ]),
    ),
  }
}

function l1Of(given: CacheOptions['l1']): CheckedOptions['l1'] {
  if (given === false) return false
  const { maxEntries, maxBytes } = checkOptions('createCache: "l1"', given, L1_SPEC, optionFailure)
  return { maxEntries, maxBytes: bytesOf(maxBytes)! }
}

function bytesOf(given: unknown): number | undefined {
  if (typeof given === 'number') return Number.isInteger(given) && given > 0 ? given : undefined
  const match = BYTES.exec(String(given))
  const bytes = match === null ? 0 : Math.floor(Number(match[1]) * UNIT[match[2] as keyof typeof UNIT])
  return bytes > 0 ? bytes : undefined
}

function inRange(given: unknown, max: number): boolean {
  return typeof given === 'number' && given >= 0 && given <= max
}

function fraction(fallback: number) {
  return opt.custom<number>('a number from 0 to 1', (given) => inRange(given, 1), fallback)
}
