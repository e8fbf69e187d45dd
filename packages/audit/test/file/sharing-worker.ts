import pg from 'pg'
import { KeelsonError } from '@keelson/kernel'
import { fileStore } from '../../src/file/index.ts'
import { createAudit } from '../../src/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'

/** What it is told to do, and what it answers. */
export type Job = 'start' | 'record' | 'record for ever'
export type Told = { readonly ids: readonly string[] } | { readonly code: string; readonly message: string }

/** A process with a log on a folder, or one that spools into it. */
const { DIR = '', KEY = '', DATABASE_URL, SCHEMA = '' } = process.env
const folder = fileStore({ dir: DIR, appendTimeout: '60s' })
const pool = DATABASE_URL === undefined ? undefined : new pg.Pool({ connectionString: DATABASE_URL, max: 4 })
pool?.on('error', () => {})
const stores =
  pool === undefined ? { store: folder } : { store: postgresStore(pool, { schema: SCHEMA }), spool: folder }
const audit = createAudit({ ...stores, key: KEY, storeTimeout: '10s' })

async function record(): Promise<void> {
  const actor = { type: 'user', id: `p_${process.pid}` }
  const { id } = await audit.record({ scope: 'acme', action: 'order.create', actor })
  process.send!({ ids: [id] } satisfies Told)
}

const jobs: Record<Job, () => Promise<unknown>> = {
  async start() {
    await audit.start()
    process.send!({ ids: [] } satisfies Told)
  },
  record,
  async 'record for ever'() {
    const writer = async (): Promise<never> => {
      for (;;) await record()
    }
    await Promise.all(Array.from({ length: 8 }, writer))
  },
}

process.on('disconnect', () => process.exit())
process.on('message', (job: Job) => {
  jobs[job]().catch((error: unknown) => {
    if (!(error instanceof KeelsonError)) throw error
    process.send!({ code: error.code, message: error.message } satisfies Told)
  })
})
process.send!({ ready: true })
