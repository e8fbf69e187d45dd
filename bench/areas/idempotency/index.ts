import type { Area } from '../../src/case.ts'
import { fingerprints } from './fingerprint.ts'
import { overHttp } from './http.ts'
import { inMemory } from './in-memory.ts'
import { onRedis } from './on-redis.ts'
import { oneCommit } from './one-commit.ts'
import { roundTrips } from './round-trips.ts'
import { waiters } from './waiters.ts'
import { weights } from './weights.ts'

const idempotency: Area = (services) => [
  ...roundTrips(services),
  ...oneCommit(services),
  ...onRedis(services),
  ...overHttp(services),
  ...inMemory(),
  ...waiters(services),
  ...fingerprints(),
  ...weights(),
]
export default idempotency
