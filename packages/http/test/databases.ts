import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { inject } from 'vitest'
import { createIdempotency, type IdempotencyOptions, type TransactionalIdempotency } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import type { Effect } from '@keelson/kernel'
import { migrate, type DatabaseLike } from '@keelson/kernel/postgres'

/** A database with a table `orders`, one of its effects, `noted`, and idempotency records. */
export interface TestDatabase {
  readonly db: DatabaseLike
  readonly idempotency: TransactionalIdempotency
  idempotencyWith(options: Omit<IdempotencyOptions, 'store'>): TransactionalIdempotency
  /** How many rows: written by handlers, by effects, and kept as records. */
  counts(): Promise<{ orders: number; noted: number; records: number }>
  close(): Promise<void>
}

export const databases: readonly { name: string; open(): Promise<TestDatabase> }[] = [
  { name: 'Postgres', open: openPostgres },
  { name: 'PGlite', open: async () => prepare(new PGlite(), 'keelson', (db) => db.close()) },
]

/** Commits with the transaction that it belongs to. */
export function note(text: string): Effect {
  return { kind: 'test.note', statements: () => [{ text: 'insert into noted (text) values ($1)', values: [text] }] }
}

async function openPostgres(): Promise<TestDatabase> {
  const schema = `http_${randomBytes(6).toString('hex')}`
  const pool = new pg.Pool({ connectionString: inject('databaseUrl'), options: `-c search_path=${schema}` })
  pool.on('error', () => {})
  await pool.query(`create schema ${schema}`)
  return prepare(pool, schema, async () => {
    await pool.query(`drop schema ${schema} cascade`)
    await pool.end()
  })
}

async function prepare<D extends DatabaseLike>(
  db: D,
  schema: string,
  close: (db: D) => Promise<void>,
): Promise<TestDatabase> {
  const store = postgresStore(db, { schema })
  await migrate(db, [store])
  await db.query('create table orders (id serial primary key, sku text not null, ref text unique)')
  await db.query('create table noted (text text not null)')
  const made: TransactionalIdempotency[] = []
  const idempotencyWith: TestDatabase['idempotencyWith'] = (options) => {
    // A machine that is busy with other tests is no dead store.
    const one = createIdempotency({ store, storeTimeout: '10s', ...options })
    made.push(one)
    return one
  }
  return {
    db,
    idempotency: idempotencyWith({}),
    idempotencyWith,
    async counts() {
      const { rows } = await db.query(`select (select count(*)::int from orders) as orders,
        (select count(*)::int from noted) as noted, (select count(*)::int from ${schema}.idempotency) as records`)
      return rows[0] as { orders: number; noted: number; records: number }
    },
    async close() {
      for (const one of made) await one.close()
      await close(db)
    },
  }
}
