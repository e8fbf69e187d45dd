/** What all contenders keep: tasks of four fields, about 100 bytes of JSON. */
import { createSync, type Collections, type Sync, type SyncStore } from '@keelson/sync'

export const SCOPE = 'acme/team:1'
export const WHO = { principal: { id: 'ann' } }

export interface Task {
  team: string
  title: string
  done: boolean
  note: string
  // RxDB and others index what they are given.
  [field: string]: string | boolean
}

export const idOf = (n: number): string => `t${n}`
export const taskOf = (n: number): Task => {
  return { team: '1', title: `Call back number ${n}`, done: false, note: `As they asked on day ${n % 365}, please` }
}
const WORDS = 'call back later today ask them about tea rooms keys bills once more paint doors by noon or wait'.split(
  ' ',
)
/** What an edit of one field makes of the title: five of twenty words, so that gzip has something to do. */
export function titleOf(edit: number, n: number): string {
  const words: string[] = []
  for (let seed = (edit * 7_919 + n * 104_729 + 1) % 2_147_483_647; words.length < 5;) {
    seed = (seed * 48_271) % 2_147_483_647
    words.push(WORDS[seed % WORDS.length]!)
  }
  return words.join(' ')
}

/** A stamp of a device's clock. */
export const stampOf = (ms: number, n: number, node: string): string =>
  `${ms.toString(36).padStart(9, '0')}-${n.toString(36).padStart(4, '0')}-${node}`

/** Of the server; a machine that is slow is no outage. */
export const openSync = (store: SyncStore, apply?: NonNullable<Collections[string]['apply']>): Sync =>
  createSync({
    store,
    scopes: () => [SCOPE],
    storeTimeout: '1m',
    collections: {
      task: {
        fields: { team: 'lww', title: 'lww', done: 'lww', note: 'lww' },
        scope: () => SCOPE,
        ...(apply && { apply }),
      },
    },
  })
