import { PGlite } from '@electric-sql/pglite'
import { mortal, workUntilKilled } from '../../../../tools/crash/worker-loop.ts'
import { openBookings } from './booking.ts'
import type { Question } from './pglite-witness.ts'

/** Two roles on one data folder, one after the other: the process that dies, and the witness that looks and retries. */
const { DATA_FOLDER = '', SCHEMA = '', ROLE } = process.env
const db = await PGlite.create(DATA_FOLDER)

if (ROLE === 'witness') {
  const bookings = await openBookings(db, SCHEMA)
  process.on('message', async (question: Question) => {
    if (question.ask === 'retry') process.send?.(await bookings.book(question.key))
    else process.send?.(question.ask === 'read' ? await bookings.read(question.keys) : await bookings.totals())
  })
  process.send?.({ ready: true })
} else {
  const bookings = await openBookings(db, SCHEMA)
  // Every statement is a boundary: claim, savepoint, record, row, effect, answer.
  const { transaction } = db
  db.transaction = (work) =>
    transaction.call(db, (tx) => work({ ...tx, query: mortal(tx.query) as typeof tx.query })) as never
  workUntilKilled(bookings.book)
}
