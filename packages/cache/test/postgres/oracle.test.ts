import { afterAll, beforeAll, expect, test } from 'vitest'
import type { CacheTier } from '@keelson/cache'
import { postgresStore } from '@keelson/cache/postgres'
import { seededRandom } from '@keelson/kernel/testing'
import { openPostgres } from './databases.ts'
import { drop, entryOf, LIMITS, LONG_MS, NAME, read, refOf } from './steps.ts'

const LONG = process.env['LONG'] === '1'
const READS = LONG ? 200_000 : 4_000
const READERS = 8
const WRITERS = 3
const KEYS = 20

let opened: Awaited<ReturnType<typeof openPostgres>>
beforeAll(async () => {
  opened = await openPostgres()
  await opened.pool.query(
    `create table ${opened.schema}.items as select k, 0 as v from generate_series(0, ${KEYS - 1}) k`,
  )
})
afterAll(() => opened[Symbol.asyncDispose]())

test('no read that begins after a commit was answered is older, whatever transactions and loads overlap', async () => {
  const seed = Date.now() % 1_000_000
  const random = seededRandom(seed)
  const { pool, schema } = opened
  const store = postgresStore(pool, { schema })
  const acked = Array.from({ length: KEYS }, () => 0)
  const stale: string[] = []
  const count = { reads: 0, loads: 0 }
  const turns = async (): Promise<void> => {
    for (let n = Math.floor(random() * 4); n > 0; n--) await new Promise((resolve) => setImmediate(resolve))
  }

  async function write(): Promise<void> {
    while (count.reads < READS) {
      const key = Math.floor(random() * KEYS)
      const session = await pool.connect()
      try {
        await session.query('begin')
        if (random() < 0.5) await session.query('select pg_current_xact_id()')
        await turns()
        if (random() < 0.5) await drop(session, store, `item:${key}`)
        const { rows } = await session.query(`update ${schema}.items set v = v + 1 where k = $1 returning v`, [key])
        const { v } = rows[0] as { v: number }
        await turns()
        await drop(session, store, `item:${key}`)
        if (random() < 0.2) await session.query('rollback')
        else {
          await session.query('commit')
          acked[key] = Math.max(acked[key]!, v)
        }
      } finally {
        session.release()
      }
      // So that there are hits between writes.
      await pool.query('select pg_sleep(0.02)')
    }
  }

  async function see(tier: CacheTier, node: string): Promise<void> {
    while (count.reads < READS) {
      count.reads++
      const key = Math.floor(random() * KEYS)
      const ref = refOf(`item ${key}`, [`item:${key}`])
      const atLeast = acked[key]!
      const answer = await read(tier, ref, LONG_MS, node)
      if (answer.kind === 'hit') {
        const found = Number(new TextDecoder().decode(answer.body))
        if (found < atLeast) stale.push(`item ${key}: ${found} after ${atLeast} was acknowledged`)
      } else if (answer.lock === 'yours') {
        count.loads++
        await turns()
        const { rows } = await pool.query(`select v from ${schema}.items where k = $1`, [key])
        await turns()
        await tier.fill(ref, answer.lease, entryOf(ref, String((rows[0] as { v: number }).v)), node)
      }
    }
  }

  await Promise.all([
    ...Array.from({ length: WRITERS }, write),
    ...Array.from({ length: READERS }, (_, i) => see(store.open(NAME, LIMITS), `n${i}`)),
  ])
  expect(stale, `seed ${seed}`).toEqual([])
  expect(count.loads / count.reads, 'a cache that never hits passes every test of staleness').toBeLessThan(0.6)
})
