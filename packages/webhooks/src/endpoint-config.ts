import { opt, type Opt } from '@keelson/kernel'
import { isTypePattern, patternAllowed } from './patterns.ts'
import { DEFAULT_SCHEDULE, MAX_STEP_MS, MAX_STEPS } from './schedule.ts'
import type { SigningScheme } from './signing/sign.ts'

/** How an endpoint is treated, read; durations in ms. */
export interface EndpointSettings {
  readonly concurrency: number
  readonly rate: { readonly limit: number; readonly per: number } | null
  readonly timeout: number
  readonly retry: { readonly schedule: readonly number[]; readonly jitter: number }
  readonly breaker: { readonly failures: number; readonly cooldown: number } | false
  readonly disableAfter: number | false
  readonly signing: readonly SigningScheme[]
}

/** Settings of which any may be left out. */
export type GivenSettings = { readonly [K in keyof EndpointSettings]?: EndpointSettings[K] | undefined }

/** What is kept of an endpoint as JSON: settings that it does not have are the application's. */
export interface EndpointConfig extends Partial<EndpointSettings> {
  readonly url: string
  readonly types: readonly string[]
  readonly channels?: readonly string[]
  readonly filter?: Readonly<Record<string, readonly (string | number | boolean | null)[]>>
  readonly headers?: Readonly<Record<string, string>>
  readonly description?: string
  readonly metadata?: Readonly<Record<string, string>>
}

/** Of an attempt; its lease follows from it. */
const MAX_TIMEOUT = '60s'

const SCHEMES: readonly unknown[] = ['v1', 'v1a', 'svix']
const LATER: readonly unknown[] = ['github', 'stripe', 'shopify']

/** How settings are read, without defaults: for an endpoint, and for the application's. */
export const SETTINGS: { readonly [K in keyof EndpointSettings]: Opt<EndpointSettings[K] | undefined> } = {
  concurrency: maybe(opt.integer(0, { min: 1, max: 1_000 })),
  rate: rule('an object with limit: an integer from 1, and per: a Duration from 1 ms to 1 d', readRate),
  timeout: opt.duration(undefined, { min: 1, max: MAX_TIMEOUT }),
  retry: rule(
    `an object with schedule: 1 to ${MAX_STEPS} Durations of at most 30 d, and jitter: a number from 0 to 1`,
    readRetry,
  ),
  breaker: rule(
    'false, or an object with failures: an integer from 1, and cooldown: a Duration up to 10 m',
    readBreaker,
  ),
  disableAfter: rule("false, or a Duration of at least '1s'", readDisableAfter),
  signing: opt.custom<readonly SigningScheme[]>(
    "an array of 'v1', 'v1a', 'svix' (others are not in this release)",
    areSchemes,
  ),
}

/** The settings of an endpoint and a handler that say nothing, but for the timeout. */
export const DEFAULTS: Omit<EndpointSettings, 'timeout'> = {
  concurrency: 4,
  rate: null,
  retry: { schedule: DEFAULT_SCHEDULE, jitter: 0.2 },
  breaker: { failures: 10, cooldown: 30_000 },
  disableAfter: 5 * 24 * 60 * 60 * 1_000,
  signing: ['v1'],
}

const MAX_LISTED = 100
const MAX_TEXT = 4_096
const MAX_HEADERS = 50

/** How an endpoint's own members are read. */
export const MEMBERS: {
  readonly [K in Exclude<keyof EndpointConfig, keyof EndpointSettings> | 'secret']: Opt<
    (EndpointConfig & { readonly secret?: string })[K] | undefined
  >
} = {
  url: opt.string(undefined),
  types: opt.custom<readonly string[]>(`1 to ${MAX_LISTED} patterns: ${patternAllowed}`, (given) =>
    isList(given, isTypePattern),
  ),
  channels: opt.custom<readonly string[]>(`1 to ${MAX_LISTED} texts of 1 to 256 characters`, (given) =>
    isList(given, isName),
  ),
  filter: opt.custom<EndpointConfig['filter']>(
    'an object of dot paths, each with 1 to 100 strings, numbers, booleans or nulls',
    isFilter,
  ),
  headers: opt.custom<Readonly<Record<string, string>>>(
    `an object of at most ${MAX_HEADERS} header names and values; not host, content-*, transfer-encoding, connection, ` +
      'webhook-*, svix-*, nor a signature header',
    areHeaders,
  ),
  secret: opt.string(undefined),
  description: opt.custom<string>(`a text of at most ${MAX_TEXT} characters`, isText),
  metadata: opt.custom<Readonly<Record<string, string>>>(
    `an object of at most ${MAX_HEADERS} texts of at most ${MAX_TEXT} characters`,
    (given) => isRecord(given) && Object.values(given).every(isText) && Object.keys(given).length <= MAX_HEADERS,
  ),
}

