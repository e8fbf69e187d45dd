import { checkOptions, opt, systemClock, type Clock, type Opt } from '@keelson/kernel'
import type { ActionKind, AuditOptions } from '../audit.ts'
import { optionFailure } from '../error.ts'
import { isAction, isOwnAction } from './action.ts'
import { withoutCards } from './card-number.ts'
import { tokensOf } from './pointer.ts'
import { bare } from './secret-names.ts'

/** What entries are made with, as `createAudit` takes it. */
export type EntryOptions = Pick<
  AuditOptions,
  'service' | 'host' | 'redact' | 'actions' | 'strict' | 'privacy' | 'maxEntryBytes' | 'clock'
>

/** https://c2sp.org/tlog-tiles: a bundle tells the length of an entry in two bytes. */
export const MAX_ENTRY_BYTES = 65_535

/** Values of the document that `redact.paths` may name, beside those below {@link OPEN}. */
const TEXTS: readonly string[] = [
  '/event/reason',
  '/user/name',
  '/source/ip',
  '/user_agent/original',
  '/http/request/id',
  '/http/request/method',
  '/http/route',
  '/http/session',
  '/audit/target/name',
  '/audit/correlation',
]
const OPEN = /^\/audit\/(?:data|changes)\/./

const text = opt.custom<string>('a text without a card number', isText)

/** The same, checked and complete. */
export interface CheckedEntryOptions {
  readonly service: {
    readonly name: string | undefined
    readonly version: string | undefined
    readonly instance: string | undefined
  }
  readonly host: string | undefined
  readonly redact: { readonly keys: readonly string[]; readonly paths: readonly string[]; readonly pan: boolean }
  readonly actions: Readonly<Record<string, ActionKind>> | undefined
  readonly strict: boolean
  readonly privacy: AuditOptions['privacy']
  readonly maxEntryBytes: number
  readonly clock: Clock
}

/** How they are read. */
export const ENTRY_OPTIONS: { readonly [K in keyof CheckedEntryOptions]: Opt<CheckedEntryOptions[K]> } = {
  service: opt.group({ name: text, version: text, instance: text }),
  host: text,
  redact: opt.group({
    keys: opt.custom<readonly string[]>('an array of names with at least one letter or digit', areNames, []),
    paths: opt.custom<readonly string[]>(
      `an array of JSON pointers: ${TEXTS.join(', ')}, or below /audit/data and /audit/changes`,
      arePaths,
      [],
    ),
    pan: opt.boolean(true),
  }),
  actions: opt.custom<Readonly<Record<string, ActionKind>>>(
    'an object of actions (not audit.*), each with category and type (arrays of ECS words) and data (Standard Schema)',
    isCatalog,
  ),
  strict: opt.boolean(false),
  privacy: opt.custom<NonNullable<AuditOptions['privacy']>>(
    'an object with secrets (base64 of 32 bytes each) and pseudonym (the same)',
    isPrivacy,
  ),
  maxEntryBytes: opt.integer(MAX_ENTRY_BYTES, { min: 512, max: MAX_ENTRY_BYTES }),
  clock: opt.port<Clock>(['now', 'monotonic', 'timer', 'sleep'], systemClock),
}

/** @throws AuditError OPTION_INVALID */
export function checkEntryOptions(options: EntryOptions): CheckedEntryOptions {
  const checked = checkOptions('createAudit', options, ENTRY_OPTIONS, optionFailure)
  if (checked.strict && checked.actions === undefined) {
    throw optionFailure('createAudit: "strict" needs "actions": without them no action is known')
  }
  return checked
}

function isText(given: unknown): boolean {
  return typeof given === 'string' && given !== '' && given.length <= 256 && withoutCards(given) === given
}

function areNames(given: unknown): boolean {
  return Array.isArray(given) && given.every((one) => typeof one === 'string' && bare(one) !== '')
}

function arePaths(given: unknown): boolean {
  return Array.isArray(given) && given.every(isPath)
}

function isPath(given: unknown): boolean {
  return typeof given === 'string' && tokensOf(given) !== undefined && (TEXTS.includes(given) || OPEN.test(given))
}

function isPrivacy(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const { secrets, pseudonym, ...unknown } = given as { secrets?: unknown; pseudonym?: unknown }
  return Array.isArray(secrets) && typeof pseudonym === 'string' && Object.keys(unknown).length === 0
}

function isCatalog(given: unknown): boolean {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false
  return Object.entries(given as Record<string, Partial<ActionKind> | null>).every(([action, kind]) => {
    if (!isAction(action) || isOwnAction(action) || typeof kind !== 'object' || kind === null) return false
    const { category, type, data, ...unknown } = kind
    if (Object.keys(unknown).length > 0 || !areWords(category) || !areWords(type)) return false
    return data === undefined || typeof (data as typeof data | null)?.['~standard']?.validate === 'function'
  })
}

function areWords(given: unknown): boolean {
  return given === undefined || (Array.isArray(given) && given.every((one) => /^[a-z][a-z_]{0,63}$/.test(String(one))))
}
