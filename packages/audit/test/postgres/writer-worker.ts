import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { postgresStore } from '../../src/postgres/index.ts'
import { someRows } from './steps.ts'

const WRITERS = 4

/** Appends until it dies; says which entries were acknowledged. */
const { DATABASE = '', SCHEMA = '' } = process.env
const pool = new pg.Pool({ connectionString: DATABASE, max: WRITERS })
const store = postgresStore(pool, { schema: SCHEMA })
process.on('disconnect', () => process.exit())

async function write(): Promise<never> {
  for (;;) {
    const rows = someRows(1 + Math.floor(Math.random() * 4))
    await store.append('main', rows)
    process.send?.(rows.map(({ id }) => id))
    // Other processes want to write too.
    await sleep(Math.random() * 20)
  }
}

await pool.query('select 1')
process.send?.({ ready: true })
await Promise.all(Array.from({ length: WRITERS }, write))
