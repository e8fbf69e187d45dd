import { isUtf8 } from 'node:buffer'
import { AuditError } from '../error.ts'
import type { Facts } from '../store.ts'
import { readDocument, type AuditDocument } from './document.ts'
import { scanFacts } from './scan-facts.ts'
import { refsOf } from './sealed.ts'

/**
 * What an entry is found by, read back from its bytes: what the maker of entries said of them. Those that it wrote are
 * scanned; others of the same version, with members in another order or with new ones, are parsed.
 * @throws AuditError STORE_CORRUPT for what is no entry
 */
export function factsOf(bytes: Uint8Array): Facts {
  if (!isUtf8(bytes)) throw new AuditError('STORE_CORRUPT', 'an entry is not UTF-8')
  return scanFacts(bytes) ?? factsOfDocument(readDocument(bytes))
}

function factsOfDocument({ event, organization, user, audit, ...document }: AuditDocument): Facts {
  return {
    atMs: Date.parse(document['@timestamp']),
    scope: organization.id,
    actorType: audit.actor_type,
    actorId: user.id,
    action: event.action,
    targetType: audit.target?.type ?? null,
    targetId: audit.target?.id ?? null,
    outcome: event.outcome,
    correlationId: audit.correlation ?? null,
    refs: refsOf(audit.sealed ?? {}),
  }
}
