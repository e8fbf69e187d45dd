import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import { client } from '../src/client.ts'
import { startNodeProcess } from '../src/node-process.ts'
import { shared } from './shared.ts'

const pool = new pg.Pool({ connectionString: inject('databaseUrl') })
afterAll(() => pool.end())

const newKey = (): string => randomBytes(32).toString('base64')
const key = `answer-keys-${process.pid}-${Date.now().toString(36)}`

/** The same booking on a node with these keys. */
async function bookWith(variables: Record<string, string>) {
  const limits = { BOOKINGS_PER_MINUTE: 1_000_000 }
  const node = await startNodeProcess({ ...shared, ...limits, DATABASE_URL: inject('databaseUrl'), ...variables })
  try {
    return await client(node.ready.url, pool as never).book(key)
  } finally {
    await node.end('SIGTERM')
  }
}

test('a rotated key opens old answers; without it a repeat is answer-corrupt, and never a second booking', async () => {
  const [old, young] = [newKey(), newKey()]
  const first = await bookWith({ ANSWER_KEYS: old })
  expect(first.status).toBe(201)

  const again = await bookWith({ ANSWER_KEYS: `${young},${old}` })
  expect([again.status, again.headers.get('idempotent-replayed')]).toEqual([201, 'true'])
  expect(again.bytes).toEqual(first.bytes)

  const corrupt = await bookWith({ ANSWER_KEYS: young })
  expect([corrupt.status, corrupt.json().code, corrupt.headers.get('x-retry')]).toEqual([500, 'answer-corrupt', 'no'])

  const { rows } = await pool.query('select 1 from parcels.shipments where "to" = $1', [key])
  expect(rows).toHaveLength(1)
})
