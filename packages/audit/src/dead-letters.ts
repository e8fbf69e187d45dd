import { readPageCursor, writePageCursor } from '@keelson/kernel/page-cursor'
import type { Audit, EntryInput } from './audit.ts'
import { systemEntry } from './gaps.ts'
import { checkLimit, checkMembers, checkText, inputFailure } from './input.ts'
import type { AuditStore } from './store.ts'

const DEFAULT_LIMIT = 100
const MAX_LIMIT = 1_000

export function createDeadLetters(o: {
  readonly log: string
  readonly store: AuditStore
  ask<T>(fn: () => Promise<T>): Promise<T>
  record(entry: EntryInput): Promise<unknown>
  /** Some wait for their replay. */
  wake(): void
}): Audit['deadLetters'] {
  const { log, store, ask } = o

  return {
    async list(given = {}) {
      const { sink, limit = DEFAULT_LIMIT, after } = checkMembers('deadLetters.list', given, ['sink', 'limit', 'after'])
      checkLimit('deadLetters.list', limit, MAX_LIMIT)
      if (sink !== undefined) checkText('deadLetters.list', 'sink', sink)
      const place = after === undefined ? undefined : readPageCursor({ sink }, after)
      if (after !== undefined && place === undefined) {
        throw inputFailure('deadLetters.list: "after" must be the "next" of a page of the same query')
      }
      const rows = await ask(() =>
        store.deadLetters.list(log, {
          limit: limit + 1,
          ...(sink === undefined ? {} : { sink }),
          ...(place === undefined ? {} : { after: readPlace(place) }),
        }),
      )
      const items = rows
        .slice(0, limit)
        .map(({ sink: of, index, id, reason, atMs }) => ({ sink: of, index, id, reason, atMs }))
      if (rows.length <= limit) return { items }
      const last = items.at(-1)!
      return { items, next: writePageCursor({ sink }, `${last.index}/${last.sink}`) }
    },

    async replay(given = {}) {
      const { sink, ids } = checkMembers('deadLetters.replay', given, ['sink', 'ids'])
      if (sink !== undefined) checkText('deadLetters.replay', 'sink', sink)
      if (ids !== undefined) checkIds('deadLetters.replay', ids)
      const which = { ...(sink === undefined ? {} : { sink }), ...(ids === undefined ? {} : { ids }) }
      const count = await ask(() => store.deadLetters.unbury(log, which))
      o.wake()
      return count
    },

    async discard(ids, reason) {
      checkIds('deadLetters.discard', ids)
      checkText('deadLetters.discard', 'reason', reason)
      // Before they are gone: who reads the log must find why a sink has not all of it.
      await o.record({ ...systemEntry('audit.dead_letters.discarded', { ids }), reason })
      return ask(() => store.deadLetters.remove(log, { ids }))
    },
  }
}

function readPlace(place: string): { readonly sink: string; readonly index: number } {
  const slash = place.indexOf('/')
  return { sink: place.slice(slash + 1), index: Number(place.slice(0, slash)) }
}

function checkIds(owner: string, ids: unknown): void {
  if (Array.isArray(ids) && ids.length > 0 && ids.length <= MAX_LIMIT && ids.every((id) => typeof id === 'string'))
    return
  throw inputFailure(`${owner}: "ids" must be an array of 1 to ${MAX_LIMIT} ids of entries`)
}
