import { systemClock, type Database, type Tx } from '@keelson/kernel'
import { database, type DatabaseLike, type PgClientLike } from '@keelson/kernel/postgres'
import { runningCounts, type Counters } from './counters.ts'
import { optionFailure } from './error.ts'

type Call = (this: unknown, ...args: any[]) => unknown
/** What of a database is done in another way. */
type Overrides = Readonly<Record<PropertyKey, Call>>

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
  const { query } = db as Tx
  const overrides: Record<PropertyKey, Call> = { query: counting(query.bind(db)) }
  if ('exec' in db) overrides['exec'] = counting((db.exec as Call).bind(db))
  if ('connect' in db) overrides['connect'] = handingOut(db.connect.bind(db), watchedTx)
  if ('transaction' in db) {
    const { transaction } = db as Database
    overrides['transaction'] = (work: (tx: Tx) => Promise<unknown>, ...rest: unknown[]) =>
      Reflect.apply(transaction, db, [(tx: Tx) => work(watchedTx(tx)), ...rest])
  }
  return over(db, overrides)
}

/** One for each connection: a pool hands the same client out again and again. */
const transactions = new WeakMap<object, Tx>()

function watchedTx<T extends Tx | PgClientLike>(tx: T): T {
  let made = transactions.get(tx)
  if (made === undefined) {
    const calls = ['query', 'exec'].filter((name) => name in tx)
    const overrides = calls.map((name) => [name, counting((tx as unknown as Record<string, Call>)[name]!.bind(tx))])
    transactions.set(tx, (made = over(tx as Tx, Object.fromEntries(overrides) as Overrides)))
  }
  return made as T
}

/** A call that answers a client, by promise or by callback. */
function handingOut(connect: Call, watch: (client: PgClientLike) => PgClientLike): Call {
  return (callback?: (error: unknown, client: PgClientLike | undefined, release: unknown) => void) => {
    if (typeof callback !== 'function') return (connect() as Promise<PgClientLike>).then(watch)
    return connect((error: unknown, client: PgClientLike | undefined, release: unknown) =>
      callback(error, client && watch(client), release),
    )
  }
}

/** A query that is counted in the request it was asked by, whoever hears of its end. */
function counting(query: Call): Call {
  return (...args) => {
    const counts = runningCounts()
    if (counts === undefined) return query(...args)
    counts.queries++
    const answer = query(...timed(args, counts))
    if (typeof (answer as Promise<unknown> | undefined)?.then === 'function') {
      const end = stopwatch(counts)
      ;(answer as Promise<unknown>).then(end, end)
    }
    return answer
  }
}

/** pg also takes a callback, or an object of its own with one. */
function timed(args: readonly any[], counts: Counters): readonly unknown[] {
  const last: unknown = args.at(-1)
  if (typeof last === 'function') return [...args.slice(0, -1), ending(last as Call, counts)]
  const [query] = args as [{ callback?: unknown; submit?: unknown } | undefined]
  if (typeof query?.submit === 'function' && typeof query.callback === 'function')
    query.callback = ending(query.callback as Call, counts)
  return args
}

function ending(callback: Call, counts: Counters): Call {
  const end = stopwatch(counts)
  return function (...args) {
    end()
    return Reflect.apply(callback, this, args)
  }
}

function stopwatch(counts: Counters): () => void {
  const startMs = systemClock.monotonic()
  return () => void (counts.queryMs += systemClock.monotonic() - startMs)
}

/** `target` with some of its methods replaced. Its others are bound to it: private fields are not the proxy's. */
function over<T extends object>(target: T, overrides: Overrides): T {
  const bound = new Map<PropertyKey, { readonly from: unknown; readonly call: unknown }>()
  return new Proxy(target, {
    get(_, key) {
      if (Object.hasOwn(overrides, key)) return overrides[key]
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function' || key === 'constructor') return value
      const known = bound.get(key)
      if (known?.from === value) return known.call
      const call = (value as Call).bind(target) as unknown
      bound.set(key, { from: value, call })
      return call
    },
    set: (_, key, value) => Reflect.set(target, key, value, target),
  })
}
