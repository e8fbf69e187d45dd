import type { Audit, By, Entry, Query } from './audit.ts'
import { entryOf, openEntry } from './entry/read-entry.ts'
import type { Privacy } from './entry/privacy.ts'
import { AuditError } from './error.ts'
import { checkId, checkMembers, checkScope, checkText, inputFailure, shown } from './input.ts'
import { checkQuery, type CheckedQuery } from './query.ts'
import type { AuditStore, SealedRow, Search } from './store.ts'
import { leafHash } from './tree/hashing.ts'

/** Sealed entries, as they are asked for. */
export type Reading = Pick<Audit, 'get' | 'query' | 'export' | 'exportSubject'>

/** What entries are read with. */
export interface ReadingParts {
  readonly log: string
  readonly store: AuditStore
  /** In time for somebody who waits. */
  ask<T>(fn: () => Promise<T>): Promise<T>
  /** For many rows. */
  work<T>(fn: () => Promise<T>): Promise<T>
  readonly privacy: Privacy | undefined
  readonly auditReads: 'none' | 'exports' | 'all'
  /** An entry that tells of a reading. */
  tell(action: 'audit.log.read' | 'audit.log.exported' | 'audit.subject.exported', of: TellOf): Promise<unknown>
}

/** Of a reading: who, and what was asked for. */
interface TellOf {
  readonly scope: string
  readonly by: By | undefined
  readonly query: object
}

const EXPORT_STEP = 500

export function createReading(o: ReadingParts): Reading {
  const { log, store, ask, work, privacy, auditReads } = o

  function refOf(scope: string, subject: string): string {
    if (privacy !== undefined) return privacy.pseudonym(scope, subject)
    throw new AuditError('PRIVACY_NOT_CONFIGURED', 'a person is known by "privacy", which these options do not have')
  }

  /** What `auditReads` says, before anything is answered. */
  async function tellRead(kind: 'all' | 'exports', ...about: Parameters<ReadingParts['tell']>): Promise<void> {
    if (auditReads === 'all' || (auditReads === 'exports' && kind === 'exports')) await o.tell(...about)
  }

  /** Pages of a query, to its end. */
  async function* pages(search: Search): AsyncIterable<readonly SealedRow[]> {
    let after = search.after
    for (;;) {
      const step = { ...search, limit: EXPORT_STEP, ...(after === undefined ? {} : { after }) }
      const rows = await work(() => store.search(log, step))
      if (rows.length > 0) yield rows
      if (rows.length < EXPORT_STEP) return
      after = rows.at(-1)!.leaf.index
    }
  }

  return {
    async get(id) {
      checkId('get', id)
      const row = await ask(() => store.find(log, id))
      if (row === null) return undefined
      if (row.bytes !== null || row.leaf.index < (await ask(() => store.head(log))).pruned) return entryOfRow(row)
      throw new AuditError(
        'STORE_CORRUPT',
        `the bytes of the entry '${id}' are missing; verify() tells of all that are`,
      )
    },

    async query(given, by) {
      const { search, nextAfter }: CheckedQuery = checkQuery('query', given, refOf)
      await tellRead('all', 'audit.log.read', { scope: scopeOf(search), by, query: told(given, search) })
      // Who searches a large log waits for it gladly: a late answer must not look like a store that is away.
      const rows = await work(() => store.search(log, { ...search, limit: search.limit + 1 }))
      const page = rows.slice(0, search.limit)
      const entries = page.filter((row) => row.bytes !== null).map(entryOfRow)
      return rows.length > search.limit ? { entries, next: nextAfter(page.at(-1)!.leaf.index) } : { entries }
    },

    async *export(given: Query, more = {}) {
      const { format = 'jsonl', by } = checkMembers('export', more, ['format', 'by'])
      if (format !== 'jsonl') throw inputFailure(`export: "format" must be jsonl (got ${shown(format)})`)
      const { limit, ...unbounded } = given ?? {}
      if (limit !== undefined) throw inputFailure('export: "limit" is not for exports, which have no pages')
      const { search } = checkQuery('export', unbounded, refOf)
      await tellRead('exports', 'audit.log.exported', { scope: scopeOf(search), by, query: told(given, search) })
      for await (const rows of pages(search)) {
        for (const { bytes } of rows) if (bytes !== null) yield `${Buffer.from(bytes).toString()}\n`
      }
    },

    async *exportSubject(scope, subject, more = {}): AsyncIterable<Entry> {
      const { by } = checkMembers('exportSubject', more, ['by'])
      checkScope('exportSubject', scope)
      checkText('exportSubject', 'subject', subject)
      const ref = refOf(scope, subject)
      await tellRead('exports', 'audit.subject.exported', { scope, by, query: { ref } })
      for await (const rows of pages({ scope, ref, order: 'asc', limit: EXPORT_STEP })) {
        const keys = await work(() =>
          store.keys(
            log,
            rows.map(({ leaf }) => leaf.id),
          ),
        )
        for (const row of rows) {
          if (row.bytes === null) continue
          const own = keys.filter(({ entry, ref: of }) => entry === row.leaf.id && of === ref)
          yield openEntry(entryOfRow(row), own, privacy!)
        }
      }
    },
  }
}

/** Of all scopes is told in the log's own. */
const scopeOf = ({ scope }: Search): string => scope ?? 'keelson'

/** What was asked, as the log keeps it: a person by their pseudonym, or no erasure could take them out of it. */
const told = ({ subject: _subject, ...rest }: Query, { ref }: Search): object =>
  ref === undefined ? rest : { ...rest, ref }

/** @throws AuditError PRUNED */
function entryOfRow({ leaf, bytes }: SealedRow): Entry {
  if (bytes === null)
    throw new AuditError('PRUNED', `the entry '${leaf.id}' is not kept any more`, { details: { scope: leaf.scope } })
  return entryOf({ leaf, bytes }, leafHash(bytes))
}
