import { randomBytes, randomUUID } from 'node:crypto'
import type { Statement, Tx } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import type { RefDigest } from '../../ref.ts'
import type { TransactionalStore, TransactionClaim, TransactionEnd, WithinResult } from '../../store.ts'
import { LONG_MS, stageOf, type Stage } from '../stage.ts'
import type { TransactionalStoreUnderTest } from '../store-under-test.ts'

/** How long the store may take to connect and answer, on any machine. */
const ANSWER_MS = 20_000

type Work = (tx: Tx) => Promise<TransactionEnd<unknown>>

/** What a case of a transactional store works with: a table of its own beside the stage. */
export interface TxStage extends Stage<TransactionalStore> {
  /** Calls `within` with a new caller's claim. */
  within(ref: RefDigest, work: Work, more?: Partial<TransactionClaim>): Promise<WithinResult<unknown>>
  /** Inserts a row of this name into the table of the case. */
  row(name: string): Statement
  /** A statement that the database refuses. */
  readonly refused: Statement
  /** The names in the table, sorted: what is committed. */
  rows(): Promise<string[]>
}

/** A case on such a stage. Its table is dropped when it ends. */
export function txCase(
  name: string,
  run: (stage: TxStage) => Promise<void>,
  ...needs: readonly string[]
): Case<TransactionalStoreUnderTest> {
  return {
    name,
    ...(needs.length === 0 ? {} : { needs }),
    async run(subject, tools) {
      const { store, db } = subject
      // Plain SQL: every database has it, and no placeholder is spelled the same in all of them.
      const table = `keelson_case_${randomBytes(6).toString('hex')}`
      await db.query(`create table ${table} (name varchar(100) not null)`)
      try {
        await run({
          ...stageOf({ ...subject, store }, tools),
          within: (ref, work, more) => store.within(ref, txClaim(more), work),
          row: (of) => ({ text: `insert into ${table} (name) values ('${of}')` }),
          refused: { text: `insert into ${table} (name) values (null)` },
          async rows() {
            const { rows } = await db.query(`select name from ${table} order by name`)
            return (rows as { name: string }[]).map((row) => row.name)
          },
        })
      } finally {
        await db.query(`drop table ${table}`)
      }
    },
  }
}

/** A claim of a new caller. */
function txClaim(more: Partial<TransactionClaim> = {}): TransactionClaim {
  return {
    operationId: randomUUID(),
    scope: 'm1',
    op: 'POST /orders',
    retainMs: LONG_MS,
    waitMs: ANSWER_MS,
    answerMs: ANSWER_MS,
    stallMs: LONG_MS,
    retries: 2,
    ...more,
  }
}

/** Ends a work with an answer. */
export function committed(
  bytes: Uint8Array | undefined,
  statements: readonly Statement[] = [],
): TransactionEnd<unknown> {
  return { end: 'commit', bytes, statements, value: 'value' }
}

/** Ends a work with an answer, and its own rows taken back. */
export function remembered(
  bytes: Uint8Array | undefined,
  statements: readonly Statement[] = [],
): TransactionEnd<unknown> {
  return { end: 'remember', bytes, statements, value: 'value' }
}

/** A promise that somebody else resolves. */
export function gate(): { readonly passed: Promise<void>; open(): void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { passed: promise, open: resolve }
}
