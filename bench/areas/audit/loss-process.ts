/**
 * An application that logs until it is killed, ends, or is told to finish. It says which numbers were accepted. Every
 * logger may keep an entry for `FLUSH_MS`, so that no default decides.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { createAudit, type AuditStore } from '@keelson/audit'
import { elasticsearchSink } from '@keelson/audit/elasticsearch'
import { fileStore } from '@keelson/audit/file'
import { postgresStore } from '@keelson/audit/postgres'
import { Pool } from 'pg'
import { inputOf } from './entry.ts'
import { bulkHelper, openTelemetry, pinoElasticsearch, winstonElasticsearch, type Logger } from './peers.ts'

/** What the application is: a journal of ours, or a peer. */
export type LoggerKind = 'files' | 'Postgres' | 'helper' | 'pino' | 'winston' | 'otel'

/** What it is told. `finish`: logs no more and ends as its logger's documents say. */
export type LossQuestion = { readonly kind: 'finish' } | { readonly kind: 'exit' }

/** What it tells. `buried`: entries that are kept as dead letters, at the end. */
export type LossAnswer =
  | { readonly kind: 'accepted'; readonly n: number }
  | { readonly kind: 'ready' }
  | { readonly kind: 'finished'; readonly buried: number }

const FLUSH_MS = 100
const EVERY_MS = 20
/** At each turn: 250 a second. */
const TURN = 5

const PEERS = { helper: bulkHelper, pino: pinoElasticsearch, winston: winstonElasticsearch, otel: openTelemetry }

const [kind, url, place, key, logs] = process.argv.slice(2) as [LoggerKind, string, string, string, 'logs' | 'rests']
const tell = (answer: LossAnswer): void => void process.send!(answer)

interface Running extends Logger {
  buried?(): Promise<number>
}

async function openKeelson(): Promise<Running> {
  const [databaseUrl, schema] = place.split(' ')
  const pool = kind === 'Postgres' ? new Pool({ connectionString: databaseUrl!, max: 8 }) : undefined
  const store: AuditStore = pool === undefined ? fileStore({ dir: place }) : postgresStore(pool, { schema: schema! })
  const audit = createAudit({
    store,
    key,
    sinks: [elasticsearchSink({ url, flush: FLUSH_MS, timeout: '1s' })],
    checkpoint: { interval: FLUSH_MS },
    storeTimeout: '10s',
  })
  await audit.start()
  return {
    log: (n) => audit.record(inputOf(n)),
    // What an application does that wants to know; one that is simply stopped goes on with it at its next start.
    flush: () => audit.flush({ to: 'shipped', timeout: '5m' }),
    buried: async () => (await audit.deadLetters.list({ limit: 1_000 })).items.length,
    async end() {
      await audit.close()
      await pool?.end()
    },
  }
}

const logger: Running = kind in PEERS ? PEERS[kind as keyof typeof PEERS](url, FLUSH_MS) : await openKeelson()

let isOver = logs === 'rests'
let n = 0
async function logAll(): Promise<void> {
  while (!isOver) {
    await Promise.all(
      Array.from({ length: TURN }, async () => {
        const own = n++
        await logger.log(own)
        tell({ kind: 'accepted', n: own })
      }),
    )
    await sleep(EVERY_MS)
  }
}
const logging = logAll()

process.on('message', async ({ kind }: LossQuestion) => {
  if (kind === 'exit') process.exit(0)
  isOver = true
  await logging
  await logger.flush?.()
  const buried = (await logger.buried?.()) ?? 0
  await logger.end()
  tell({ kind: 'finished', buried })
  process.disconnect()
})
tell({ kind: 'ready' })
