import type { Sync, SyncStore } from '@keelson/sync'
import { migrate } from '@keelson/kernel/postgres'
import { postgresStore } from '@keelson/sync/postgres'
import type { Pool } from 'pg'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'
import { openSync, SCOPE, stampOf } from './tasks.ts'

/** So many rows are written by one statement, so by one transaction. */
const BATCH = 10_000

let names = 0
/** Of a schema that nobody else has. */
export const newSchema = ({ id }: Services): string => `${id}_sync_${names++}`

/** Records of one scope in a schema of their own. */
export interface Table {
  readonly pool: Pool
  readonly schema: string
  readonly store: SyncStore
  readonly sync: Sync
  close(): Promise<void>
}

export async function openTable(services: Services, rows: number, connections = 4): Promise<Table> {
  const schema = newSchema(services)
  const { pool, close } = await openPool(await services.databaseUrl(), schema, connections)
  const store = postgresStore(pool, { schema, storeTimeout: '1m' })
  await migrate(pool, [store])
  await fill(pool, rows)
  const sync = openSync(store)
  return {
    pool,
    schema,
    store,
    sync,
    async close() {
      await sync.close()
      await close()
    },
  }
}

/** As pushes leave them, and as tasks.ts makes them. */
async function fill(pool: Pool, rows: number): Promise<void> {
  const stamp = stampOf(Date.now() - 60_000, 0, 'bench')
  for (let from = 0; from < rows; from += BATCH) {
    await pool.query(
      `insert into sync_record (scope, c, id, reg, h, at_ms)
      select $1, 'task', 't' || n, jsonb_build_object(
        'team', jsonb_build_array('1', $2::text), 'title', jsonb_build_array('Call back number ' || n, $2::text),
        'done', jsonb_build_array(false, $2::text),
        'note', jsonb_build_array('As they asked on day ' || n % 365 || ', please', $2::text)), $2::text, 0
      from generate_series($3::integer, $4::integer) as n`,
      [SCOPE, stamp, from, Math.min(from + BATCH, rows) - 1],
    )
  }
  await pool.query('vacuum (analyze) sync_record')
}
