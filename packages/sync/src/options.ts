import { createHash } from 'node:crypto'
import { checkOptions, opt, systemClock, type Clock, type Logger } from '@keelson/kernel'
import type { CheckedCollection } from './checked-collection.ts'
import type { Collections, CollectionOptions, FieldOption } from './collections.ts'
import { SyncError } from './error.ts'
import type { FieldRule } from './merge.ts'
import type { SyncStore } from './store.ts'
import type { SyncOptions, Waker } from './sync.ts'

/** How options of this package are refused. */
function optionFailure(message: string): SyncError {
  return new SyncError('OPTION_INVALID', message)
}

const NAME = /^[a-z][a-z0-9_]{0,62}$/
/** They would be routes of the API. */
const RESERVED = new Set(['pull', 'push', 'conflicts', 'status', 'digest'])
const MAX_FIELDS = 200
const KEY_BYTES = 32

const SPEC = {
  store: opt.required(
    opt.port<SyncStore>(['pull', 'push', 'change', 'changed', 'conflicts', 'forget', 'gc', 'rebase']),
  ),
  collections: opt.required(opt.custom<Collections>('an object of collections', isObject)),
  scopes: opt.required(opt.fn()),
  onConflict: opt.fn(),
  maxDrift: opt.duration('60s', { max: '1h' }),
  limits: opt.group({
    opsPerPush: opt.integer(500, { min: 1, max: 10_000 }),
    bodyBytes: opt.integer(1_048_576, { min: 1_024, max: 67_108_864 }),
    recordBytes: opt.integer(65_536, { min: 64, max: 1_048_576 }),
    pageRows: opt.integer(1_000, { min: 1, max: 100_000 }),
    opAge: opt.duration('30d', { min: '1m', max: '3650d' }),
    waiters: opt.integer(10_000, { min: 0, max: 1_000_000 }),
  }),
  retention: opt.group({
    tombstones: opt.duration('90d', { min: '1m', max: '3650d' }),
    ops: opt.duration('45d', { min: '1m', max: '3650d' }),
  }),
  cursorKey: opt.custom<Uint8Array | string>('32 bytes, raw or base64', isKey),
  waker: opt.port<Waker>(['wake', 'on', 'close']),
  storeTimeout: opt.duration('250ms', { min: '10ms', max: '1m' }),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
  logger: opt.logger(),
}

/** Options with their defaults; durations in ms. */
export interface CheckedSyncOptions {
  readonly store: SyncStore
  readonly collections: ReadonlyMap<string, CheckedCollection>
  readonly scopes: SyncOptions['scopes']
  readonly onConflict: SyncOptions['onConflict']
  readonly maxDrift: number
  readonly limits: {
    readonly opsPerPush: number
    readonly bodyBytes: number
    readonly recordBytes: number
    readonly pageRows: number
    readonly opAge: number
    readonly waiters: number
  }
  readonly retention: { readonly tombstones: number; readonly ops: number }
  readonly cursorKey: Uint8Array | undefined
  readonly waker: Waker | undefined
  readonly storeTimeout: number
  readonly clock: Clock
  readonly logger: Logger
}

/** @throws SyncError OPTION_INVALID, naming the option, what came and what is allowed */
export function checkSyncOptions(options: unknown): CheckedSyncOptions {
  const checked = checkOptions('createSync', options, SPEC, optionFailure)
  const { retention, limits, cursorKey } = checked
  if (retention.ops <= limits.opAge) {
    throw optionFailure(
      `createSync: "retention.ops" must be longer than "limits.opAge" (got ${retention.ops} and ${limits.opAge} ms)`,
    )
  }
  const names = Object.entries(checked.collections)
  if (names.length === 0) throw optionFailure('createSync: "collections" must have at least one collection')
  return {
    ...checked,
    scopes: checked.scopes as SyncOptions['scopes'],
    onConflict: checked.onConflict as SyncOptions['onConflict'],
    collections: new Map(names.map(([name, given]) => [name, checkCollection(name, given)])),
    cursorKey: cursorKey === undefined ? undefined : keyOf(cursorKey),
  }
}

const COLLECTION = {
  fields: opt.required(opt.custom<object>('an object of fields', isObject)),
  scope: opt.required(opt.fn()),
  subject: opt.fn(),
  schema: opt.custom<object>('a Standard Schema', (given) => isObject(given) && '~standard' in given),
  authorize: opt.fn(),
  onDeletedEdit: opt.oneOf(['flag', 'drop'], 'flag'),
  apply: opt.fn(),
  schemaVersion: opt.integer(1, { min: 1, max: 1_000_000_000 }),
}

function checkCollection(name: string, given: CollectionOptions): CheckedCollection {
  if (!NAME.test(name) || RESERVED.has(name)) {
    const allowed = `match ${NAME.source} and be none of ${[...RESERVED].join(', ')}`
    throw optionFailure(`createSync: the name of a collection must ${allowed} (got ${JSON.stringify(name)})`)
  }
  const checked = checkOptions(`createSync: collections.${name}`, given, COLLECTION, optionFailure)
  const fields = Object.entries(checked.fields as Record<string, FieldOption>)
  if (fields.length === 0 || fields.length > MAX_FIELDS) {
    throw optionFailure(
      `createSync: "collections.${name}.fields" must be 1 to ${MAX_FIELDS} fields (got ${fields.length})`,
    )
  }
  const rules: Record<string, FieldRule> = {}
  const notify = new Set<string>()
  for (const [field, option] of fields) {
    const { rule, notify: told } = typeof option === 'string' ? { rule: option, notify: undefined } : (option ?? {})
    if ((rule !== 'lww' && rule !== 'strict') || (told !== undefined && !told) || field === '__proto__') {
      const allowed = "'lww', 'strict' or { rule, notify?: true }"
      throw optionFailure(`createSync: "collections.${name}.fields.${field}" must be ${allowed}`)
    }
    rules[field] = rule
    if (told === true) notify.add(field)
  }
  const hasStrict = Object.values(rules).includes('strict')
  return { ...(checked as unknown as CheckedCollection), name, rules, hasStrict, notify }
}

function isObject(given: unknown): given is Record<string, unknown> {
  return typeof given === 'object' && given !== null && !Array.isArray(given)
}

function isKey(given: unknown): boolean {
  if (given instanceof Uint8Array) return given.length === KEY_BYTES
  return typeof given === 'string' && Buffer.from(given, 'base64').length === KEY_BYTES
}

/** Of its own, so that no other use of the same bytes tells anything of this one. */
function keyOf(given: Uint8Array | string): Uint8Array {
  const bytes = typeof given === 'string' ? Buffer.from(given, 'base64') : given
  return createHash('sha256').update('keelson.sync.cursor').update(bytes).digest()
}
