/** Two processes on one folder: one has it, and the other gets it when that one is gone. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, inject, onTestFinished, test } from 'vitest'
import { startWorker, type WorkerProcess } from '../../../../tools/crash/worker-process.ts'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { until } from '../../../../tools/servers/until.ts'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, generateKey, type Audit, type AuditOptions } from '../../src/index.ts'
import { openPostgres } from '../postgres/open-postgres.ts'
import type { Job, Told } from './sharing-worker.ts'

const PATIENCE_MS = 60_000
const ENOUGH = 100
const key = generateKey('test.example/audit')

async function folder(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A process, and all that it has acknowledged. */
async function start(env: Record<string, string>) {
  const worker: WorkerProcess<Job, Told> = await startWorker(new URL('./sharing-worker.ts', import.meta.url), env)
  onTestFinished(() => worker.kill())
  const acked: string[] = []
  let answer = Promise.withResolvers<Told>()
  worker.onMessage((told) => {
    if ('ids' in told) acked.push(...told.ids)
    answer.resolve(told)
    answer = Promise.withResolvers<Told>()
  })
  return {
    pid: worker.pid,
    acked,
    kill: worker.kill,
    send: worker.send,
    async ask(job: Job): Promise<Told> {
      const { promise } = answer
      worker.send(job)
      return promise
    },
  }
}
type Process = Awaited<ReturnType<typeof start>>

const writing = (one: Process): Promise<boolean> => {
  one.send('record for ever')
  return until('it has written', PATIENCE_MS, async () => one.acked.length >= ENOUGH || undefined)
}
const lockedBy = ({ pid }: Process, dir: string): object => ({
  code: 'STORE_LOCKED',
  message: expect.stringMatching(new RegExp(`process ${pid} has ${dir} open`)),
})

/** What is sealed, in its order. */
async function sealedIds(audit: Audit): Promise<string[]> {
  await audit.flush({ timeout: '60s' })
  const ids: string[] = []
  for await (const line of audit.export({ scope: 'acme', action: 'order.create', order: 'asc' })) {
    ids.push((JSON.parse(line) as { event: { id: string } }).event.id)
  }
  expect(await audit.verify()).toMatchObject({ ok: true, coverage: { lost: 0 } })
  return ids
}

function open(o: Pick<AuditOptions, 'store' | 'spool'>): Audit {
  const audit = createAudit({ ...o, key: key.signer, auditReads: 'none', storeTimeout: '30s' })
  onTestFinished(() => audit.close())
  return audit
}

test('a log on files: the second process is told who has the folder, and has it when the first was killed', async () => {
  const dir = await folder()
  const env = { DIR: dir, KEY: key.signer }
  const first = await start(env)
  const second = await start(env)
  await first.ask('start')
  await writing(first)
  // It does not know yet whose the folder is; whoever asks it is told.
  await second.ask('start')
  for (let tries = 0; tries < 3; tries++) expect(await second.ask('record')).toMatchObject(lockedBy(first, dir))
  await first.kill()
  await writing(second)
  await second.kill()
  const ids = await sealedIds(open({ store: fileStore({ dir, appendTimeout: '60s' }) }))
  const there = new Set(ids)
  expect(there.size).toBe(ids.length)
  expect([...first.acked, ...second.acked].filter((id) => !there.has(id))).toEqual([])
})

test('a spool: nothing is taken twice, nothing is lost, and who comes next moves what a dead process has left', async () => {
  const dir = await folder()
  await using opened = await openPostgres()
  const url = new URL(inject('databaseUrl'))
  await using proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port || 5432) })
  url.hostname = proxy.host
  url.port = String(proxy.port)
  const env = { DIR: dir, KEY: key.signer, DATABASE_URL: url.href, SCHEMA: opened.schema }
  const first = await start(env)
  const second = await start(env)
  proxy.refuse()
  await first.ask('start')
  await writing(first)
  await second.ask('start')
  expect(await second.ask('record')).toMatchObject(lockedBy(first, dir))
  await first.kill()
  expect(await second.ask('record')).toMatchObject({ ids: [expect.any(String)] })
  await writing(second)
  // In the middle of moving them.
  proxy.pass()
  await until('the first are moved', PATIENCE_MS, async () => {
    const { rows } = await opened.query(`select count(*)::int as n from ${opened.schema}.audit_entry`)
    return rows[0].n > 0 || undefined
  })
  await second.kill()
  const audit = open({ store: opened.store, spool: fileStore({ dir, appendTimeout: '60s' }) })
  const ids = await sealedIds(audit)
  expect((await audit.inspect()).spool.entries).toBe(0)
  const there = new Set(ids)
  expect(there.size).toBe(ids.length)
  expect([...first.acked, ...second.acked].filter((id) => !there.has(id))).toEqual([])
  await audit.close()
})
