import { Pool } from 'pg'

/** A pool in a schema of its own, which `close` drops. */
export interface OpenPool {
  readonly pool: Pool
  close(): Promise<void>
}

/** Opens `max` connections whose search path is `schema`, new and empty. */
export async function openPool(url: string, schema: string, max: number): Promise<OpenPool> {
  const pool = new Pool({ connectionString: url, max, options: `-c search_path=${schema}`, idleTimeoutMillis: 0 })
  pool.on('error', () => {})
  await pool.query(`create schema ${schema}`)
  return {
    pool,
    async close() {
      await pool.query(`drop schema ${schema} cascade`)
      await pool.end()
    },
  }
}
