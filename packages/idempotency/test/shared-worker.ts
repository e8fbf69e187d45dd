import pg from 'pg'
import { reply, unwrap } from '@keelson/idempotency'
import { openOrders } from './orders.ts'

/** One of several processes on one database: told when to begin, says what its calls were answered. */
const { DATABASE_URL, SCHEMA = '' } = process.env
const orders = await openOrders(new pg.Pool({ connectionString: DATABASE_URL }), SCHEMA)

process.on('message', async ({ key, calls }: { key: string; calls: number }) => {
  const call = { scope: 'm1', op: 'POST /orders', key, input: { sku: 'tea' }, wait: '60s' as const }
  const answers = await Promise.all(
    Array.from({ length: calls }, () =>
      orders.idempotency.transaction(call, async (tx, operation) => {
        const order = await orders.insert(tx, 'tea')
        // Long enough for the others to arrive while the key is held.
        await tx.query('select pg_sleep(0.1)')
        return reply(201, { ...order, by: operation.operationId }, [orders.outbox('tea')])
      }),
    ),
  )
  process.send?.(answers.map((outcome) => Buffer.from(unwrap(outcome).body).toString()))
})
process.on('disconnect', () => process.exit())
process.send?.({ ready: true })
