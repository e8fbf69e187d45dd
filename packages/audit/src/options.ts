import { checkOptions, ms, opt, type Clock, type Duration, type Logger } from '@keelson/kernel'
import type { AuditOptions } from './audit.ts'
import { ENTRY_OPTIONS, type CheckedEntryOptions } from './entry/options.ts'
import { optionFailure } from './error.ts'
import { parseSigner } from './note/keys.ts'
import { checkSinks } from './check-sinks.ts'
import type { Sink } from './sink.ts'
import type { AuditStore } from './store.ts'

const SPEC = {
  store: opt.required(opt.port<AuditStore>(['append', 'seal', 'read', 'search', 'claim', 'advance', 'inspect'])),
  spool: opt.custom<AuditStore>('a fileStore: a store that has drain()', isSpool),
  key: opt.custom<NonNullable<AuditOptions['key']>>(
    'a signer text of generateKey(), an array of them, or a function that answers them',
    isKey,
  ),
  log: opt.string('main', { match: /^[a-z0-9][a-z0-9._-]{0,63}$/ }),
  sinks: opt.custom<readonly Sink[]>('an array of sinks, each with a name of its own', Array.isArray, []),
  checkpoint: opt.group({
    every: opt.integer(1_024, { min: 1, max: 65_536 }),
    interval: opt.duration('1s', { min: '10ms', max: '1h' }),
    heartbeat: opt.custom<Duration | false>("a Duration such as '1h', or false", isDurationOrFalse, '1h'),
  }),
  ...ENTRY_OPTIONS,
  auditReads: opt.oneOf(['none', 'exports', 'all'], 'exports'),
  retention: opt.group({
    keep: opt.custom<Duration | 'forever'>("a Duration such as '365d', or 'forever'", isKeep, 'forever'),
  }),
  emitBuffer: opt.integer(10_000, { min: 1, max: 1_000_000 }),
  storeTimeout: opt.duration('250ms', { min: '10ms', max: '1m' }),
  logger: opt.logger(),
}

/** The options with their defaults; durations in ms. */
export interface CheckedAuditOptions extends CheckedEntryOptions {
  readonly store: AuditStore
  readonly spool: AuditStore | undefined
  /** Undefined: the store is in memory, and nobody gave one. */
  readonly key: AuditOptions['key'] | undefined
  readonly log: string
  readonly sinks: readonly Sink[]
  readonly checkpoint: { readonly every: number; readonly interval: number }
  readonly heartbeatMs: number | undefined
  readonly auditReads: 'none' | 'exports' | 'all'
  readonly keepMs: number | undefined
  readonly emitBuffer: number
  readonly storeTimeout: number
  readonly logger: Logger
}

/** @throws AuditError OPTION_INVALID */
export function checkAuditOptions(options: AuditOptions): CheckedAuditOptions {
  const o = checkOptions('createAudit', options, SPEC, optionFailure)
  if (o.key === undefined && o.store.kind !== 'memory') {
    throw optionFailure('createAudit: "key" is required; generateKey(), or keelson-audit keygen, makes one')
  }
  checkKeys(o.key)
  checkSinks(o.sinks)
  // It would move its entries to itself and forget them.
  if (o.spool === o.store) throw optionFailure('createAudit: "spool" must be another store than "store"')
  const { heartbeat, ...checkpoint } = o.checkpoint
  const { keep } = o.retention
  return {
    ...o,
    checkpoint,
    heartbeatMs: heartbeat === false ? undefined : ms(heartbeat),
    keepMs: keep === 'forever' ? undefined : ms(keep),
  }
}

function isText(given: unknown): given is string {
  return typeof given === 'string' && given !== '' && given.length <= 1_024
}

function isTexts(given: unknown): boolean {
  return Array.isArray(given) && given.every(isText)
}

/** Those that can be looked at before anything is signed. */
function shownKeys(key: AuditOptions['key']): readonly string[] {
  if (key === undefined || typeof key === 'function') return []
  return typeof key === 'string' ? [key] : key
}

function isKey(given: unknown): boolean {
  return isText(given) || typeof given === 'function' || (isTexts(given) && (given as unknown[]).length > 0)
}

/** All are of one log: its origin is their name. */
function checkKeys(key: AuditOptions['key']): void {
  const names = shownKeys(key).map((text) => parseSigner('createAudit: "key"', text).name)
  if (new Set(names).size > 1) {
    throw optionFailure(`createAudit: "key" must have signers of one name, the log's origin (got ${names.join(', ')})`)
  }
}

function isSpool(given: unknown): boolean {
  return typeof (given as Partial<AuditStore> | null)?.drain === 'function'
}

function isDurationOrFalse(given: unknown): boolean {
  return given === false || isDuration(given)
}

function isKeep(given: unknown): boolean {
  return given === 'forever' || isDuration(given)
}

function isDuration(given: unknown): boolean {
  try {
    return ms(given as Duration) > 0
  } catch {
    return false
  }
}

/** @throws AuditError OPTION_INVALID */
export function checkMemoryOptions(options: object): { readonly clock: Clock } {
  return checkOptions('memoryStore', options, { clock: SPEC.clock }, optionFailure)
}
