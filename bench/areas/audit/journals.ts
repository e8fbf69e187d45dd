import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createAudit, generateKey, type Audit, type AuditOptions, type AuditStore } from '@keelson/audit'
import { fileStore } from '@keelson/audit/file'
import { postgresStore } from '@keelson/audit/postgres'
import { migrate, transact } from '@keelson/kernel/postgres'
import type { Pool } from 'pg'
import { openPool } from '../../src/postgres-pool.ts'
import type { Services } from '../../src/services.ts'
import { inputOf } from './entry.ts'

export type Kind = 'files' | 'Postgres'

/** A journal with nothing in it; each `store()` is the same one opened again, which its audit log closes. */
export interface Journal {
  readonly kind: Kind
  /** Of a file store. */
  readonly dir: string
  /** Of a Postgres store. */
  readonly schema: string
  readonly pool: Pool | undefined
  store(): AuditStore
  remove(): Promise<void>
}

const KEY = generateKey('bench.example/audit').signer
let names = 0
/** Of a schema that nobody else has. */
export const newSchema = ({ id }: Services): string => `${id}_audit_${names++}`

export async function newJournal(kind: Kind, services: Services): Promise<Journal> {
  if (kind === 'files') {
    const dir = await newDir()
    return {
      kind,
      dir,
      schema: '',
      pool: undefined,
      store: () => fileStore({ dir, maxBytes: 64 * 2 ** 30 }),
      remove: () => rm(dir, { recursive: true }),
    }
  }
  const schema = newSchema(services)
  const { pool, close } = await openPool(await services.databaseUrl(), schema, 8)
  await migrate(pool, [postgresStore(pool, { schema })])
  return { kind, dir: '', schema, pool, store: () => postgresStore(pool, { schema }), remove: close }
}

/** On a disk, as far as the system's folder for such is. */
export const newDir = (): Promise<string> => mkdtemp(join(tmpdir(), 'keelson-bench-audit-'))

/** A log over it. A machine that is slow is no outage. */
export const openAudit = (journal: Journal, o: Partial<AuditOptions> = {}): Audit =>
  createAudit({ store: journal.store(), key: KEY, storeTimeout: '1m', ...o })

const FILL = 5_000

/** So many entries, as fast as they can be made durable. */
export async function fill(journal: Journal, entries: number): Promise<void> {
  await using audit = openAudit(journal)
  for (let from = 0; from < entries; from += FILL) {
    const inputs = Array.from({ length: Math.min(FILL, entries - from) }, (_, i) => inputOf(from + i))
    const { pool } = journal
    if (pool === undefined) await Promise.all(inputs.map((input) => audit.record(input)))
    else {
      await transact(pool, async () => ({ value: undefined, effects: inputs.map((input) => audit.entry(input)) }))
    }
  }
}

/** `callers` that record one entry after the other until the numbers from `from` to `to` are used up. */
export async function recordAll(audit: Audit, callers: number, from: number, to: number): Promise<void> {
  let n = from
  const caller = async (): Promise<void> => {
    while (n < to) await audit.record(inputOf(n++))
  }
  await Promise.all(Array.from({ length: callers }, caller))
}
