import { Redis } from 'ioredis'
import pg from 'pg'
import { redisStore } from '@keelson/cache/redis'
import { flight } from '../../../../tools/crash/flight.ts'
import type { CrashScenario } from '../../../../tools/crash/scenario.ts'
import { openDropWrites } from './drop-writes.ts'

// What was cached; claim; row; drop, answer and COMMIT; the drop in Redis; what is cached now.
flight(pg.Client.prototype, 'query')
flight(Redis.prototype, 'sendCommand')

/** Entries in Redis, rows in Postgres: the drops of the dead are relayed. */
const scenario: CrashScenario = {
  open(place) {
    return openDropWrites(place, 'in time', () => redisStore(new Redis(place.redisUrl), { prefix: place.space }))
  },
}
export default scenario
