import pg from 'pg'
import { flight } from '../../../../tools/crash/flight.ts'
import type { CrashScenario } from '../../../../tools/crash/scenario.ts'
import { openBookings } from './bookings.ts'

// Claim; row; effects, answer and COMMIT.
flight(pg.Client.prototype, 'query')

/** transaction() on Postgres. */
const scenario: CrashScenario = {
  open({ databaseUrl, space }) {
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 12 })
    pool.on('error', () => {})
    return openBookings(pool, space)
  },
}
export default scenario
