import type { QueryResult, Statement } from '../tx.ts'
import type { PgClientLike } from './driver.ts'
import { notBindable, statementError } from './statement-error.ts'

/** What of pg's Connection a batch touches. */
interface Connection {
  readonly stream: { cork?(): void; uncork?(): void }
  sync(): void
}

/** What of pg's Query a batch drives; pg calls the same methods on its own. */
interface PgQuery {
  _result: { _types?: unknown }
  readonly _results: QueryResult
  callback?: Settle
  binary?: boolean
  prepare(connection: Connection): void
  handleRowDescription(message: unknown): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: Connection): void
  handleError(error: Error, connection: Connection): void
}

type QueryConfig = { text: string; values: readonly unknown[]; queryMode: 'extended' }
type QueryClass = new (config: QueryConfig) => PgQuery
type Settle = (error: Error | null | undefined) => void
type BatchClass = new (queries: readonly PgQuery[], statements: readonly Statement[], settle: Settle) => object

interface BatchClient extends PgClientLike {
  readonly _types?: unknown
  readonly binary?: boolean
}

/** pg's own Query, by the client, so that the kernel imports no driver. Undefined: its shape is unknown. */
function queryClass(client: PgClientLike): QueryClass | undefined {
  const found = (client as { constructor?: { Query?: unknown } }).constructor?.Query
  if (typeof found !== 'function' || !('_types' in client)) return undefined
  const wanted = ['prepare', 'handleRowDescription', 'handleDataRow', 'handleCommandComplete', 'handleError']
  const complete = wanted.every((method) => typeof (found.prototype as Record<string, unknown>)[method] === 'function')
  return complete ? (found as QueryClass) : undefined
}

/** True when the client can send many statements in one flight. */
export function canBatch(client: PgClientLike): boolean {
  return queryClass(client) !== undefined
}

/**
 * Sends the statements in one flight: values bound, one Sync. After a failure the server skips the rest, so a COMMIT
 * behind a failed statement is never executed.
 *
 * pg has no public call for it (`Promise.all` over `client.query` is one trip each), so each statement is one of pg's
 * own queries that writes its Parse, Bind, Describe and Execute to a connection whose `sync` is silenced.
 */
export function sendBatch(client: PgClientLike, statements: readonly Statement[]): Promise<QueryResult[]> {
  const Query = queryClass(client)!
  const { _types, binary } = client as BatchClient
  const queries = statements.map((statement) => {
    const query = new Query({ text: statement.text, values: statement.values ?? [], queryMode: 'extended' })
    query._result._types = _types
    if (binary === true) query.binary = true
    return query
  })
  const Batch = batchClass(Query)
  return new Promise((resolve, reject) => {
    const batch = new Batch(queries, statements, (error) => {
      if (error == null) resolve(queries.map((query) => query._results))
      else reject(error)
    })
    void client.query(batch as unknown as string)
  })
}

const batchClasses = new WeakMap<QueryClass, BatchClass>()

function batchClass(Query: QueryClass): BatchClass {
  let made = batchClasses.get(Query)
  if (made === undefined) batchClasses.set(Query, (made = defineBatch(Query)))
  return made
}

/** A query of pg that stands for many; pg itself calls the methods. */
function defineBatch(Query: QueryClass): BatchClass {
  return class Batch extends Query {
    readonly #queries: readonly PgQuery[]
    readonly #statements: readonly Statement[]
    #current = 0
    #unsent: Error | undefined

    constructor(queries: readonly PgQuery[], statements: readonly Statement[], settle: Settle) {
      super({ text: `batch of ${queries.length}`, values: [], queryMode: 'extended' })
      this.#queries = queries
      this.#statements = statements
      // Under this name pg's query_timeout finds and wraps it.
      this.callback = settle
    }

    submit(connection: Connection): null {
      const silenced = Object.create(connection, { sync: { value: () => {} } }) as Connection
      connection.stream.cork?.()
      try {
        for (const [index, query] of this.#queries.entries()) {
          // A value that cannot be bound is reported here; what follows it must not be sent.
          query.callback = (error) => {
            if (error != null) this.#unsent = notBindable(this.#statements[index]!, error)
          }
          query.prepare(silenced)
          if (this.#unsent !== undefined) break
        }
      } finally {
        connection.sync()
        connection.stream.uncork?.()
      }
      return null
    }

    override handleRowDescription(message: unknown): void {
      this.#queries[this.#current]?.handleRowDescription(message)
    }

    override handleDataRow(message: unknown): void {
      this.#queries[this.#current]?.handleDataRow(message)
    }

    override handleCommandComplete(message: unknown, connection: Connection): void {
      this.#queries[this.#current++]?.handleCommandComplete(message, connection)
    }

    handleEmptyQuery(): void {
      this.#current++
    }

    /** pg takes the active query away at an error: `handleReadyForQuery` will not come. */
    override handleError(error: Error): void {
      this.callback?.(statementError(error, this.#statements[this.#current]) as Error)
    }

    handleReadyForQuery(): void {
      this.callback?.(this.#unsent ?? rowFailure(this.#queries))
    }
  }
}

/** A row that a type parser could not read is kept by pg's query until its end. Behind a COMMIT it fails nothing. */
function rowFailure(queries: readonly PgQuery[]): Error | undefined {
  if ((queries.at(-1)?._results as { command?: string } | undefined)?.command === 'COMMIT') return undefined
  for (const query of queries) {
    const failure = (query as { _canceledDueToError?: Error | false })._canceledDueToError
    if (failure) return failure
  }
  return undefined
}
