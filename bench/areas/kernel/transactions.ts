import type { Effect } from '@keelson/kernel'
import { transact } from '@keelson/kernel/postgres'
import type { Pool } from 'pg'
import type { Case, Contender } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'

const CALLERS = 16
const ORDER = 'insert into orders (sku) values ($1)'
const EFFECTS = ['audit', 'outbox', 'drops']
const effectSql = (table: string): string => `insert into ${table} (body) values ($1)`
const BODY = JSON.stringify({ action: 'order.create', by: 'ann', at: 'shop-1', new: { sku: 'tea', cents: 990 } })

/** The unit of work against the same by hand. */
export function transactions(services: Services): Case[] {
  const contender = (name: string, write: (pool: Pool) => Promise<void>): Contender => ({
    name,
    async open() {
      const schema = `${services.id}_${name.replace(/\W+/g, '_').toLowerCase()}`
      const { pool, close } = await openPool(await services.databaseUrl(), schema, CALLERS)
      await pool.query('create table orders (id bigserial primary key, sku text)')
      for (const table of EFFECTS) await pool.query(`create table ${table} (id bigserial primary key, body jsonb)`)
      return { run: (forMs) => closedLoop(CALLERS, forMs, () => write(pool)), close }
    },
  })
  return [
    {
      name: `a row and three effects in one commit, ${CALLERS} connections`,
      note: 'bare writes the row alone; one by one writes the same four rows, each statement awaited',
      base: 'bare BEGIN, INSERT, COMMIT',
      contenders: [
        contender('keelson transact', withEffects),
        contender('bare BEGIN, INSERT, COMMIT', (pool) => byHand(pool, [])),
        contender('one by one', (pool) => byHand(pool, EFFECTS)),
      ],
      targets: [
        { of: 'keelson transact', figure: 'per s', over: 'bare BEGIN, INSERT, COMMIT', atLeast: 0.6 },
        { of: 'keelson transact', figure: 'per s', over: 'one by one', atLeast: 1.25 },
      ],
    },
  ]
}

async function withEffects(pool: Pool): Promise<void> {
  await transact(pool, async (tx) => {
    await tx.query(ORDER, ['tea'])
    return { value: undefined, effects: EFFECTS.map(effect) }
  })
}

function effect(table: string): Effect {
  return { kind: `bench.${table}`, statements: () => [{ text: effectSql(table), values: [BODY] }] }
}

async function byHand(pool: Pool, effects: readonly string[]): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query(ORDER, ['tea'])
    for (const table of effects) await client.query(effectSql(table), [BODY])
    await client.query('COMMIT')
  } finally {
    client.release()
  }
}
