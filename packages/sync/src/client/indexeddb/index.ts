import type { ClientStore } from '../store.ts'
import { createDatabase } from './database.ts'
import { browser, type Channel, type Message } from './idb.ts'

/** What the page reads in one piece: it stays alive while it loads. */
const BATCH = 1_000

/**
 * In the browser's IndexedDB, for all tabs of an origin that name it so. What was written is on the disk when `update`
 * resolves. Errors name the database, `keelson-sync:<name>`.
 */
export function indexedDbStore(name: string): ClientStore {
  const place = `keelson-sync:${name}`
  const database = createDatabase(place)
  let opened: Channel | undefined

  /** Not before it is needed: it would keep a server that renders the app from ending. */
  const channel = (): Channel => (opened ??= new browser.BroadcastChannel(place))

  return {
    load: () =>
      database.transact('readonly', (entries) => {
        const found: (readonly [string, unknown])[] = []
        const next = (after?: string): void => {
          const range = after === undefined ? undefined : browser.IDBKeyRange.lowerBound(after, true)
          const keys = entries.getAllKeys(range, BATCH)
          const values = entries.getAll(range, BATCH)
          values.addEventListener('success', () => {
            for (const [i, key] of keys.result.entries()) found.push([key, values.result[i]])
            if (keys.result.length === BATCH) next(keys.result.at(-1))
          })
        }
        next()
        return found
      }),
    update: (keys, decide) =>
      database.transact('readwrite', (entries, last) => {
        // Also without a key something is read: only in an event it is our turn.
        const reads = (keys.length > 0 ? keys : ['']).map((key) => entries.get(key))
        const decided = last(() => {
          const changes = decide(keys.map((_, i) => reads[i]!.result))
          for (const [key, value] of changes) {
            if (value === undefined) entries.delete(key)
            else entries.put(value, key)
          }
          // Not when it has completed, which this tab may not live to hear of. Who reads now waits for the end of it.
          // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a channel has but one origin
          if (changes.length > 0) channel().postMessage(changes.map(([key]) => key))
        })
        reads.at(-1)!.addEventListener('success', decided)
      }),
    watch(fn) {
      const listen = ({ data }: Message): void => fn(data as readonly string[])
      channel().addEventListener('message', listen)
      return () => channel().removeEventListener('message', listen)
    },
    async close() {
      await database.close()
      channel().close()
    },
  }
}
