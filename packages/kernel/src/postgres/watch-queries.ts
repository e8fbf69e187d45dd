import { context } from '../context.ts'
import type { Tx } from '../tx.ts'
import { database } from './database.ts'
import { DRIVER, type DatabaseLike } from './driver.ts'

type Call = (...args: any[]) => unknown

/** Hears of a query when it is asked; what it answers is called once, when the query has its answer. */
export type QueryWatcher = () => (() => void) | undefined

/** Who hears of a database: watched twice by one, its queries would be told twice. */
const watchers = new WeakMap<object, QueryWatcher>()

/**
 * The same database, which tells of what it is asked: by `query`, and on the clients and transactions that it hands out.
 * Statements that travel together are one. Texts and values are not told.
 * @throws KernelError OPTION_INVALID for what is no pg Pool, PGlite or Database
 */
export function watchQueries<D extends DatabaseLike>(db: D, begun: QueryWatcher): D {
  database(db)
  /** One for each connection: a pool hands the same client out again and again. */
  const transactions = new WeakMap<object, object>()

  function watched(db: DatabaseLike): DatabaseLike {
    if (DRIVER in db) {
      const driver = db[DRIVER] as { readonly pool?: DatabaseLike; readonly db?: DatabaseLike }
      return database(watched((driver.pool ?? driver.db)!))
    }
    if (watchers.get(db) === begun) return db
    const made = over(db, {
      query: telling,
      exec: telling,
      sql: telling,
      connect: handingOut,
      transaction:
        (transaction) =>
        (work: (tx: Tx) => unknown, ...rest) =>
          transaction((tx: Tx) => work(watchedTx(tx)), ...rest),
    })
    watchers.set(made, begun)
    return made
  }

  function watchedTx<T extends object>(tx: T): T {
    const made = transactions.get(tx) ?? over(tx, { query: telling, exec: telling, sql: telling })
    transactions.set(tx, made)
    return made as T
  }

  /** A call that answers a client, by promise or by callback. */
  function handingOut(connect: Call): Call {
    return (callback?: Call) =>
      callback === undefined
        ? (connect() as Promise<object>).then(watchedTx)
        : connect(
            context.bind((error: unknown, client: object | undefined, release: unknown) =>
              callback(error, client && watchedTx(client), release),
            ),
          )
  }

  function telling(query: Call): Call {
    return (...args) => {
      const end = begun()
      if (end === undefined) return query(...args)
      // pg also takes a callback, or an object of its own with one.
      const own = args[0] as { submit?: unknown; callback?: unknown } | undefined
      if (own?.submit) own.callback = ending(own.callback, end)
      const answer = query(...args.slice(0, -1), ending(args.at(-1), end))
      ;(answer as Partial<Promise<unknown>> | undefined)?.then?.(end, end)
      return answer
    }
  }

  return watched(db) as D
}

/** A callback that ends the query first; what is none passes. */
function ending(callback: unknown, end: () => void): unknown {
  if (typeof callback !== 'function') return callback
  // pg calls it wherever the connection was opened: that may have been for another request.
  return context.bind(function (this: unknown, ...told: unknown[]): unknown {
    end()
    return Reflect.apply(callback, this, told)
  })
}

/** `target` with some of its methods replaced. Its others are bound to it: private fields are not the proxy's. */
function over<T extends object>(target: T, overrides: Record<PropertyKey, (call: Call) => Call>): T {
  const bound = new Map<PropertyKey, { readonly from: unknown; readonly call: Call }>()
  return new Proxy(target, {
    get(_, key) {
      const from: unknown = Reflect.get(target, key, target)
      if (typeof from !== 'function' || key === 'constructor') return from
      let known = bound.get(key)
      if (known?.from !== from) {
        const call = from.bind(target) as Call
        known = { from, call: Object.hasOwn(overrides, key) ? overrides[key]!(call) : call }
        bound.set(key, known)
      }
      return known.call
    },
    set: (_, key, value) => Reflect.set(target, key, value, target),
  })
}
