/** A server of tasks on Postgres, to be killed and frozen. Each operation that wins is a row of its own. */
import pg from 'pg'
import { postgresStore } from '@keelson/sync/postgres'
import { serveSync } from './serve-sync.ts'

const { DATABASE_URL, SCHEMA, PORT } = process.env as Record<string, string>
process.on('disconnect', () => process.exit())
const pool = new pg.Pool({ connectionString: DATABASE_URL!, max: 4 })
pool.on('error', () => {})
await serveSync({
  store: postgresStore(pool, { schema: SCHEMA!, storeTimeout: '30s' }),
  port: Number(PORT),
  async apply(tx, wins) {
    for (const { op } of wins) await tx.query(`insert into ${SCHEMA}.win (op) values ($1)`, [op])
  },
})
process.send?.({ ready: true })
