import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import {
  createIdempotency,
  type Idempotency,
  type IdempotencyOptions,
  type IdempotencyStore,
} from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { until } from '../../../../tools/servers/until.ts'
import { served, startStand, STORE_TIMEOUT_MS, timed, type Stand } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

const MAX = 2

let stand: Stand
let pool: pg.Pool
const instances: Idempotency[] = []
beforeAll(async () => {
  stand = await startStand('Postgres')
  pool = new pg.Pool({ connectionString: stand.server.url, max: MAX })
  pool.on('error', () => {})
})
afterAll(async () => {
  for (const instance of instances) await instance.close()
  await pool.end()
  await stand[Symbol.asyncDispose]()
})

async function open(options: Partial<IdempotencyOptions> = {}): Promise<Idempotency> {
  const store = postgresStore(pool, { schema: stand.space })
  const made: Idempotency = createIdempotency<IdempotencyStore>({ store, storeTimeout: STORE_TIMEOUT_MS, ...options })
  instances.push(made)
  await served(made)
  return made
}

const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID() })

/** The application's own transactions hold every connection. */
async function fill(): Promise<{ free(): void }> {
  const clients = await Promise.all(Array.from({ length: MAX }, () => pool.connect()))
  return { free: () => clients.forEach((client) => client.release()) }
}

test('a full pool is not a dead store: callers are refused in time, and the guard stays closed', async () => {
  const [refusing, unprotected] = [await open(), await open({ onStoreDown: 'run-unprotected' })]
  let runs = 0
  const work = async (): Promise<number> => ++runs
  const held = await fill()
  const call = someCall()
  for (const idempotency of [refusing, unprotected]) {
    // Many callers at once would run all of them unprotected, at the worst moment.
    const { value, tookMs } = await timed(idempotency.run(call, work))
    expect(value).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE', retryable: true })
    expect(tookMs).toBeLessThan(4 * STORE_TIMEOUT_MS)
    const status = await timed(idempotency.inspect())
    expect(status.value).toMatchObject({ state: 'ok' })
    expect(status.tookMs).toBeLessThan(4 * STORE_TIMEOUT_MS)
  }
  held.free()
  const outcome = await until('there is room', 60_000, async () => {
    const tried = await refusing.run(call, work)
    return tried.ok ? tried : undefined
  })
  expect(outcome).toMatchObject({ kind: 'executed', attempt: 1, value: 1 })
})

test('a work that ends while the pool is full comes back with its value, which is stored when there is room', async () => {
  const storeTimeout = 5_000 // also for the claim, which must be had
  const [idempotency, bystander] = [await open({ storeTimeout }), await open({ storeTimeout: '30s' })]
  const call = someCall()
  let held: Awaited<ReturnType<typeof fill>> | undefined
  const { value, tookMs } = await timed(
    idempotency.run(call, async () => {
      held = await fill()
      return 'charged'
    }),
  )
  expect(value).toMatchObject({ ok: true, kind: 'executed', stored: false, value: 'charged' })
  expect(tookMs).toBeLessThan(4 * storeTimeout)
  held!.free()
  const stored = async () => (await bystander.find(call))?.state === 'done' || undefined
  await until('the answer is stored', 60_000, stored)
  expect(await bystander.run(call, async () => 'second')).toMatchObject({
    ok: true,
    kind: 'replayed',
    value: 'charged',
  })
})

test('a pool that is full because the server stands still is a dead store: protection is given up as asked', async () => {
  const [unprotected, bystander] = [await open({ onStoreDown: 'run-unprotected' }), await open()]
  stand.server.freeze()
  try {
    // Its probes take every connection of the pool, and queue.
    await bystander.run(someCall(), async () => 1)
    await until('the pool is full', 60_000, async () => (pool.waitingCount > 0 ? true : undefined))
    expect(await unprotected.run(someCall(), async () => 'ran')).toMatchObject({ kind: 'unprotected', value: 'ran' })
  } finally {
    stand.server.thaw()
  }
})
