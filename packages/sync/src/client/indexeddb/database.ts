import { browser, type IdbDatabase, type IdbEntries, type IdbMode, type IdbTransaction } from './idb.ts'

const ENTRIES = 'entries'
/** Of what is in it. A browser does not open a database that a later version has written. */
const VERSION = 1

/** Begins the work of a transaction. `last` makes its last event: it commits, or undoes all when `act` throws. */
type Work<T> = (entries: IdbEntries, last: (act: () => void) => () => void) => T

/** A database of one object store, opened when it is needed, and again when the browser has closed it. */
export interface Database {
  /** Resolves when the transaction has completed. Rejects when it is undone, with what its last event threw. */
  transact<T>(mode: IdbMode, work: Work<T>): Promise<T>
  /** Waits for what is under way. Repeatable. */
  close(): Promise<void>
}

export function createDatabase(name: string): Database {
  let opening: Promise<IdbDatabase> | undefined
  let isClosed = false
  let underWay: Promise<unknown> | undefined

  const failure = (cause: unknown): Error => new Error(`IndexedDB ${name}: ${String(cause)}`, { cause })

  const open = (): Promise<IdbDatabase> =>
    new Promise((resolve, reject) => {
      const request = browser.indexedDB.open(name, VERSION)
      request.addEventListener('upgradeneeded', () => request.result.createObjectStore(ENTRIES))
      request.addEventListener('error', () => reject(request.error))
      request.addEventListener('success', () => {
        const db = request.result
        // Somebody deletes it, or opens a later version of it, and waits for us.
        db.addEventListener('versionchange', () => db.close())
        resolve(db)
      })
    })

  async function begin(mode: IdbMode, isAgain?: boolean): Promise<IdbTransaction> {
    const own = (opening ??= open())
    try {
      return (await own).transaction(ENTRIES, mode, { durability: 'strict' })
    } catch (error) {
      // It is closed: by the browser, or by us for somebody else.
      if (opening === own) opening = undefined
      if (isAgain) throw failure(error)
      return begin(mode, true)
    }
  }

  async function run<T>(mode: IdbMode, work: Work<T>): Promise<T> {
    if (isClosed) throw failure('closed')
    const tx = await begin(mode)
    return new Promise((resolve, reject) => {
      const result = work(tx.objectStore(ENTRIES), (act) => () => {
        try {
          act()
          tx.commit()
        } catch (error) {
          reject(error)
          tx.abort()
        }
      })
      tx.addEventListener('complete', () => resolve(result))
      tx.addEventListener('abort', () => reject(failure(tx.error)))
    })
  }

  return {
    transact(mode, work) {
      const running = run(mode, work)
      underWay = Promise.allSettled([underWay, running]).then(() => {})
      return running
    },
    async close() {
      isClosed = true
      await underWay
      const db = await opening
      db?.close()
    },
  }
}
