import { randomBytes } from 'node:crypto'
import type { Database, Statement, Tx } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import type { NewEvent } from '../../store.ts'
import { stageOf, type Stage } from '../stage.ts'
import type { TransactionalStoreUnderTest } from '../store-under-test.ts'

/** What a case of a transactional store works with: a table of its own beside the stage. */
export interface TxStage extends Stage {
  readonly db: Database
  statements(...events: NewEvent[]): readonly Statement[]
  /** Inserts a row of this name into the table of the case. */
  row(tx: Tx, name: string): Promise<unknown>
  /** The names in the table, sorted: what is committed. */
  rows(): Promise<string[]>
  /** A transaction that does this and is rolled back. */
  undone(work: (tx: Tx) => Promise<unknown>): Promise<void>
  /** A transaction that has done this and commits when it is told to. */
  open(work: (tx: Tx) => Promise<unknown>): Promise<{ commit(): Promise<void> }>
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
      const table = `keelson_case_${randomBytes(6).toString('hex')}`
      await db.query(`create table ${table} (name varchar(100) not null)`)
      const ends: (() => Promise<void>)[] = []
      try {
        await run({
          ...stageOf(subject, tools),
          db,
          statements: (...events) => store.publishStatements(events),
          row: (tx, of) => tx.query(`insert into ${table} (name) values ('${of}')`),
          async rows() {
            const { rows } = await db.query(`select name from ${table} order by name`)
            return (rows as { name: string }[]).map((row) => row.name)
          },
          async undone(work) {
            const back = new Error('rolled back as asked')
            const refused = async (tx: Tx): Promise<never> => {
              await work(tx)
              throw back
            }
            await db.transaction(refused).catch((error: unknown) => {
              if (error !== back) throw error
            })
          },
          async open(work) {
            const done = Promise.withResolvers<void>()
            const go = Promise.withResolvers<void>()
            const committed = db.transaction(async (tx) => {
              await work(tx)
              done.resolve()
              await go.promise
            })
            committed.catch(done.reject)
            const commit = (): Promise<void> => {
              go.resolve()
              return committed
            }
            ends.push(commit)
            await done.promise
            return { commit }
          },
        })
      } finally {
        for (const end of ends) await end()
        await db.query(`drop table ${table}`)
      }
    },
  }
}

export async function runAll(tx: Tx, statements: readonly Statement[]): Promise<void> {
  for (const { text, values } of statements) await tx.query(text, values)
}
