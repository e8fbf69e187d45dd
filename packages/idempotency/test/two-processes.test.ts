import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { startWorker } from '../../../tools/crash/worker-process.ts'
import { openOrders } from './orders.ts'

test('twenty identical calls over two processes are one run and twenty equal answers', async () => {
  const schema = 'idempotency_shared'
  const orders = await openOrders(new pg.Pool({ connectionString: inject('databaseUrl') }), schema)
  const env = { DATABASE_URL: inject('databaseUrl'), SCHEMA: schema }
  const start = () => startWorker<object, string[]>(new URL('./shared-worker.ts', import.meta.url), env)
  const workers = await Promise.all([start(), start()])
  const answers = workers.map((worker) => new Promise<string[]>((resolve) => worker.onMessage(resolve)))
  for (const worker of workers) worker.send({ key: 'one', calls: 10 })

  const all = (await Promise.all(answers)).flat()
  expect(all).toHaveLength(20)
  expect(new Set(all).size).toBe(1)
  expect(await orders.count()).toEqual({ orders: 1, outbox: 1, records: 1 })
  await Promise.all(workers.map((worker) => worker.kill()))
  await orders.close()
})
