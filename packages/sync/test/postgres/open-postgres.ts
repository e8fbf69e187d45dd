import { PGlite } from '@electric-sql/pglite'
import type pg from 'pg'
import { inject } from 'vitest'
import type { Duration } from '@keelson/kernel'
import { database, migrate, type DatabaseLike } from '@keelson/kernel/postgres'
import { postgresStore } from '../../src/postgres/index.ts'
import { openTestSchema, settableClock } from '../../../../tools/servers/test-schema.ts'

/** A store with a schema of its own. */
export interface OpenStore extends AsyncDisposable {
  readonly db: DatabaseLike
  readonly schema: string
  readonly store: ReturnType<typeof postgresStore>
  readonly query: (text: string, values?: unknown[]) => Promise<{ rows: any[] }>
  /** From now on the store's clock says this. */
  at(nowMs: number): Promise<void>
}

/** A schema on the shared server, or on that of `url`. */
export async function openPostgres(
  url: string = inject('databaseUrl'),
  { storeTimeout = '30s', max = 10 }: { storeTimeout?: Duration; max?: number } = {},
): Promise<OpenStore & { readonly pool: pg.Pool }> {
  const { pool, schema, [Symbol.asyncDispose]: dispose } = openTestSchema(url, 'sync', max)
  return { ...(await open(pool, schema, dispose, storeTimeout)), pool }
}

async function openPglite(): Promise<OpenStore> {
  const db = new PGlite()
  return open(db, 'keelson', () => db.close())
}

/** Both, for what must hold on each. */
export const servers: Readonly<Record<string, () => Promise<OpenStore>>> = {
  Postgres: () => openPostgres(),
  PGlite: openPglite,
}

async function open(
  db: DatabaseLike,
  schema: string,
  dispose: () => PromiseLike<void>,
  storeTimeout: Duration = '30s',
): Promise<OpenStore> {
  const store = postgresStore(db, { schema, storeTimeout })
  const { query } = database(db)
  await migrate(db, [store])
  return {
    db,
    schema,
    store,
    query,
    at: settableClock(query, schema, 'sync_now'),
    async [Symbol.asyncDispose]() {
      await store.close()
      await dispose()
    },
  }
}
