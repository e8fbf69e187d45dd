import type pg from 'pg'
import { migrate } from '@keelson/kernel/postgres'
import { postgresStore } from '@keelson/idempotency/postgres'

/** Tables of an application in a schema: what it has booked, in order, with the records of its idempotency. */
export async function createEffects(db: pg.Pool, schema: string): Promise<void> {
  const statements = ['create table {schema}.effect (n serial primary key, event text not null)']
  const own = { schema, migrations: [{ package: 'test', id: '0001_effects', statements }] }
  await migrate(db, [postgresStore(db, { schema }), own])
}

/** The events that were booked, in order. */
export async function readEffects(db: pg.Pool, schema: string): Promise<string[]> {
  const { rows } = await db.query<{ event: string }>(`select event from ${schema}.effect order by n`)
  return rows.map(({ event }) => event)
}
