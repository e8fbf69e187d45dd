import type { Database, Tx } from '../../tx.ts'
import type { Subject } from '../suite.ts'
import type { DatabaseSubject } from './database-suite.ts'

/**
 * Faults laid over a good database, named by what is wrong: what {@link databaseSuite} must catch. `good` must have the
 * ability `parallel`: over one connection some faults wait for themselves.
 */
export function brokenDatabases(good: Subject<DatabaseSubject>): Readonly<Record<string, Subject<DatabaseSubject>>> {
  const over = (fault: (db: Database) => Partial<Database>): Subject<DatabaseSubject> => ({
    has: ['parallel'],
    async make() {
      const { db, dispose } = await good.make()
      return {
        db: { query: (...args) => db.query(...args), transaction: (work) => db.transaction(work), ...fault(db) },
        dispose,
      }
    },
  })
  /** Every query, also those of transactions. */
  const queries = (fault: (query: Tx['query']) => Tx['query']): Subject<DatabaseSubject> =>
    over((db) => ({
      query: fault((...args) => db.query(...args)),
      transaction: (work) => db.transaction((tx) => work({ query: fault((...args) => tx.query(...args)) })),
    }))
  return {
    'rows as arrays': queries((query) => async (...args) => {
      const result = await query(...args)
      return { ...result, rows: result.rows.map((row: object) => Object.values(row)) }
    }),
    'only the first row': queries((query) => async (...args) => {
      const result = await query(...args)
      return { ...result, rows: result.rows.slice(0, 1) }
    }),
    'values are pasted': queries(
      (query) =>
        (text, values = []) =>
          query(values.reduce<string>(paste, text)),
    ),
    'nothing becomes an empty text': queries(
      (query) => (text, values) =>
        query(
          text,
          values?.map((v) => v ?? ''),
        ),
    ),
    'false becomes nothing': queries(
      (query) => (text, values) =>
        query(
          text,
          values?.map((v) => (v === false ? null : v)),
        ),
    ),
    'bytes become text': queries(
      (query) => (text, values) =>
        query(
          text,
          values?.map((v) => (v instanceof Uint8Array ? String(v) : v)),
        ),
    ),
    'errors lose their code': queries((query) => async (...args) => {
      try {
        return await query(...args)
      } catch (error) {
        throw new Error((error as Error).message, { cause: error })
      }
    }),
    'errors are swallowed': queries(
      (query) =>
        (...args) =>
          query(...args).catch(() => ({ rows: [] })),
    ),
    'transactions are none': over((db) => ({ transaction: (work) => work(db) })),
    'statements go past the transaction': over((db) => ({ transaction: (work) => db.transaction(() => work(db)) })),
    'it never commits': over((db) => ({
      async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
        let value: { done: T } | undefined
        await db
          .transaction(async (tx) => {
            value = { done: await work(tx) }
            throw new Error('back')
          })
          .catch((error: Error) => {
            if (value === undefined) throw error
          })
        return value!.done
      },
    })),
    'it commits what a work that throws has done': over((db) => ({
      async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
        let thrown: { error: unknown } | undefined
        const value = await db.transaction((tx) => work(tx).catch((error: unknown) => void (thrown = { error })))
        if (thrown !== undefined) throw thrown.error
        return value as T
      },
    })),
    'the error of a work is wrapped': over((db) => ({
      transaction: (work) =>
        db.transaction(work).catch((cause: { code?: unknown }) => {
          throw Object.assign(new Error('transaction failed', { cause }), { code: cause?.code })
        }),
    })),
    'a throw of nothing is no error': over((db) => ({
      async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
        try {
          return await db.transaction(work)
        } catch (error) {
          if (error === undefined) return undefined as T
          throw error
        }
      },
    })),
    'the value of a work is lost': over((db) => ({
      transaction: async (work) => void (await db.transaction(work)) as never,
    })),
    'the value of a work is copied': over((db) => ({
      transaction: async (work) => structuredClone(await db.transaction(work)),
    })),
    'a failing COMMIT is not heard': over((db) => ({
      async transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
        let value: { done: T } | undefined
        try {
          return await db.transaction(async (tx) => (value = { done: await work(tx) }).done)
        } catch (error) {
          if (value !== undefined) return value.done
          throw error
        }
      },
    })),
    'a work that throws runs again': over((db) => ({
      transaction: (work) => db.transaction(work).catch(() => db.transaction(work)),
    })),
    'a work runs twice': over((db) => ({
      async transaction(work) {
        await db.transaction(work)
        return db.transaction(work)
      },
    })),
    'settings stay': over((db) => ({
      query: (text, values) => db.query(text, values),
      transaction: (work) =>
        db.transaction((tx) =>
          work({ query: (text, values) => tx.query(text.replace(', true)', ', false)'), values) }),
        ),
    })),
    'all transactions at once share one': over((db) => {
      let shared: { tx: Promise<Tx>; users: number } | undefined
      return {
        async transaction(work) {
          if (shared !== undefined) return work(await shared.tx)
          return db.transaction(async (tx) => {
            shared = { tx: Promise.resolve(tx), users: 1 }
            try {
              return await work(tx)
            } finally {
              shared = undefined
            }
          })
        },
      }
    }),
  }
}

function paste(text: string, value: unknown, index: number): string {
  const literal = value === null ? 'null' : typeof value === 'number' ? String(value) : `'${value as string}'`
  return text.replaceAll(`$${index + 1}`, () => literal)
}
