import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { isKeelsonError, uuidv7 } from '@keelson/kernel'
import { transact } from '@keelson/kernel/postgres'
import { elasticsearchSink } from '../../src/elasticsearch/index.ts'
import { fileStore } from '../../src/file/index.ts'
import { createAudit } from '../../src/index.ts'
import { jsonlSink } from '../../src/jsonl/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'

/** Records, seals and ships until it is killed; tells what was acknowledged. */
const { DIR, KEY, SIEM, LINES, DATABASE_URL, SCHEMA } = process.env as Record<string, string>
const pool = DATABASE_URL === undefined ? undefined : new pg.Pool({ connectionString: DATABASE_URL, max: 6 })
const store =
  pool === undefined ? fileStore({ dir: DIR!, appendTimeout: '60s' }) : postgresStore(pool, { schema: SCHEMA! })
const audit = createAudit({
  store,
  key: KEY!,
  checkpoint: { interval: 20 },
  sinks: [
    elasticsearchSink({ url: SIEM!, flush: 10, maxBatchEntries: 25, timeout: '300ms' }),
    jsonlSink({ path: LINES!, flush: 10, maxBatchEntries: 25, timeout: '300ms' }),
  ],
  storeTimeout: '30s',
})
await audit.start()

/** As a client does it: a journal that a busy machine keeps waiting is asked again, for the same entry. */
async function accepted(ask: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await ask()
      return
    } catch (error) {
      if (!isKeelsonError(error, 'STORE_UNAVAILABLE')) throw error
      await sleep(50)
    }
  }
}

async function write(writer: number): Promise<never> {
  for (let n = 0; ; n++) {
    const actor = { type: 'user', id: `u_${writer}` }
    const entry = { id: uuidv7(), at: Date.now(), scope: 'acme', action: 'order.create', actor, data: { n } }
    if (pool === undefined || n % 2 === 0) await accepted(() => audit.record(entry))
    else await accepted(() => transact(pool, async () => ({ value: undefined, effects: [audit.entry(entry)] })))
    process.send!({ acked: [entry.id] })
  }
}
await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)))
