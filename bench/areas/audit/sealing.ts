import { hash } from 'node:crypto'
import { globSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import type { Audit } from '@keelson/audit'
import type { Pool } from 'pg'
import type { Case, Contender } from '../../src/case.ts'
import { cpuTimeUs } from '../../src/cpu-time.ts'
import type { Services } from '../../src/services.ts'
import { fill, newJournal, openAudit, type Journal, type Kind } from './journals.ts'

const ROWS = process.env['LONG'] === '1' ? 1_000_000 : 20_000
const PAGE = 2_000
const CHUNK_BYTES = 4 << 20

const ours = (kind: Kind): string => `keelson, ${kind}`
const byHand = (kind: Kind): string => `read and hashed by hand, ${kind}`

/** What the tree costs over reading and hashing what it is made of. */
export function sealing(services: Services): Case[] {
  const contender = (name: string, kind: Kind, work: (journal: Journal) => Promise<number>): Contender => ({
    name,
    open: () => ({
      async run() {
        const journal = await newJournal(kind, services)
        await fill(journal, ROWS)
        const beganUs = cpuTimeUs()
        const tookMs = await work(journal)
        const spentUs = cpuTimeUs() - beganUs
        await journal.remove()
        return { 'per s': (ROWS / tookMs) * 1_000, 'main thread us': spentUs / ROWS }
      },
    }),
  })
  const cases = (name: string, atLeast: number, work: (journal: Journal) => Promise<number>): Case => ({
    name: `${name} of ${ROWS} entries`,
    base: byHand('Postgres'),
    runMs: 1,
    contenders: [
      contender(ours('Postgres'), 'Postgres', work),
      contender(byHand('Postgres'), 'Postgres', (journal) => timed(() => readPostgres(journal.pool!))),
      contender(ours('files'), 'files', work),
      contender(byHand('files'), 'files', (journal) => timed(() => readFiles(journal.dir))),
    ],
    targets: (['Postgres', 'files'] as const).map((kind) => {
      return { of: ours(kind), figure: 'per s', over: byHand(kind), atLeast }
    }),
  })
  return [cases('sealing', 0.65, seal), cases('verify', 0.5, verify)]
}

const seal = async (journal: Journal): Promise<number> => {
  await using audit = openAudit(journal)
  return await timed(() => audit.flush({ timeout: '1h' }))
}

async function verify(journal: Journal): Promise<number> {
  await using audit: Audit = openAudit(journal)
  await audit.flush({ timeout: '1h' })
  return await timed(async () => {
    const { ok, size } = await audit.verify()
    if (!ok || size !== ROWS) throw new Error(`verify: ${size} entries, ${ok ? 'ok' : 'broken'}`)
  })
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const beganMs = performance.now()
  await work()
  return performance.now() - beganMs
}

const scratch = Buffer.alloc(65_536)

/** SHA-256(0x00 || bytes) */
function hashed(bytes: Uint8Array): string {
  scratch.set(bytes, 1)
  return hash('sha256', scratch.subarray(0, 1 + bytes.length), 'binary')
}

/** Pages by the primary key; ids grow. */
async function readPostgres(pool: Pool): Promise<void> {
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const { rows } = await pool.query<{ id: string; body: Buffer }>({
      name: 'page',
      text: `select id, body from audit_entry where log = 'main' and id > $1 order by id limit ${PAGE}`,
      values: [after],
    })
    for (const { body } of rows) hashed(body)
    if (rows.length < PAGE) return
    after = rows.at(-1)!.id
  }
}

/** Segments in their order: a length, 44 bytes that are none of the entry's, the entry, filled up to 8. */
async function readFiles(dir: string): Promise<void> {
  let count = 0
  for (const path of globSync(join(dir, '**/*.seg')).toSorted()) {
    const file = await open(path)
    const chunk = Buffer.alloc(CHUNK_BYTES)
    for (let at = 0; ;) {
      const { bytesRead } = await file.read(chunk, 0, chunk.length, at)
      let used = 0
      while (used + 16 <= bytesRead) {
        const length = chunk.readUInt32LE(used)
        const next = used + ((16 + length + 7) & ~7)
        if (length === 0 || next > bytesRead) break
        hashed(chunk.subarray(used + 48, used + 16 + length))
        count++
        used = next
      }
      if (used === 0) break
      at += used
    }
    await file.close()
  }
  if (count !== ROWS) throw new Error(`${count} entries were read`)
}
