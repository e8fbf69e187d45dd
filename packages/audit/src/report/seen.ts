import { leafHash } from '../tree/hashing.ts'
import { kindOf, type Asked, type Kinds } from './rule.ts'

/** What a report needs of an entry. */
export interface Seen extends Asked {
  readonly id: string
  readonly at: string
  readonly actor: { readonly type: string; readonly id: string }
  /** It says who, what, when, how it ended, from where, and on what. */
  readonly isDetailed: boolean
  /** Nobody says what kind of action it is. */
  readonly isUnclassified: boolean
  readonly leaf: Buffer
}

interface Document {
  readonly '@timestamp': string
  readonly event: {
    readonly id: string
    readonly action: string
    readonly outcome: string
    readonly category?: readonly string[]
    readonly type?: readonly string[]
  }
  readonly user: { readonly id: string; readonly roles?: readonly string[] }
  readonly source?: { readonly ip?: string }
  readonly audit: {
    readonly actor_type: string
    readonly target?: object
    readonly sealed?: Readonly<Record<string, string>>
  }
}

/** A line of an export; undefined for one that is no entry: somebody has changed it, and `verify` says so. */
export function seenOf(line: string, kinds: Kinds): Seen | undefined {
  const text = line.slice(0, -1)
  try {
    const document = JSON.parse(text) as Document
    const { event, user, source, audit } = document
    const kind = event.category === undefined && event.type === undefined ? kindOf(kinds, event.action) : event
    return {
      id: event.id,
      at: document['@timestamp'],
      action: event.action,
      outcome: event.outcome,
      category: kind?.category ?? [],
      type: kind?.type ?? [],
      roles: user.roles ?? [],
      actor: { type: audit.actor_type, id: user.id },
      // A person's address is there, though only a key opens it.
      isDetailed: audit.target !== undefined && (source?.ip ?? audit.sealed?.['/source/ip']) !== undefined,
      isUnclassified: kind === undefined && !event.action.startsWith('audit.'),
      leaf: Buffer.from(leafHash(Buffer.from(text))),
    }
  } catch {
    return undefined
  }
}
