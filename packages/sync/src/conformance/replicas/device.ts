import { keyText } from '../../record-key.ts'
import { documentOf } from '../../record.ts'
import type { PulledRow, SyncStore } from '../../store.ts'

/** A device as every client must be: what it has, and up to where. */
export interface Device {
  /** May see these scopes from its next pull on. */
  grant(scopes: readonly string[]): void
  /** Goes on with its pull, or begins one; at most so many pages. True: it has everything. */
  pull(limit: number, pages: number): Promise<boolean>
  /** Its documents, by key. */
  readonly documents: ReadonlyMap<string, object>
}

interface Paging {
  readonly scopes: readonly string[]
  readonly target: string
  readonly after: string
  /** Of a snapshot: what it was given. */
  readonly given: Set<string> | undefined
}

export function openDevice(store: SyncStore): Device {
  const documents = new Map<string, object>()
  const scopeOf = new Map<string, string>()
  let granted: readonly string[] = []
  let known: readonly string[] = []
  let floor: string | null = null
  let paging: Paging | undefined

  function keep(row: PulledRow, given: Set<string> | undefined): void {
    const key = keyText(row)
    given?.add(key)
    scopeOf.set(key, row.scope)
    if (row.gone === undefined) documents.set(key, documentOf(row.state))
    else documents.delete(key)
  }

  function drop(isLost: (key: string) => boolean): void {
    for (const key of documents.keys()) if (isLost(key)) documents.delete(key)
  }

  /** One page; 'again' where it starts over. */
  async function page(limit: number): Promise<'more' | 'end' | 'again'> {
    const scopes: readonly string[] = paging?.scopes ?? granted
    const more = paging === undefined ? {} : { target: paging.target, after: paging.after }
    const asked = scopes.map((name) => ({ name, isKnown: floor !== null && known.includes(name) }))
    const pulled = await store.pull({ scopes: asked, collections: null, floor, limit, ...more })
    if (pulled.kind !== 'page') {
      if (floor === null && paging === undefined) throw new Error(`who has nothing was answered: ${pulled.kind}`)
      floor = null
      paging = undefined
      return 'again'
    }
    const given = paging === undefined ? (floor === null ? new Set<string>() : undefined) : paging.given
    if (paging === undefined) drop((key) => !scopes.includes(scopeOf.get(key)!))
    for (const row of pulled.rows) keep(row, given)
    if (pulled.rows.length > limit) throw new Error(`${pulled.rows.length} rows, though ${limit} were asked for`)
    if (pulled.more) {
      paging = { scopes, target: pulled.target, after: pulled.rows.at(-1)!.place, given }
      return 'more'
    }
    if (given !== undefined) drop((key) => !given.has(key))
    floor = pulled.target
    known = scopes
    paging = undefined
    return 'end'
  }

  return {
    documents,
    grant(scopes) {
      granted = scopes
    },
    async pull(limit, pages) {
      for (let i = 0; i < pages; i++) if ((await page(limit)) === 'end') return true
      return false
    },
  }
}
