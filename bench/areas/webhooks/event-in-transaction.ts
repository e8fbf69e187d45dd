import { createWebhooks } from '@keelson/webhooks'
import { postgresStore } from '@keelson/webhooks/postgres'
import { migrate, transact } from '@keelson/kernel/postgres'
import { startFaultProxy } from '../../../tools/faults/fault-proxy.ts'
import type { Case, Contender, Running } from '../../src/case.ts'
import { closedLoop } from '../../src/closed-loop.ts'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'
import { newName, SCOPE } from './couriers.ts'

const WITH = 'transact, an INSERT and an event'
const WITHOUT = 'transact, an INSERT'

/** What an event adds to the transaction that it is part of. */
export function eventInTransaction(services: Services): Case[] {
  /** A transaction that can be repeated, on one connection to `url`. */
  async function open(name: string, url: string): Promise<{ write(): Promise<unknown>; close(): Promise<void> }> {
    const schema = newName(services)
    const { pool, close } = await openPool(url, schema, 1)
    await pool.query('create table shipments (id bigserial primary key, sku text)')
    const store = postgresStore(pool, { schema })
    await migrate(pool, [store])
    const webhooks = createWebhooks({ store, encryption: 'plaintext' })
    return {
      write: () =>
        transact(pool, async (tx) => {
          const { rows } = await tx.query('insert into shipments (sku) values ($1) returning id', ['tea'])
          const effects = name === WITH ? [webhooks.event('shipment.created', rows[0], { scope: SCOPE })] : []
          return { value: undefined, effects }
        }),
      async close() {
        await webhooks.close()
        await close()
      },
    }
  }
  const timed = (name: string): Contender => ({
    name,
    async open() {
      const { write, close } = await open(name, await services.databaseUrl())
      return { run: (forMs) => closedLoop(1, forMs, write), close }
    },
  })
  const counted = (name: string): Contender => ({
    name,
    async open() {
      const url = new URL(await services.databaseUrl())
      const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port) })
      url.host = `${proxy.host}:${proxy.port}`
      const { write, close } = await open(name, url.href)
      return {
        async run() {
          await write()
          proxy.resetCount()
          await write()
          return { trips: proxy.roundTrips }
        },
        async close() {
          await close()
          await proxy.close()
        },
      }
    },
  })
  return [
    {
      name: 'an event in a transaction',
      note: 'the same INSERT without an event; one connection',
      base: WITHOUT,
      contenders: [timed(WITH), timed(WITHOUT)],
      targets: [{ of: WITH, figure: 'p50 ms', over: WITHOUT, atMost: 1.5 }],
    },
    {
      name: 'an event in a transaction, round trips',
      exact: true,
      contenders: [counted(WITH), counted(WITHOUT)],
      targets: [{ of: WITH, figure: 'trips', minus: WITHOUT, atMost: 1 }],
    },
  ]
}