/** True for a key, channel, subject or principal. */
export function isName(value: unknown): value is string {
  return (
    typeof value === 'string' &&
    value.length > 0 &&
    value.length <= 256 &&
    !/\p{Cc}/u.test(value) &&
    value.isWellFormed()
  )
}

function maybe<T>(inner: Opt<T>): Opt<T | undefined> {
  return { ...inner, fallback: undefined }
}

/** A setting with members of its own: `read` answers it with numbers, or undefined. */
function rule<T>(allowed: string, read: (given: unknown) => T | undefined): Opt<T | undefined> {
  return {
    allowed,
    required: false,
    fallback: undefined,
    parse(given) {
      const value = read(given)
      return value === undefined ? undefined : { value }
    },
  }
}

function durationOf(given: unknown, minMs: number, maxMs: number): number | undefined {
  const parsed = opt.duration(undefined, { min: minMs, max: maxMs }).parse(given)
  return parsed?.value
}

function membersOf(given: unknown, allowed: readonly string[]): Record<string, unknown> | undefined {
  return isRecord(given) && Object.keys(given).every((name) => allowed.includes(name)) ? given : undefined
}

function readRate(given: unknown): EndpointSettings['rate'] | undefined {
  const { limit, per } = membersOf(given, ['limit', 'per']) ?? {}
  const perMs = durationOf(per, 1, 24 * 60 * 60 * 1_000)
  if (!Number.isInteger(limit) || (limit as number) < 1 || perMs === undefined) return undefined
  return { limit: limit as number, per: perMs }
}

function readRetry(given: unknown): EndpointSettings['retry'] | undefined {
  const { schedule, jitter = DEFAULTS.retry.jitter } = membersOf(given, ['schedule', 'jitter']) ?? {}
  if (!Array.isArray(schedule) || schedule.length === 0 || schedule.length > MAX_STEPS) return undefined
  if (typeof jitter !== 'number' || !(jitter >= 0 && jitter <= 1)) return undefined
  const steps = schedule.map((step) => durationOf(step, 0, MAX_STEP_MS))
  return steps.every((step) => step !== undefined) ? { schedule: steps, jitter } : undefined
}

function readBreaker(given: unknown): EndpointSettings['breaker'] | undefined {
  if (given === false) return false
  const { failures = 10, cooldown = 30_000 } = membersOf(given, ['failures', 'cooldown']) ?? { failures: null }
  const cooldownMs = durationOf(cooldown, 1, 10 * 60 * 1_000)
  if (!Number.isInteger(failures) || (failures as number) < 1 || cooldownMs === undefined) return undefined
  return { failures: failures as number, cooldown: cooldownMs }
}

function readDisableAfter(given: unknown): number | false | undefined {
  return given === false ? false : durationOf(given, 1_000, 365 * 24 * 60 * 60 * 1_000)
}

function areSchemes(given: unknown): boolean {
  return isList(given, (scheme) => SCHEMES.includes(scheme) && !LATER.includes(scheme))
}

function isList(given: unknown, each: (item: unknown) => boolean): boolean {
  return Array.isArray(given) && given.length > 0 && given.length <= MAX_LISTED && given.every(each)
}

function isRecord(given: unknown): given is Record<string, unknown> {
  return typeof given === 'object' && given !== null && !Array.isArray(given)
}

function isText(given: unknown): boolean {
  return typeof given === 'string' && given.length <= MAX_TEXT && given.isWellFormed()
}

function isFilter(given: unknown): boolean {
  if (!isRecord(given) || Object.keys(given).length > MAX_LISTED) return false
  return Object.entries(given).every(([path, values]) => path.length > 0 && isList(values, isPlainValue))
}

function isPlainValue(value: unknown): boolean {
  return value === null || ['string', 'boolean'].includes(typeof value) || Number.isFinite(value)
}

/** RFC 9110's token, and what a field value may hold. */
const NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$/
const VALUE = /^[\t\x20-\x7e\x80-\xff]{0,4096}$/
const OURS =
  /^(host|content-.*|transfer-encoding|connection|keep-alive|upgrade|te|trailer|expect|proxy-.*|webhook-.*|svix-.*|signature|signature-input|stripe-signature|x-hub-signature.*|x-shopify-hmac-sha256)$/i

/** What HTTP can carry: another text makes a request that cannot be sent. */
export const isHeaderValue = (value: unknown): boolean => typeof value === 'string' && VALUE.test(value)

function areHeaders(given: unknown): boolean {
  if (!isRecord(given) || Object.keys(given).length > MAX_HEADERS) return false
  return Object.entries(given).every(([name, value]) => {
    return NAME.test(name) && !OURS.test(name) && isHeaderValue(value)
  })
}
