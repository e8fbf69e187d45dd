import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { expect } from 'vitest'
import type { CacheOptions } from '@keelson/cache'
import { oracle, type OracleOptions, type OracleReport } from '@keelson/cache/conformance'
import { postgresLog } from '@keelson/cache/postgres'
import { migrate } from '@keelson/kernel/postgres'
import type { OraclePlace } from './oracle-place.ts'
import { startOracleProcess, type OracleProcess } from './oracle-process.ts'

const LONG = process.env['LONG'] === '1'
/** Without as many writes there is nothing to be older than. */
const READS_PER_WRITE = 25
const NODES = 3
/** A machine that stands still is no outage; where something is done to the store, one is not waited for so long. */
const STORE_TIMEOUT = { calm: '10s', disturbed: '1s' } as const

/** How three processes are run, beside what the oracle takes. */
export interface Run extends Omit<OracleOptions, 'during'> {
  readonly during?: (nodes: readonly OracleProcess[]) => Promise<unknown>
  readonly options?: Partial<CacheOptions>
  /** What one node has that the others have not: by its number. */
  readonly env?: (node: number) => Record<string, string>
}

/** Three processes over one place, and what came of it. With LONG=1 a million reads. */
export async function threeProcesses(
  place: OraclePlace,
  { during, env = () => ({}), options = {}, ...given }: Run = {},
): Promise<OracleReport> {
  const storeTimeout = STORE_TIMEOUT[during === undefined ? 'calm' : 'disturbed']
  const o = { reads: 5_000, ...given, ...(LONG ? { reads: 1_000_000 } : {}) }
  const nodes: OracleProcess[] = []
  try {
    const report = await oracle(
      async (source) => {
        const starts = Array.from({ length: NODES }, async (_, node) => {
          nodes.push(await startOracleProcess(source, { place, options: { storeTimeout, ...options }, env: env(node) }))
        })
        await Promise.all(starts)
        return nodes
      },
      {
        writes: o.reads / READS_PER_WRITE,
        writers: 6,
        ...o,
        ...(during === undefined ? {} : { during: () => during(nodes) }),
      },
    )
    const { reads, loads, writes, stale, refused, failed } = report
    console.log(
      `${place.store}: ${reads} reads, ${Math.round((100 * loads) / reads)} % loaded, ${writes} writes, ${stale} stale, ${refused} refused, ${failed} failed`,
    )
    return report
  } finally {
    await Promise.all(nodes.map(async (node) => node[Symbol.asyncDispose]()))
  }
}

export const someName = (): string => `oracle_${randomBytes(6).toString('hex')}`

/** A schema with the tables of store and log, and one of versions that transactions may change. */
export async function withDatabase<T>(
  databaseUrl: string,
  work: (place: { name: string; databaseUrl: string }, o: Pick<OracleOptions, 'truth'>) => Promise<T>,
): Promise<T> {
  const db = new pg.Pool({ connectionString: databaseUrl })
  db.on('error', () => {})
  const name = someName()
  await migrate(db, [postgresLog(db, { schema: name })])
  await db.query(`create table ${name}.truth (key text primary key, version int not null)`)
  const truth: OracleOptions['truth'] = {
    async read(key) {
      const { rows } = await db.query(`select version from ${name}.truth where key = $1`, [key])
      return rows[0]?.version ?? 0
    },
    advance: () => Promise.reject(new Error('writers commit by themselves')),
  }
  try {
    return await work({ name, databaseUrl }, { truth })
  } finally {
    await db.query(`drop schema ${name} cascade`)
    await db.end()
  }
}

/** The report is shown with its seed when it is not. */
export function isFresh(report: OracleReport): void {
  expect(report).toMatchObject({ stale: 0, examples: [], failed: 0 })
}

/** A cache that never hits is never stale. */
export function isUseful(report: OracleReport): void {
  expect(report.loads / report.reads, JSON.stringify(report)).toBeLessThan(0.6)
}
