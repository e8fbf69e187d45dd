/** What a query answers. PGlite has no `rowCount`: count with RETURNING. */
export interface QueryResult {
  // The driver's rows, untouched: only the caller knows their shape.
  rows: any[]
  rowCount?: number | null
}

/**
 * An open SQL transaction or connection; clients of `pg` and PGlite fit.
 * Ours forwards all arguments of the driver and returns its result untouched.
 */
export interface Tx {
  query(text: string, values?: readonly unknown[]): Promise<QueryResult>
  /** The driver's own client of this transaction, for ORMs. It is not guarded by `TX_ENDED`. */
  readonly raw?: unknown
}

/** A database that can open transactions: what `database()` makes of a pg Pool or PGlite, or one wrapped by hand. */
export interface Database extends Tx {
  transaction<T>(work: (tx: Tx) => Promise<T>): Promise<T>
}

/** Exactly one SQL statement. */
export interface Statement {
  readonly text: string
  readonly values?: readonly unknown[]
  /**
   * For a text that is a constant of the code: where the driver can (pg), each connection parses it once under this
   * name, at most 63 bytes, and then only executes it. One text a name: {@link prepared} makes it. Default: not kept.
   */
  readonly name?: string
}
