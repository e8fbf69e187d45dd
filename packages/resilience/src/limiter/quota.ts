import { checkOptions, opt, type Duration } from '@keelson/kernel'
import { optionFailure, ResilienceError } from '../error.ts'
import { shown } from '../shown.ts'
import { calendarBounds, isTimeZone, type Bounds, type CalendarUnit } from './calendar.ts'
import type { QuotaSpec } from './store.ts'
import type { Subject } from './subject.ts'

/**
 * So many units in a length of time, or in each period of a calendar. `limit` by plan: a function of the subject, whose
 * answer is a positive integer.
 */
export type Quota = {
  /** 1 to 64 of `a-z 0-9 _ . -`; different for each quota of a limiter. */
  readonly name: string
  readonly limit: number | ((subject: Subject) => number)
} & (
  | {
      /** Length of the window: 1 ms to 366 days. */
      readonly per: Duration
      /**
       * 'sliding' (default): at most `limit` in any window; over 128, and where `limit` is a function, in 60
       * sub-buckets, so that a unit may leave a 60th of the window late. 'gcra': a bucket of `burst` units that fills
       * evenly, up to `burst + limit` in a window. 'fixed': up to twice the limit around the turn of a window.
       */
      readonly algorithm?: 'sliding' | 'gcra' | 'fixed'
      /** Of 'gcra': units that may come at once; default `limit`. */
      readonly burst?: number
    }
  | {
      /** Weeks begin on Monday. */
      readonly calendar: CalendarUnit
      /** IANA name; default 'UTC'. */
      readonly timeZone?: string
    }
)

/** A quota as stores see it, at one moment. */
export interface CompiledQuota {
  readonly name: string
  /** The same for every subject and at every time. */
  readonly constant: boolean
  /** @throws ResilienceError INPUT_INVALID for what a limit function answers. */
  limitFor(subject: Subject): number
  /** The share of a node, of so many; 1: the whole. */
  spec(limit: number, nodes: number, wallMs: number): QuotaSpec
}

/** Of the log: over it the instants would take too much room. */
const LOG_LIMIT = 128
const MAX_LIMIT = 1e9
const MAX_QUOTAS = 16
/** Of a bucket, in us: times are added to it. */
const MAX_CAPACITY_US = 2 ** 52

const isLimit = (given: unknown): boolean =>
  Number.isInteger(given) && (given as number) >= 1 && (given as number) <= MAX_LIMIT

export const NAME: { readonly match: RegExp; readonly allowed: string } = {
  match: /^[a-z0-9_.-]{1,64}$/,
  allowed: '1 to 64 of a-z 0-9 _ . -',
}

const SPEC = {
  name: opt.required(opt.string(undefined, NAME)),
  limit: opt.required(
    opt.custom<number | ((subject: Subject) => number)>(
      `an integer from 1 to ${MAX_LIMIT} or a function of the subject`,
      (given) => typeof given === 'function' || isLimit(given),
    ),
  ),
  per: opt.duration(undefined, { min: 1, max: '366d' }),
  algorithm: opt.custom<'sliding' | 'gcra' | 'fixed'>("'sliding', 'gcra' or 'fixed'", (given) =>
    ['sliding', 'gcra', 'fixed'].includes(given as string),
  ),
  burst: opt.custom<number>(`an integer from 1 to ${MAX_LIMIT}`, isLimit),
  calendar: opt.custom<CalendarUnit>("'hour', 'day', 'week' or 'month'", (given) =>
    ['hour', 'day', 'week', 'month'].includes(given as string),
  ),
  timeZone: opt.custom<string>("an IANA time zone such as 'Europe/Berlin'", isTimeZone),
}

/** One quota or several. @throws ResilienceError OPTION_INVALID */
export function compileQuotas(given: Quota | readonly Quota[]): readonly CompiledQuota[] {
  const list: readonly Quota[] = Array.isArray(given) ? given : [given as Quota]
  if (list.length === 0 || list.length > MAX_QUOTAS)
    throw optionFailure(`createLimiter: "quotas" must be 1 to ${MAX_QUOTAS} quotas (got ${list.length})`)
  const compiled = list.map(compileQuota)
  const names = compiled.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined)
    throw optionFailure(`createLimiter: "quotas" must have different names (got '${twice}' twice)`)
  return compiled
}

