import { checkOptions, isScope, opt, systemClock, type Clock, type Logger } from '@keelson/kernel'
import { SETTINGS, type GivenSettings } from './endpoint-config.ts'
import { isEncryption, type EncryptionKey, type EncryptionProvider } from './encryption.ts'
import { optionFailure } from './error.ts'
import type { Propagated } from './http-attempt.ts'
import { NETWORK, type CheckedNetwork } from './network-options.ts'
import { isEventType } from './patterns.ts'
import type { WebhookStore } from './store.ts'
import type { EventCatalog, EventKind, WebhooksOptions } from './webhooks.ts'

const DAYS_30 = '30d'
const RETAINED = { min: '1s', max: '3650d' } as const

const SPEC = {
  store: opt.required(
    opt.port<WebhookStore>(['publish', 'takeUnrouted', 'route', 'claim', 'settle', 'reap', 'inspect']),
  ),
  encryption: opt.required(
    opt.custom<readonly EncryptionKey[] | EncryptionProvider | 'plaintext'>(
      "keys { id, key: 32 bytes raw or base64 }, the first one encrypts; or { encrypt(), decrypt() }; or 'plaintext'",
      isEncryption,
    ),
  ),
  events: opt.custom<EventCatalog>(
    'an object of event types, each with version (an integer from 1), schema (Standard Schema) and thin (a function)',
    isCatalog,
  ),
  endpoint: opt.group(SETTINGS),
  network: opt.group(NETWORK),
  dispatcher: opt.group({
    concurrency: opt.integer(64, { min: 1, max: 10_000 }),
    slowAfter: opt.duration('250ms', { min: 1, max: '60s' }),
    slowConcurrency: opt.integer(1_024, { min: 1, max: 100_000 }),
    pollInterval: opt.duration('1s', { min: '10ms', max: '1m' }),
    leaseMargin: opt.duration('5s', { min: '100ms', max: '10m' }),
    settleEvery: opt.duration('5ms', { max: '1s' }),
  }),
  retention: opt.group({
    attempts: opt.duration(DAYS_30, RETAINED),
    deliveries: opt.duration(DAYS_30, RETAINED),
    events: opt.duration(DAYS_30, RETAINED),
    held: opt.duration(DAYS_30, RETAINED),
  }),
  maxPayloadBytes: opt.integer(262_144, { min: 64, max: 16_777_216 }),
  maxEndpointsPerScope: opt.integer(1_000, { min: 1, max: 100_000 }),
  operationalScope: opt.custom<string>('a scope: 1 to 128 bytes', isScope),
  headerPrefix: opt.string('webhook', { match: /^[a-z][a-z0-9-]{0,31}$/ }),
  propagate: opt.custom<readonly Propagated[]>("an array of 'traceparent' and 'x-correlation-id'", isPropagated, [
    'traceparent',
    'x-correlation-id',
  ]),
  storeTimeout: opt.duration('250ms', { min: '10ms', max: '1m' }),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  logger: opt.logger(),
}

/** The options with their defaults; durations in ms. */
export interface CheckedWebhooksOptions {
  readonly store: WebhookStore
  readonly encryption: readonly EncryptionKey[] | EncryptionProvider | 'plaintext'
  readonly events: EventCatalog | undefined
  readonly endpoint: GivenSettings
  readonly network: CheckedNetwork
  readonly dispatcher: Readonly<
    Record<'concurrency' | 'slowAfter' | 'slowConcurrency' | 'pollInterval' | 'leaseMargin' | 'settleEvery', number>
  >
  readonly retention: Readonly<Record<'attempts' | 'deliveries' | 'events' | 'held', number>>
  readonly maxPayloadBytes: number
  readonly maxEndpointsPerScope: number
  readonly operationalScope: string | undefined
  readonly headerPrefix: string
  readonly propagate: readonly Propagated[]
  readonly storeTimeout: number
  readonly clock: Clock
  readonly logger: Logger
}

/** @throws WebhookError OPTION_INVALID */
export function checkWebhooksOptions(options: WebhooksOptions<any>): CheckedWebhooksOptions {
  return checkOptions('createWebhooks', options, SPEC, optionFailure)
}

function isCatalog(given: unknown): boolean {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false
  return Object.entries(given as Record<string, Partial<EventKind> | null>).every(([type, kind]) => {
    if (!isEventType(type) || typeof kind !== 'object' || kind === null) return false
    const { version, schema, thin, ...unknown } = kind
    if (Object.keys(unknown).length > 0) return false
    if (version !== undefined && !(Number.isSafeInteger(version) && version >= 1)) return false
    if (thin !== undefined && typeof thin !== 'function') return false
    return schema === undefined || typeof schema['~standard']?.validate === 'function'
  })
}

const PROPAGATED: readonly unknown[] = ['traceparent', 'x-correlation-id']

function isPropagated(given: unknown): boolean {
  return Array.isArray(given) && given.every((name) => PROPAGATED.includes(name))
}
