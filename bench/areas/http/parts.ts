import { createCache } from '@keelson/cache'
import { createHttp, type Http } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { migrate } from '@keelson/kernel/postgres'
import pg from 'pg'
import { createLimiter } from '@keelson/resilience/limiter'
import { LIMIT, type Kind } from './kinds.ts'

/** What an application of a kind is made of. */
export interface Parts {
  readonly http: Http
  readonly pool: pg.Pool | undefined
}

const CONNECTIONS = 16

/** More records than by default: a run makes more than a process of that size would keep. */
const RECORDS = 1_000_000

export async function openParts(kind: Kind, databaseUrl: string | undefined): Promise<Parts> {
  const scope = (): string => 'public'
  if (kind !== 'sql' && kind !== 'transaction') {
    if (kind === 'cached') {
      const cache = createCache({ name: 'bench' })
      await cache.start()
      return { http: createHttp({ cache, scope }), pool: undefined }
    }
    if (kind === 'limited, sliding' || kind === 'limited, fixed') {
      const algorithm = kind === 'limited, fixed' ? 'fixed' : 'sliding'
      const quotas = { name: 'minute', limit: LIMIT, per: '1m', algorithm } as const
      return { http: createHttp({ limiters: { api: createLimiter({ name: 'api', quotas }) }, scope }), pool: undefined }
    }
    const store = memoryStore({ maxRecords: RECORDS })
    return {
      http: createHttp({ idempotency: createIdempotency({ store, storeTimeout: '5s' }), scope }),
      pool: undefined,
    }
  }
  const pool = new pg.Pool({ connectionString: databaseUrl, max: CONNECTIONS })
  await pool.query('create table if not exists bench_http (id bigserial primary key, cents int)')
  const store = postgresStore(pool)
  await migrate(pool, [store])
  const idempotency = createIdempotency({ store, storeTimeout: '5s' })
  return { http: createHttp({ db: pool, idempotency, scope }), pool }
}

/** The same SQL by hand: one transaction. */
export async function byHand(pool: pg.Pool, text: string, values: unknown[]): Promise<{ id: string }> {
  const client = await pool.connect()
  try {
    await client.query('begin')
    const { rows } = await client.query(text, values)
    await client.query('commit')
    return rows[0] as { id: string }
  } finally {
    client.release()
  }
}
