import { randomBytes } from 'node:crypto'
import pg from 'pg'

/** A schema of a test, with a pool of its own. */
export interface TestSchema extends AsyncDisposable {
  readonly pool: pg.Pool
  /** Not created yet: `migrate` does that. */
  readonly schema: string
}

/** Disposed, the schema is dropped and the pool ended. */
export function openTestSchema(url: string, name: string, max = 10): TestSchema {
  const pool = new pg.Pool({ connectionString: url, max })
  // pg reports the death of an idle connection here.
  pool.on('error', () => {})
  const schema = `${name}_${randomBytes(6).toString('hex')}`
  return {
    pool,
    schema,
    async [Symbol.asyncDispose]() {
      await pool.query(`drop schema if exists ${schema} cascade`)
      await pool.end()
    },
  }
}

type Query = (text: string) => Promise<unknown>

/** Sets what the store's function `now`, such as `keelson.audit_now`, says from then on: whole ms. */
export function settableClock(query: Query, schema: string, now: string): (nowMs: number) => Promise<void> {
  let isSet = false
  return async (nowMs) => {
    if (isSet) await query(`update ${schema}.test_clock set ms = ${nowMs}`)
    else {
      await query(`create table ${schema}.test_clock as select ${nowMs}::bigint as ms`)
      await query(`create or replace function ${schema}.${now}() returns bigint language sql volatile
        as $$ select ms from ${schema}.test_clock $$`)
    }
    isSet = true
  }
}