function compileQuota(given: Quota): CompiledQuota {
  const owner = 'createLimiter quotas'
  const { name, limit, per, algorithm, burst, calendar, timeZone } = checkOptions(owner, given, SPEC, optionFailure)
  const refuse = (option: string, why: string): never => {
    throw optionFailure(`${owner}: "${option}" of '${name}' ${why}`)
  }
  const constant = typeof limit === 'number' && calendar === undefined
  const limitFor = typeof limit === 'number' ? () => limit : (subject: Subject) => checkedLimit(name, limit(subject))

  if (calendar !== undefined) {
    if (per !== undefined) refuse('per', 'must not stand beside "calendar"')
    if (algorithm !== undefined) refuse('algorithm', 'must not stand beside "calendar"')
    if (burst !== undefined) refuse('burst', 'must not stand beside "calendar"')
    const zone = timeZone ?? 'UTC'
    const key = `${name}:${calendar}@${zone}`
    const boundsAt = rememberedBounds(calendar, zone)
    const spec: CompiledQuota['spec'] = (whole, nodes, wallMs) => ({
      key,
      algorithm: 'calendar',
      limit: share(whole, nodes),
      bounds: boundsAt(wallMs),
    })
    return { name, constant, limitFor, spec }
  }

  const windowMs = per ?? refuse('per', 'is required: a Duration, or "calendar"')
  if (!Number.isInteger(windowMs)) refuse('per', `must be whole ms (got ${windowMs})`)
  if (timeZone !== undefined) refuse('timeZone', 'needs "calendar"')
  if (algorithm === 'gcra') {
    const fits = (whole: number): boolean => Math.ceil((windowMs * 1_000) / whole) * (burst ?? whole) <= MAX_CAPACITY_US
    const capacity = `must fill within ${Math.floor(MAX_CAPACITY_US / 1_000)} ms at its limit`
    if (typeof limit === 'number' && !fits(limit)) refuse('burst', `${capacity} (got ${burst})`)
    const spec: CompiledQuota['spec'] = (whole, nodes) => {
      if (!fits(whole)) throw new ResilienceError('INPUT_INVALID', `"burst" of '${name}' ${capacity} of ${whole}`)
      const burstShare = share(burst ?? whole, nodes)
      return { key: `${name}:g${windowMs}`, algorithm, limit: share(whole, nodes), windowMs, burst: burstShare }
    }
    return { name, constant, limitFor, spec }
  }
  if (burst !== undefined) refuse('burst', "needs algorithm: 'gcra'")
  const exact = typeof limit === 'number' && limit <= LOG_LIMIT
  const counting = algorithm === 'fixed' ? 'fixed' : exact ? 'log' : 'buckets'
  const key = `${name}:${counting[0]}${windowMs}`
  const spec: CompiledQuota['spec'] = (whole, nodes) => ({
    key,
    algorithm: counting,
    limit: share(whole, nodes),
    windowMs,
  })
  return { name, constant, limitFor, spec }
}

function checkedLimit(name: string, limit: unknown): number {
  if (isLimit(limit)) return limit as number
  throw new ResilienceError(
    'INPUT_INVALID',
    `the limit function of quota '${name}' must answer an integer from 1 to ${MAX_LIMIT} (got ${shown(limit)})`,
  )
}

/** At least 1: a node that knows nothing of the others must still do something. */
function share(whole: number, nodes: number): number {
  return Math.max(1, Math.floor(whole / nodes))
}

/** Bounds hold for as long as their period: reading a calendar takes some 100 us. */
function rememberedBounds(unit: CalendarUnit, timeZone: string): (wallMs: number) => Bounds {
  let bounds: Bounds = [0, 0, 0, 0]
  return (wallMs) => {
    if (wallMs < bounds[1] || wallMs >= bounds[2]) bounds = calendarBounds(unit, timeZone, wallMs)
    return bounds
  }
}
