import { Redis } from 'ioredis'
import pg from 'pg'
import { createSync } from '@keelson/sync'
import { notifyWaker, postgresStore } from '@keelson/sync/postgres'
import { redisWaker } from '@keelson/sync/redis'
import { formatStamp } from '../../src/stamp.ts'

/** A process that pushes again and again until its stdin ends; then it closes, and ends by itself. */
const [kind, url, channel, databaseUrl, schema] = process.argv.slice(2) as [string, string, string, string, string]
const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 })
const redis = kind === 'Redis' ? new Redis(url) : undefined
const connect = async (): Promise<pg.Client> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  return client
}
const sync = createSync({
  store: postgresStore(pool, { schema, storeTimeout: '30s' }),
  storeTimeout: '30s',
  scopes: () => ['acme/team:1'],
  collections: { task: { fields: { n: 'lww' }, scope: () => 'acme/team:1' } },
  waker: redis === undefined ? notifyWaker(connect, { channel }) : redisWaker(redis, { prefix: channel }),
})

process.stdin.resume()
for (let n = 0; !process.stdin.readableEnded; n++) {
  const h = formatStamp({ ms: Date.now(), counter: n, node: 'child' })
  const op = { op: `o${n}`, c: 'task', id: 't1', t: 'put', h, set: { n } } as const
  await sync.push({ principal: { id: 'bob' } }, { v: 1, client: 'child', ops: [op] })
  await new Promise((resolve) => setTimeout(resolve, 25))
}
await sync.close()
redis?.disconnect()
await pool.end()
