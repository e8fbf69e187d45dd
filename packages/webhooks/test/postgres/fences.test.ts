import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import type { Settlement } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { openPostgres } from './open-postgres.ts'
import { anEvent, endpoint, routeAll, success } from './steps.ts'

const opened = await openPostgres()
const { schema } = opened
// As a role or a database may have it: floats are then written with 15 digits, and a fence has 16.
const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 2, options: '-c extra_float_digits=0' })
const store = postgresStore(pool, { schema })
afterAll(async () => {
  await pool.end()
  await opened[Symbol.asyncDispose]()
})

const FENCE = 2_000_000_000_000_007
const ok = { kind: 'ok', notices: [] }

/** A new delivery under that fence. */
async function claimed() {
  await store.publish([anEvent()])
  await routeAll(store)
  await pool.query(`update ${schema}.webhook_delivery set fence = ${FENCE - 1} where finished_ms is null`)
  const [claim] = await store.claim({ limit: 1, owner: 'n', suspects: true, handlers: [] })
  return claim!
}

function failure(claim: Parameters<typeof success>[0]): Settlement {
  const { token, attempt } = success(claim)
  return {
    token,
    attempt: { ...attempt!, outcome: 'reset', status: null },
    end: { kind: 'dead', reason: 'exhausted' },
    signal: { kind: 'none' },
  }
}

test('an attempt is settled, and found once where it came late, in a session that rounds floats', async () => {
  await endpoint(store, 'a')
  const first = await claimed()
  expect(first.token.fence).toBe(FENCE)
  expect(await store.settle([success(first)])).toEqual([ok])
  expect(await store.settle([failure(await claimed())])).toEqual([ok])

  const { token, ...lost } = await claimed()
  await pool.query(`update ${schema}.webhook_lease set end_ms = 0`)
  await store.reap(10)
  expect(await store.settle([success({ token, ...lost })])).toEqual([{ kind: 'stale' }])
  const attempts = (after: number) => store.deliveries.attempts('a', token.delivery, { after, limit: 10 })
  expect(await attempts(0)).toMatchObject([{ outcome: 'stale', fence: FENCE }])
  expect(await attempts(FENCE)).toEqual([])
})
