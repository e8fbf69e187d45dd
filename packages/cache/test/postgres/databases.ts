import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { inject } from 'vitest'
import type { Database } from '@keelson/kernel'
import { migrate, type DatabaseLike } from '@keelson/kernel/postgres'
import { migrations } from '@keelson/cache/postgres'

/** A database with the tables of this package, and nothing of another test in them. */
export interface OpenDatabase extends AsyncDisposable {
  readonly db: DatabaseLike
  readonly schema: string
}

/** Every kind that a store can be opened on. */
export const databases: Record<'Postgres' | 'PGlite' | 'a Database wrapped by hand', () => Promise<OpenDatabase>> = {
  Postgres: openPostgres,
  PGlite: async () => {
    const db = new PGlite()
    await migrate(db, migrations)
    return { db, schema: 'keelson', [Symbol.asyncDispose]: () => db.close() }
  },
  'a Database wrapped by hand': async () => {
    const opened = await openPostgres()
    return { ...opened, db: byHand(opened.pool) }
  },
}

/** What an application writes around its own driver. */
function byHand(pool: pg.Pool): Database {
  return {
    query: (text, values) => pool.query(text, values as unknown[]),
    async transaction(work) {
      const client = await pool.connect()
      try {
        await client.query('begin')
        const value = await work(client)
        await client.query('commit')
        return value
      } catch (error) {
        await client.query('rollback')
        throw error
      } finally {
        client.release()
      }
    },
  }
}

/** A schema of its own on the shared server, or on that of `url`. */
export async function openPostgres(
  url: string = inject('databaseUrl'),
): Promise<OpenDatabase & { readonly pool: pg.Pool }> {
  const pool = new pg.Pool({ connectionString: url })
  // pg reports the death of an idle connection here.
  pool.on('error', () => {})
  const schema = `cache_${randomBytes(6).toString('hex')}`
  await migrate(pool, migrations, { schema })
  return {
    db: pool,
    pool,
    schema,
    async [Symbol.asyncDispose]() {
      await pool.query(`drop schema ${schema} cascade`)
      await pool.end()
    },
  }
}
