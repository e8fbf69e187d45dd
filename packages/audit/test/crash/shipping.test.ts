import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, onTestFinished, test } from 'vitest'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, generateKey, type AuditStore } from '../../src/index.ts'
import { elasticsearchSink } from '../../src/elasticsearch/index.ts'
import { jsonlSink } from '../../src/jsonl/index.ts'
import { openPostgres } from '../postgres/open-postgres.ts'
import { startElasticsearch } from '../sinks/fake-elasticsearch.ts'

const LONG = process.env['LONG'] === '1'
const KILLS = LONG ? 1_000 : 40
const key = generateKey('test.example/audit')

interface Opened {
  readonly env: Record<string, string>
  store(): AuditStore
}

const journals: Record<string, (dir: string) => Promise<Opened>> = {
  files: async (dir) => ({ env: {}, store: () => fileStore({ dir, appendTimeout: '60s' }) }),
  async Postgres() {
    const opened = await openPostgres()
    onTestFinished(() => opened[Symbol.asyncDispose]())
    return { env: { DATABASE_URL: inject('databaseUrl'), SCHEMA: opened.schema }, store: () => opened.store }
  },
}

/** What a sink does wrong meanwhile, in turn. */
const FAULTS = [
  { kind: 'lost' },
  { kind: 'items', items: { 0: { status: 429, type: 'busy' }, 3: { status: 503, type: 'unavailable' } } },
  { kind: 'status', status: 503 },
  { kind: 'short' },
] as const

test.each(Object.entries(journals))(
  `on %s: killed ${KILLS} times under a SIEM with faults, what was acknowledged is there, sealed, and shipped once`,
  async (_, open) => {
    const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    const { env, store } = await open(join(dir, 'journal'))
    await using siem = await startElasticsearch()
    const lines = join(dir, 'audit.jsonl')
    const all = { DIR: join(dir, 'journal'), KEY: key.signer, SIEM: siem.url, LINES: lines, ...env }
    const acked = new Set<string>()
    for (let kill = 0; kill < KILLS; kill++) {
      const worker = await startWorker<never, { acked: readonly string[] }>(
        new URL('./shipping-worker.ts', import.meta.url),
        all,
      )
      siem.faults.push(FAULTS[kill % FAULTS.length]!)
      const enough = Promise.withResolvers<void>()
      const after = acked.size + 30 + ((kill * 37) % 90)
      worker.onMessage((told) => {
        for (const id of told.acked) acked.add(id)
        if (acked.size >= after) enough.resolve()
      })
      await Promise.race([enough.promise, worker.ended.then((how) => expect(how).toBe('SIGKILL'))])
      await worker.kill()
    }

    await using audit = createAudit({
      store: store(),
      key: key.signer,
      sinks: [elasticsearchSink({ url: siem.url, flush: 0 }), jsonlSink({ path: lines, flush: 0 })],
      storeTimeout: '30s',
    })
    await audit.start()
    // The last worker's lease on the cursors ends by itself.
    await audit.flush({ to: 'shipped', timeout: '120s' })
    const verdict = await audit.verify()
    expect(verdict).toMatchObject({ ok: true, problems: [] })

    const sent = [...siem.documents.values()].map((document) => seen(document))
    expect(sent.toSorted((a, b) => a.index - b.index).map(({ index }) => index)).toEqual(indexes(verdict.size))
    const ids = new Set(sent.map(({ id }) => id))
    expect([...acked].filter((id) => !ids.has(id))).toEqual([])
    const inFile = (await readFile(lines, 'utf8')).trim().split('\n').map(seen)
    expect(inFile.map(({ index }) => index)).toEqual(indexes(verdict.size))
    expect((await audit.deadLetters.list()).items).toEqual([])
    expect(acked.size).toBeGreaterThan(KILLS * 30)
  },
  LONG ? 6 * 3_600_000 : 600_000,
)

const indexes = (size: number): number[] => Array.from({ length: size }, (_, i) => i)

function seen(document: string): { readonly id: string; readonly index: number } {
  const { event, seal } = JSON.parse(document) as { event: { id: string }; seal: { index: number } }
  return { id: event.id, index: seal.index }
}
