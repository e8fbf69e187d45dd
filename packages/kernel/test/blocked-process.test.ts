/** A process that was kept from running does not take the answers that it has not read for a store that is away. */
import { Redis } from 'ioredis'
import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import { createStoreGuard, systemClock } from '../src/index.ts'

const TIMEOUT_MS = 100
const BLOCKED_MS = 1_000
const ROUNDS = 20

const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 1 })
const redis = new Redis(inject('redisUrl'))
afterAll(async () => {
  redis.disconnect()
  await pool.end()
})

test.each<[string, () => Promise<unknown>]>([
  // They answer a moment later, so that nobody has read it before.
  ['Redis', () => redis.blpop('blocked-process', 0.05)],
  ['Postgres', () => pool.query('select pg_sleep(0.05)')],
])('an answer of %s that came while the process was blocked is in time', async (name, ask) => {
  await ask()
  // Again and again: on a busy machine the server itself may need longer. Who does not look is never in time.
  for (let round = 1; ; round++) {
    const guard = createStoreGuard({ name, timeout: TIMEOUT_MS })
    const answer = guard.call(ask)
    // The driver writes in a microtask or on the next tick.
    setImmediate(block)
    const inTime = await answer.then(
      () => true,
      () => false,
    )
    if (!inTime && round < ROUNDS) continue
    expect(inTime).toBe(true)
    return expect(guard.stats()).toMatchObject({ state: 'closed', timeouts: 0 })
  }
})

test('a timer that is over but has not told is cancelled all the same', async () => {
  let fired = 0
  const timer = systemClock.timer(() => fired++, 1)
  // Node tells of the timers in the order of their ends.
  setTimeout(() => timer.cancel(), 1)
  block()
  await systemClock.sleep(10)
  expect(fired).toBe(0)
})

function block(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, BLOCKED_MS)
}
