import pg from 'pg'
import { afterAll, expect, inject } from 'vitest'
import type { Effect, Statement } from '../../src/index.ts'

/** The tables of one test file, in a schema of its own that is its `search_path`. */
export interface World {
  readonly schema: string
  readonly pool: pg.Pool
  /** Another pool on the same tables, ended with the file. */
  openPool(config?: pg.PoolConfig): pg.Pool
  /** What is committed: `items` and `effects`, by their text. */
  committed(): Promise<{ items: string[]; effects: string[] }>
  clear(): Promise<void>
}

const TABLES = [
  'create table items (sku text not null unique, size int)',
  // Checked at COMMIT, where a statement can no longer be blamed.
  'create table effects (label text not null, item text references items(sku) deferrable initially deferred)',
]

/** Opens a schema; `url` is another server than the shared one, `via` a proxy in front of it. */
export async function openWorld(schema: string, o: { url?: string; via?: { port: number } } = {}): Promise<World> {
  const url = o.url ?? inject('databaseUrl')
  const pools: pg.Pool[] = []
  const open = (connectionString: string, config: pg.PoolConfig = {}): pg.Pool => {
    const pool = new pg.Pool({ connectionString, options: `-c search_path=${schema}`, ...config })
    // pg reports the death of an idle connection here; without a listener the process would end.
    pool.on('error', () => {})
    pools.push(pool)
    return pool
  }
  const direct = open(url, { max: 2 })
  await direct.query(`drop schema if exists ${schema} cascade; create schema ${schema}; ${TABLES.join(';')}`)
  const via = new URL(url)
  if (o.via !== undefined) Object.assign(via, { hostname: '127.0.0.1', port: String(o.via.port) })
  const openPool = (config?: pg.PoolConfig): pg.Pool => open(String(via), config)
  afterAll(() => Promise.all(pools.map((pool) => pool.end())))
  const column = async (text: string): Promise<string[]> =>
    (await direct.query<[string]>({ text, rowMode: 'array' })).rows.map(([value]) => value)
  return {
    schema,
    pool: openPool(),
    openPool,
    committed: async () => ({
      items: await column('select sku from items order by sku'),
      effects: await column('select label from effects order by label'),
    }),
    clear: async () => void (await direct.query('delete from effects; delete from items')),
  }
}

export const nothing = { items: [], effects: [] }

export const insertItem = (sku: string): Statement => ({ text: 'insert into items(sku) values ($1)', values: [sku] })
export const insertEffect = (label: string): Statement => ({
  text: 'insert into effects(label) values ($1)',
  values: [label],
})

/** An effect that leaves one row. */
export const effect = (label: string, more: Partial<Effect> = {}): Effect => ({
  kind: 'test.row',
  statements: () => [insertEffect(label)],
  ...more,
})

/** The error of a promise that must reject. */
export async function failure(promise: Promise<unknown>): Promise<any> {
  const settled = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  )
  if ('error' in settled) return settled.error
  throw new Error(`this should have failed, but answered ${JSON.stringify(settled.value)}`)
}

/** Call it once in a file: fails it for a rejection that nobody handles and for a warning of pg or Node. */
export function watchProcess(): void {
  const heard: unknown[] = []
  process.on('unhandledRejection', (error) => heard.push(error))
  process.on('warning', (warning) => heard.push(warning))
  afterAll(async () => {
    await new Promise((resolve) => setImmediate(resolve))
    expect(heard).toEqual([])
  })
}

/** Waits until a pool is quiet again: its last ROLLBACK is answered after the caller has gone on. */
export async function isQuiet(pool: pg.Pool): Promise<void> {
  while (pool.waitingCount > 0 || pool.idleCount !== pool.totalCount) {
    await new Promise((resolve) => pool.once('release', () => setImmediate(resolve)))
  }
}
