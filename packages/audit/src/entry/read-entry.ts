import type { Change, Entry, Json } from '../audit.ts'
import type { EntryKey, SealedRow } from '../store.ts'
import { readDocument, type AuditDocument } from './document.ts'
import { put } from './plain-copy.ts'
import { tokensOf } from './pointer.ts'
import type { Privacy } from './privacy.ts'

/** A sealed entry as it is read; `leafHash` is SHA-256(0x00 || bytes). All but the index comes from the bytes. @throws AuditError STORE_CORRUPT */
export function entryOf(
  row: { readonly leaf: Pick<SealedRow['leaf'], 'index'>; readonly bytes: Uint8Array },
  leafHash: Uint8Array,
): Entry {
  const { bytes } = row
  const document = readDocument(bytes)
  return {
    ...membersOf(document),
    index: row.leaf.index,
    sealed: Object.keys(document.audit.sealed ?? {}),
    leaf: Buffer.from(leafHash).toString('base64'),
    bytes,
  }
}

/**
 * The same entry with the values of persons in their places. `sealed` are those that stay closed: their keys are gone.
 * @throws AuditError STORE_CORRUPT, PRIVACY_NOT_CONFIGURED
 */
export function openEntry(entry: Entry, keys: readonly EntryKey[], privacy: Privacy): Entry {
  if (entry.sealed.length === 0) return entry
  const document = readDocument(entry.bytes)
  const opened = privacy.open(entry, document.audit.sealed ?? {}, keys)
  for (const [pointer, value] of opened) place(document, tokensOf(pointer) ?? [], value)
  return { ...entry, ...membersOf(document), sealed: entry.sealed.filter((pointer) => !opened.has(pointer)) }
}

/** What the document says in the words of entries. */
function membersOf({
  event,
  organization,
  user,
  source,
  user_agent: agent,
  http,
  audit,
  ...more
}: AuditDocument): Omit<Entry, 'index' | 'sealed' | 'leaf' | 'bytes'> {
  const where = defined({
    ip: source?.ip,
    userAgent: agent?.original,
    session: http?.session,
    requestId: http?.request?.id,
    method: http?.request?.method,
    route: http?.route,
  })
  const { target, correlation } = audit
  return {
    id: event.id,
    scope: organization.id,
    at: new Date(more['@timestamp']),
    action: event.action,
    outcome: event.outcome,
    actor: { type: audit.actor_type, ...defined({ id: user.id, name: user.name, roles: user.roles }) },
    ...defined({ target: target && { type: target.type, ...defined({ id: target.id, name: target.name }) } }),
    ...(Object.keys(where).length === 0 ? {} : { where }),
    ...defined({ reason: event.reason }),
    changes: audit.changes ?? ([] as readonly Change[]),
    data: audit.data ?? {},
    ...defined({ correlationId: correlation }),
  }
}

/** Without the members that are not there. */
function defined<T extends object>(members: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]: Exclude<T[K], undefined>
  }
}

/** What was only a person's has no place yet: objects are made on the way. */
function place(document: object, tokens: readonly string[], value: Json): void {
  let at = document as Record<string, unknown>
  tokens.forEach((token, i) => {
    if (i === tokens.length - 1) put(at, token, value as unknown)
    else {
      if (!Object.hasOwn(at, token)) put(at, token, {})
      at = at[token] as Record<string, unknown>
    }
  })
}
