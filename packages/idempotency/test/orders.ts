import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { inject } from 'vitest'
import type { Effect, Tx } from '@keelson/kernel'
import { migrate, type DatabaseLike } from '@keelson/kernel/postgres'
import {
  createIdempotency,
  reply,
  type IdempotencyOptions,
  type Operation,
  type Reply,
  type TransactionalIdempotency,
} from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'

/** A shop that tests book orders in: one business table, one outbox, one store of records. */
export interface Orders {
  readonly db: DatabaseLike
  readonly schema: string
  readonly idempotency: TransactionalIdempotency
  /** Another instance on the same database, as another process has it. */
  another(options?: Partial<Omit<IdempotencyOptions, 'store'>>): TransactionalIdempotency
  /** The work of most tests: an order, an outbox row, 201. Counts its runs. */
  readonly place: (tx: Tx, operation: Operation) => Promise<Reply>
  readonly runs: () => number
  insert(tx: Tx, sku: string): Promise<{ id: number; sku: string }>
  outbox(sku: string): Effect
  /** Rows of all three tables. */
  count(): Promise<{ orders: number; outbox: number; records: number }>
  close(): Promise<void>
}

/** Every database that the store claims to support. */
export const databases = {
  Postgres: (schema: string) => openOrders(new pg.Pool({ connectionString: inject('databaseUrl') }), schema),
  PGlite: (schema: string) => openOrders(new PGlite(), schema),
}

export async function openOrders(
  db: (pg.Pool | PGlite) & DatabaseLike,
  schema: string,
  options: Partial<Omit<IdempotencyOptions, 'store'>> = {},
): Promise<Orders> {
  const store = postgresStore(db, { schema })
  await migrate(db, [store, { schema, migrations: [tables] }])
  const instances: TransactionalIdempotency[] = []
  const another: Orders['another'] = (more = {}) => {
    const store = postgresStore(db, { schema })
    // A machine that stands still is no outage.
    const made = createIdempotency({ store, storeTimeout: '30s', wait: '30s', ...options, ...more })
    instances.push(made)
    return made
  }
  let runs = 0
  const insert: Orders['insert'] = async (tx, sku) => {
    const { rows } = await tx.query(`insert into ${schema}.orders(sku) values ($1) returning id, sku`, [sku])
    return rows[0] as { id: number; sku: string }
  }
  const outbox: Orders['outbox'] = (sku) => ({
    kind: 'test.outbox',
    statements: (ctx) => [
      {
        text: `insert into ${schema}.outbox(sku, operation_id) values ($1, $2)`,
        values: [sku, ctx.operationId],
      },
    ],
  })
  return {
    db,
    schema,
    another,
    idempotency: another(),
    insert,
    outbox,
    runs: () => runs,
    place: async (tx) => {
      runs++
      return reply(201, await insert(tx, 'tea'), [outbox('tea')], [['Location', '/orders/1']])
    },
    async count() {
      const { rows } = await (db as pg.Pool).query(`select (select count(*)::int from ${schema}.orders) as orders,
  (select count(*)::int from ${schema}.outbox) as outbox,
  (select count(*)::int from ${schema}.idempotency) as records`)
      return rows[0] as { orders: number; outbox: number; records: number }
    },
    async close() {
      for (const instance of instances) await instance.close()
      await ('end' in db ? db.end() : db.close())
    },
  }
}

const tables = {
  package: 'test',
  id: '0001_orders',
  statements: [
    'create table {schema}.orders (id serial primary key, sku text not null check (length(sku) < 20))',
    'create table {schema}.outbox (id serial primary key, sku text not null, operation_id uuid not null)',
  ],
}
