import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { flight } from '../../../../tools/crash/flight.ts'
import type { CrashScenario } from '../../../../tools/crash/scenario.ts'
import { openBookings } from './bookings.ts'

/** transaction() on an embedded database, which the next process recovers. Every statement is a flight. */
const scenario: CrashScenario = {
  exclusive: true,
  async open({ folder, space }) {
    const db = await PGlite.create(join(folder, 'data'))
    const { transaction } = db
    db.transaction = (work) => transaction.call(db, (tx) => work(flight({ ...tx }, 'query'))) as never
    return openBookings(db, space)
  },
}
export default scenario
