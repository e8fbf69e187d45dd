import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { inject } from 'vitest'
import { database, migrate, type DatabaseLike } from '@keelson/kernel/postgres'
import { postgresStore } from '@keelson/webhooks/postgres'
import { openTestSchema, settableClock } from '../../../../tools/servers/test-schema.ts'

/** A store with a schema of its own. */
export interface OpenStore extends AsyncDisposable {
  readonly db: DatabaseLike
  readonly schema: string
  /** Undefined: nobody else can have this database open. */
  readonly listen?: () => Promise<pg.Client>
  readonly store: ReturnType<typeof postgresStore>
  /** From now on the store's clock says this. */
  at(nowMs: number): Promise<void>
}

/** A schema on the shared server, or on that of `url`. */
export async function openPostgres(
  url: string = inject('databaseUrl'),
  max = 10,
): Promise<OpenStore & { readonly pool: pg.Pool }> {
  const { pool, schema, [Symbol.asyncDispose]: dispose } = openTestSchema(url, 'webhooks', max)
  const listen = async (): Promise<pg.Client> => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    return client
  }
  return { ...(await open(pool, schema, dispose, listen)), pool, listen }
}

export async function openPglite(): Promise<OpenStore> {
  const db = new PGlite()
  return open(db, 'keelson', () => db.close())
}

async function open(
  db: DatabaseLike,
  schema: string,
  dispose: () => PromiseLike<void>,
  listen?: () => Promise<pg.Client>,
): Promise<OpenStore> {
  const store = postgresStore(db, { schema, ...(listen === undefined ? {} : { listen }) })
  const { query } = database(db)
  await migrate(db, [store])
  return {
    db,
    schema,
    store,
    at: settableClock(query, schema, 'webhook_now'),
    async [Symbol.asyncDispose]() {
      await store.close()
      await dispose()
    },
  }
}

/** Everything but what `migrate` has put there is gone. */
export async function emptied({ db, schema }: OpenStore): Promise<void> {
  const { query } = database(db)
  const tables = 'event conflict audience router handler lane endpoint delivery lease attempt redrive key'.split(' ')
  await query(`truncate ${tables.map((table) => `${schema}.webhook_${table}`).join(', ')}`)
  await query(`update ${schema}.webhook_state set handlers_revision = 0, paused = false, conflicts = 0`)
}
