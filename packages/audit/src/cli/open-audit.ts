import { access } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { DatabaseLike } from '@keelson/kernel/postgres'
import type { Audit, AuditStore } from '../index.ts'
import { Failure } from './failure.ts'
import type { StorePlace } from './place.ts'

/** A log as commands have it. */
export interface OpenAudit extends AsyncDisposable {
  readonly audit: Audit
  /** In errors: "the log 'main' in ./audit". */
  readonly title: string
}

/** Of nobody who waits for an answer. */
const TIMEOUT = '1m'
const CONNECTIONS = 2

/** What a pool of pg is to us. */
type Pool = DatabaseLike & { on(event: 'error', listener: () => void): unknown; end(): Promise<void> }

/**
 * Opens a log. Without `write` nothing of a folder is changed, and it may be another process's: that one goes on.
 * `recorded`: exports become entries.
 */
export async function openAudit(
  place: StorePlace,
  o: { readonly write: boolean; readonly recorded?: boolean },
): Promise<OpenAudit> {
  const { createAudit } = await import('../index.ts')
  const { log } = place
  const { store, close } = place.kind === 'dir' ? await openFolder(place, o.write) : await openPostgres(place)
  const audit = createAudit({
    store,
    log,
    // Nothing is signed here.
    key: () => [],
    auditReads: o.recorded === true ? 'exports' : 'none',
    storeTimeout: TIMEOUT,
  })
  return {
    audit,
    title: `the log '${log}' ${place.kind === 'dir' ? `in ${place.dir}` : `in the schema '${place.schema}'`}`,
    async [Symbol.asyncDispose]() {
      await audit.close()
      await close()
    },
  }
}

interface OpenStore {
  readonly store: AuditStore
  close(): Promise<void>
}

async function openFolder({ dir }: StorePlace & { kind: 'dir' }, write: boolean): Promise<OpenStore> {
  await access(dir).catch(() => {
    throw new Failure(`--dir: there is no folder '${dir}'`)
  })
  const { fileStore } = await import('../file/index.ts')
  return { store: fileStore({ dir, readOnly: !write, appendTimeout: TIMEOUT }), async close() {} }
}

async function openPostgres({ url, schema }: StorePlace & { kind: 'postgres' }): Promise<OpenStore> {
  const { postgresStore } = await import('../postgres/index.ts')
  const { Pool } = await importPg()
  const pool = new Pool({ connectionString: url, max: CONNECTIONS, application_name: 'keelson-audit' })
  // pg tells here that an idle connection has died; the next call says so itself.
  pool.on('error', () => {})
  return { store: postgresStore(pool, { schema }), close: () => pool.end() }
}

/** The user's own driver, of the project in whose folder the command runs; else one beside this package. */
async function importPg(): Promise<{ readonly Pool: new (options: object) => Pool }> {
  for (const base of [join(process.cwd(), 'package.json'), import.meta.url]) {
    try {
      const path = createRequire(base).resolve('pg')
      const found = (await import(pathToFileURL(path).href)) as { default: { Pool: new (options: object) => Pool } }
      return found.default
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  throw new Failure("the driver 'pg' is needed for a Postgres and is not installed here: npm install pg")
}
