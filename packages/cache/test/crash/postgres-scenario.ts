import pg from 'pg'
import { flight } from '../../../../tools/crash/flight.ts'
import type { CrashScenario } from '../../../../tools/crash/scenario.ts'
import { openDropWrites } from './drop-writes.ts'

flight(pg.Client.prototype, 'query')

/** Entries and rows in one Postgres: a drop is there with its commit. */
const scenario: CrashScenario = { open: (place) => openDropWrites(place, 'at once') }
export default scenario
