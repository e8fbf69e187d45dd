import type { QueryResult, Statement } from '../tx.ts'
import type { PgClientLike } from './driver.ts'
import { notBindable, statementError } from './statement-error.ts'

/** What of pg's Connection a batch touches. */
interface Connection {
  readonly stream: { readonly writable?: boolean; write(chunk: Uint8Array): unknown }
  sync(): void
  describe(message: object): void
  /** Forgets a prepared statement, whether the server knows it or not. */
  close(message: { type: 'S'; name: string }): void
  /** pg's own list of names on their way. */
  readonly submittedNamedStatements?: Record<string, string>
}

/** What of pg's Query a batch drives; pg calls the same methods on its own. */
interface PgQuery {
  _result: { _types?: unknown }
  readonly _results: QueryResult
  callback?: Settle
  binary?: boolean
  name?: string
  queryMode?: 'extended'
  hasBeenParsed(connection: Connection): unknown
  prepare(connection: Connection): void
  handleRowDescription(message: { readonly fields: RowFields }): void
  handleDataRow(message: unknown): void
  handleCommandComplete(message: unknown, connection: Connection): void
  handleError(error: Error, connection: Connection): void
}

type QueryClass = new (text: string, values: readonly unknown[]) => PgQuery
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
  const wanted = [
    'hasBeenParsed',
    'prepare',
    'handleRowDescription',
    'handleDataRow',
    'handleCommandComplete',
    'handleError',
  ]
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
 * own queries that writes its Parse, Bind, Describe and Execute to a connection that only collects.
 *
 * With `byName`, statements with a name are parsed once a connection. An error 26000 then says that the server behind
 * the connection is another one: a pooler without prepared statements.
 */
export function sendBatch(
  client: PgClientLike,
  statements: readonly Statement[],
  o: { readonly byName: boolean },
): Promise<QueryResult[]> {
  const Query = queryClass(client)!
  const { _types, binary } = client as BatchClient
  const queries = statements.map((statement) => {
    // Given as an object, pg would clone it first.
    const query = new Query(statement.text, statement.values ?? [])
    query.queryMode = 'extended'
    if (o.byName && statement.name !== undefined) query.name = statement.name
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
    #wire: Wire | undefined
    /** Of the statement under way; undefined: it returns no rows. */
    #fields: RowFields | undefined

    constructor(queries: readonly PgQuery[], statements: readonly Statement[], settle: Settle) {
      super(`batch of ${queries.length}`, [])
      this.#queries = queries
      this.#statements = statements
      // Under this name pg's query_timeout finds and wraps it.
      this.callback = settle
    }

    submit(connection: Connection): null {
      const wire = (this.#wire = wireOf(connection))
      for (const [index, query] of this.#queries.entries()) {
        const { name } = query
        const statement = this.#statements[index]!
        // A value that cannot be bound is reported here; what follows it must not be sent.
        query.callback = (error) => {
          if (error != null) this.#unsent = notBindable(statement, error)
        }
        if (name === undefined) wire.describes = !RETURNS_NOTHING.test(statement.text)
        else {
          const known = wire.known.get(name)
          // Another text under a known name is another statement.
          const isParsed = known?.text === statement.text
          query.hasBeenParsed = () => isParsed
          // Another text, or a batch that failed, may have left it there.
          if (!isParsed) wire.close({ type: 'S', name })
          wire.describes = !isParsed
          if (isParsed && known.fields !== undefined) query.handleRowDescription({ fields: known.fields })
        }
        query.prepare(wire)
        if (name !== undefined) delete connection.submittedNamedStatements?.[name]
        if (this.#unsent !== undefined) break
      }
      wire.send()
      return null
    }

    override handleRowDescription(message: { readonly fields: RowFields }): void {
      this.#fields = message.fields
      this.#queries[this.#current]?.handleRowDescription(message)
    }

    override handleDataRow(message: unknown): void {
      this.#queries[this.#current]?.handleDataRow(message)
    }

    override handleCommandComplete(message: unknown, connection: Connection): void {
      const at = this.#current++
      const query = this.#queries[at]
      if (query?.name !== undefined && !query.hasBeenParsed(connection)) {
        this.#wire!.known.set(query.name, { text: this.#statements[at]!.text, fields: this.#fields })
      }
      this.#fields = undefined
      query?.handleCommandComplete(message, connection)
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

/** What the kernel itself sends without a name, so that whoever reads along sees it. */
const RETURNS_NOTHING = /^(?:BEGIN|COMMIT)\b/

/** A connection as pg's queries see it: their messages are collected instead of sent. */
interface Wire extends Connection {
  /** What the server has parsed, by name. pg's own list is of the names that pg's own queries have sent. */
  readonly known: Map<string, Known>
  /** False: what the statement returns is known. */
  describes: boolean
  /** Sends what was collected, in one write: a chunk of its own for each message costs more than to make it. */
  send(): void
}

type RowFields = readonly unknown[]

/** A statement that a connection's server has parsed. */
interface Known {
  readonly text: string
  /** Undefined: it returns no rows. A statement whose rows would change fails with 0A000. */
  readonly fields: RowFields | undefined
}

const wires = new WeakMap<Connection, Wire>()

function wireOf(connection: Connection): Wire {
  let wire = wires.get(connection)
  if (wire === undefined) wires.set(connection, (wire = collect(connection)))
  return wire
}

function collect(connection: Connection): Wire {
  let chunks: Uint8Array[] = []
  const wire: Wire = Object.assign(Object.create(connection) as Connection, {
    known: new Map(),
    describes: true,
    stream: { writable: true, write: (chunk: Uint8Array) => chunks.push(chunk) },
    sync() {},
    describe(message: object) {
      if (wire.describes) connection.describe.call(wire, message)
    },
    send() {
      connection.sync.call(wire)
      const all = Buffer.concat(chunks)
      chunks = []
      if (connection.stream.writable) connection.stream.write(all)
    },
  })
  return wire
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
