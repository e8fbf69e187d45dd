import pg from 'pg'
import { mortal, workUntilKilled } from '../../../../tools/crash/worker-loop.ts'
import { openBookings } from './booking.ts'

const { DATABASE_URL, SCHEMA = '' } = process.env
// A flight is one call of the client.
pg.Client.prototype.query = mortal(pg.Client.prototype.query as (...args: unknown[]) => unknown) as never

const pool = new pg.Pool({
  connectionString: DATABASE_URL,
  application_name: `crash-${process.pid}`,
  max: 12,
})
pool.on('error', () => {})
const { book } = await openBookings(pool, SCHEMA)
workUntilKilled(book)
