import { systemClock, type Tx } from '@keelson/kernel'
import { database, type DatabaseLike } from '@keelson/kernel/postgres'
import { runningCounts } from './counters.ts'
import { optionFailure } from './error.ts'

type Call = (...args: any[]) => unknown

/** By it the kernel marks what `database()` made. */
const DRIVER = Symbol.for('keelson.driver')

/**
 * The same database, which counts and times what a request asks of it into {@link counters}: in `query`, and on the
 * clients and transactions that it hands out. Texts and values are not kept. Give it to `createHttp`, the stores and
 * your own code alike.
 * @throws HttpError OPTION_INVALID for what is no pg Pool, PGlite or Database.
 */
export function watchDatabase<D extends DatabaseLike>(db: D): D {
  try {
    database(db)
  } catch (cause) {
    throw optionFailure(`watchDatabase: ${(cause as Error).message}`)
  }
  return watched(db) as D
}

function watched(db: DatabaseLike): DatabaseLike {
  if (DRIVER in db) {
    const driver = db[DRIVER] as { readonly pool?: DatabaseLike; readonly db?: DatabaseLike }
    return database(watched((driver.pool ?? driver.db)!))
  }
  return over(db, {
    query: counting,
    exec: counting,
    connect: handingOut,
    transaction:
      (transaction) =>
      (work: (tx: Tx) => unknown, ...rest) =>
        transaction((tx: Tx) => work(watchedTx(tx)), ...rest),
  })
}

/** One for each connection: a pool hands the same client out again and again. */
const transactions = new WeakMap<object, object>()

function watchedTx<T extends object>(tx: T): T {
  const made = transactions.get(tx) ?? over(tx, { query: counting, exec: counting })
  transactions.set(tx, made)
  return made as T
}

/** A call that answers a client, by promise or by callback. */
function handingOut(connect: Call): Call {
  return (callback?: Call) =>
    callback === undefined
      ? (connect() as Promise<object>).then(watchedTx)
      : connect((error: unknown, client: object | undefined, release: unknown) =>
          callback(error, client && watchedTx(client), release),
        )
}

/** A query that is counted in the request it was asked by, whoever hears of its end. */
function counting(query: Call): Call {
  return (...args) => {
    const counts = runningCounts()
    if (counts === undefined) return query(...args)
    const startMs = systemClock.monotonic()
    const end = (): void => void (counts.queryMs += systemClock.monotonic() - startMs)
    const ending = (callback: unknown): unknown =>
      typeof callback !== 'function'
        ? callback
        : function (this: unknown, ...told: unknown[]): unknown {
            end()
            return Reflect.apply(callback, this, told)
          }
    counts.queries++
    // pg also takes a callback, or an object of its own with one.
    const own = args[0] as { submit?: unknown; callback?: unknown } | undefined
    if (own?.submit) own.callback = ending(own.callback)
    const answer = query(...args.slice(0, -1), ending(args.at(-1)))
    ;(answer as Partial<Promise<unknown>> | undefined)?.then?.(end, end)
    return answer
  }
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
