import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, onTestFinished, test } from 'vitest'
import { until } from '../../../../tools/servers/until.ts'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, generateKey, type Audit, type AuditStore, type Sink } from '../../src/index.ts'
import { openPostgres } from '../postgres/open-postgres.ts'
import { cli } from './run-cli.ts'

const { signer } = generateKey('acme.example/prod')

/** Refuses all, until it is repaired. */
function sink(): Sink & { broken: boolean; had: string[] } {
  const siem: ReturnType<typeof sink> = {
    name: 'siem',
    ordered: false,
    maxBatchBytes: 1_000_000,
    maxBatchEntries: 10,
    flushMs: 0,
    timeoutMs: 10_000,
    broken: true,
    had: [],
    async deliver({ entries }) {
      if (siem.broken) return entries.map(() => ({ reject: 'no such\nfield' }))
      siem.had.push(...entries.map(({ id }) => id))
      return entries.map(() => 'ok')
    },
  }
  return siem
}

async function buried(store: AuditStore, siem: Sink): Promise<{ audit: Audit; ids: string[] }> {
  const audit = createAudit({
    store,
    key: signer,
    sinks: [siem],
    storeTimeout: '30s',
    checkpoint: { heartbeat: false },
  })
  const ids: string[] = []
  for (let i = 0; i < 3; i++) {
    ids.push((await audit.record({ scope: 'acme', action: 'user.update', actor: { type: 'user', id: 'u_17' } })).id)
  }
  await audit.start()
  await audit.flush({ to: 'shipped' })
  return { audit, ids }
}

test('those of Postgres are listed, given up, and delivered again by who runs', async () => {
  await using server = await openPostgres()
  const siem = sink()
  const { audit, ids } = await buried(server.store, siem)
  const place = ['--database-url', inject('databaseUrl'), '--schema', server.schema]

  const { code, out } = await cli(['dead-letters', 'list', ...place])
  expect(code).toBe(0)
  expect(out.trimEnd().split('\n')).toEqual(
    ids.map((id, i) => expect.stringMatching(new RegExp(`^siem  ${i}  ${id}  \\S+Z  no such field$`))),
  )

  siem.broken = false
  const given = await cli(['dead-letters', 'discard', ids[1]!, '--reason', 'the index is gone', ...place])
  expect(given).toMatchObject({ code: 0, out: '1 discarded\n' })
  const listed = await cli(['dead-letters', 'list', '--json', '--sink', 'siem', ...place])
  const left = listed.out.trimEnd().split('\n')
  expect(left.map((line) => (JSON.parse(line) as { id: string }).id)).toEqual([ids[0], ids[2]])

  const again = await cli(['dead-letters', 'replay', '--all', ...place])
  expect(again).toMatchObject({ code: 0, out: '2 will be delivered again\n' })
  await until(
    'both are delivered',
    60_000,
    async () => [ids[0], ids[2]].every((id) => siem.had.includes(id!)) || undefined,
  )
  await audit.flush()
  const { entries } = await audit.query({ scope: 'keelson', action: 'audit.dead_letters.discarded' })
  expect(entries).toMatchObject([{ reason: 'the index is gone', data: { ids: [ids[1]] } }])
  await audit.close()
})

test('those of a folder are listed beside the process that has it, and changed behind it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-cli-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  const { audit, ids } = await buried(fileStore({ dir, appendTimeout: '1m' }), sink())
  expect((await cli(['dead-letters', 'list', '--dir', dir])).out).toContain(ids[2])
  const refused = await cli(['dead-letters', 'replay', '--all', '--dir', dir])
  expect(refused).toMatchObject({ code: 2, err: expect.stringContaining(`process ${process.pid} has`) })
  await audit.close()
  const replayed = await cli(['dead-letters', 'replay', ids[0]!, '--dir', dir, '--json'])
  expect(replayed).toMatchObject({ code: 0, out: '{"replayed":1}\n' })
})
