import { isUtf8 } from 'node:buffer'
import type { Change, Json } from '../audit.ts'
import { AuditError } from '../error.ts'
import { isAction } from './action.ts'
import { isSealed, type Sealed } from './sealed.ts'

/** The bytes of an entry, parsed. Members that are sealed are absent. */
export interface AuditDocument {
  readonly '@timestamp': string
  readonly event: {
    readonly id: string
    readonly action: string
    readonly outcome: 'success' | 'failure' | 'unknown'
    readonly reason?: string
  }
  readonly organization: { readonly id: string }
  readonly user: { readonly id: string; readonly name?: string; readonly roles?: readonly string[] }
  readonly source?: { readonly ip?: string }
  readonly user_agent?: { readonly original?: string }
  readonly http?: {
    readonly request?: { readonly id?: string; readonly method?: string }
    readonly route?: string
    readonly session?: string
  }
  readonly audit: {
    readonly v: 1
    readonly actor_type: string
    readonly target?: { readonly type: string; readonly id: string; readonly name?: string }
    readonly changes?: readonly Change[]
    readonly data?: Readonly<Record<string, Json>>
    readonly correlation?: string
    readonly sealed?: Sealed
    readonly redacted?: readonly string[]
  }
}

const VERSION = 1
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

/** @throws AuditError STORE_CORRUPT if it is not an entry of this version */
export function readDocument(bytes: Uint8Array): AuditDocument {
  if (!isUtf8(bytes)) throw corrupt('is not UTF-8')
  let document: unknown
  try {
    document = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch {
    // Without the cause: its words quote the bytes.
    throw corrupt('is not JSON')
  }
  const { '@timestamp': at, event, organization, user, audit } = membersOf(document)
  const { v, actor_type: actorType, target, correlation, sealed, changes, data } = membersOf(audit)
  if (v !== VERSION) throw corrupt(typeof v === 'number' ? `has the unknown version ${v}` : 'has no version')
  const { id, action, outcome } = membersOf(event)
  const fits =
    typeof at === 'string' &&
    TIMESTAMP.test(at) &&
    !Number.isNaN(Date.parse(at)) &&
    typeof id === 'string' &&
    isAction(action) &&
    isOutcome(outcome) &&
    isName(membersOf(organization)['id']) &&
    isName(membersOf(user)['id']) &&
    isName(actorType) &&
    (target === undefined || (isName(membersOf(target)['type']) && isName(membersOf(target)['id']))) &&
    (correlation === undefined || typeof correlation === 'string') &&
    (sealed === undefined || isSealed(sealed)) &&
    (changes === undefined || (Array.isArray(changes) && changes.every(isObject))) &&
    (data === undefined || isObject(data))
  if (!fits) throw corrupt('has not the members of an entry')
  return document as AuditDocument
}

function membersOf(value: unknown): Record<string, unknown> {
  if (isObject(value)) return value
  throw corrupt('has not the members of an entry')
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== ''
}

function isOutcome(value: unknown): boolean {
  return value === 'success' || value === 'failure' || value === 'unknown'
}

function corrupt(what: string): AuditError {
  return new AuditError('STORE_CORRUPT', `an entry ${what}`)
}
