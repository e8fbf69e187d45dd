import { expect, inject, test } from 'vitest'
import pg from 'pg'
import { crashRuns, everyBoundary, randomDeaths } from '../../../../tools/crash/crash-runs.ts'
import { openBookings } from './booking.ts'

const IN_FLIGHT = 8
const RUNS = process.env['LONG'] === '1' ? 10_000 : 300
const schema = 'idempotency_crash'

test(`a process killed in the middle of ${IN_FLIGHT} writes leaves each of them whole or not at all: ${RUNS} runs`, async () => {
  const pool = new pg.Pool({ connectionString: inject('databaseUrl') })
  const bookings = await openBookings(pool, schema)
  // A write has three flights: claim, row, effects with answer and COMMIT.
  const boundaries = everyBoundary(3)
  const deaths = [...boundaries, ...randomDeaths(Math.ceil(RUNS / IN_FLIGHT) - boundaries.length, 25)]

  const report = await crashRuns({
    worker: new URL('./postgres-worker.ts', import.meta.url),
    env: { DATABASE_URL: inject('databaseUrl'), SCHEMA: schema },
    inFlight: IN_FLIGHT,
    deaths,
    settled: ({ pid }) => sessionsEnded(pool, pid),
    read: bookings.read,
    retry: bookings.book,
  })
  console.log(`crash, Postgres: ${JSON.stringify({ ...report, broken: report.broken.length })}`)

  expect(report.broken).toEqual([])
  expect(report.runs).toBeGreaterThanOrEqual(RUNS)
  const { bookings: rows, effects, answers, unfinished } = await bookings.totals()
  expect([effects, answers, unfinished]).toEqual([rows, rows, 0])
  await bookings.idempotency.close()
  await pool.end()
}, 900_000)

/** The server notices a dead client by its socket, and may still be committing for it. */
async function sessionsEnded(pool: pg.Pool, pid: number): Promise<void> {
  const text = 'select 1 from pg_stat_activity where application_name = $1'
  while ((await pool.query(text, [`crash-${pid}`])).rows.length > 0);
}
