import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { startFaultProxy } from '../../../tools/faults/fault-proxy.ts'
import { until } from '../../../tools/servers/until.ts'
import { fileStore } from '../src/file/index.ts'
import { createAudit, generateKey, personal, type AuditStore } from '../src/index.ts'
import { postgresStore } from '../src/postgres/index.ts'
import { openPostgres } from './postgres/open-postgres.ts'

const PATIENCE_MS = 60_000
const key = generateKey('test.example/audit')
const entry = { scope: 'acme', action: 'order.create', actor: { type: 'user', id: 'u_1' } }

/** The shared Postgres behind a proxy, and a spool in a folder. */
async function stage() {
  const opened = await openPostgres()
  const url = new URL(inject('databaseUrl'))
  const proxy = await startFaultProxy({ host: url.hostname, port: Number(url.port || 5432) })
  url.hostname = proxy.host
  url.port = String(proxy.port)
  const pool = new pg.Pool({ connectionString: url.href, max: 4 })
  pool.on('error', () => {})
  const dir = await mkdtemp(join(tmpdir(), 'keelson-spool-'))
  onTestFinished(async () => {
    proxy.pass()
    proxy.resetAll()
    await pool.end()
    await proxy.close()
    await opened[Symbol.asyncDispose]()
    await rm(dir, { recursive: true })
  })
  return { proxy, dir, store: postgresStore(pool, { schema: opened.schema }) as AuditStore }
}

test.each(['frozen', 'refused'] as const)(
  'while the store is %s entries are spooled, and moved once it is back',
  async (how) => {
    const { proxy, dir, store } = await stage()
    await using audit = createAudit({
      store,
      spool: fileStore({ dir, appendTimeout: '60s' }),
      key: key.signer,
      storeTimeout: '5s',
    })
    await audit.start()
    const before = await audit.record(entry)
    expect(before).toMatchObject({ durability: 'tx', spooled: false })

    if (how === 'frozen') proxy.freeze()
    else {
      proxy.refuse()
      proxy.resetAll()
    }
    const during = [await audit.record(entry), await audit.record(entry)]
    expect(during.map(({ durability, spooled }) => [durability, spooled])).toEqual([
      ['fsync', true],
      ['fsync', true],
    ])
    await expect(audit.record(entry, { required: true })).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
    })
    const status = await audit.inspect()
    expect(status).toMatchObject({ state: 'degraded', store: { available: false }, spool: { entries: 2 } })

    proxy.pass()
    if (how === 'frozen') proxy.resetAll()
    await expect.poll(async () => (await audit.inspect()).spool.entries, { timeout: 60_000, interval: 200 }).toBe(0)
    await audit.flush({ timeout: '60s' })
    const { entries } = await audit.query({ scope: 'acme', order: 'asc' })
    expect(entries.map(({ id }) => id)).toEqual([before, ...during].map(({ id }) => id))
  },
  120_000,
)

test('without a spool the caller is told, and emit keeps what it can until the store is back', async () => {
  const { proxy, store } = await stage()
  await using audit = createAudit({ store, key: key.signer, storeTimeout: '5s' })
  await audit.start()
  await audit.record(entry)
  proxy.refuse()
  proxy.resetAll()
  await expect(audit.record(entry)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
  audit.emit({ ...entry, action: 'order.seen' })
  expect(await audit.inspect()).toMatchObject({ state: 'down' })
  proxy.pass()
  await expect
    .poll(
      async () => {
        await audit.flush({ timeout: '60s' }).catch(() => {})
        return (await audit.query({ scope: 'acme', action: 'order.seen' }).catch(() => ({ entries: [] }))).entries
          .length
      },
      { timeout: 60_000, interval: 500 },
    )
    .toBe(1)
}, 120_000)

test('what waits in the spool is erased as well, and is never brought back', async () => {
  const { proxy, dir, store } = await stage()
  const secret = (): string => randomBytes(32).toString('base64')
  const privacy = { secrets: [secret()], pseudonym: secret() }
  await using audit = createAudit({
    store,
    spool: fileStore({ dir, appendTimeout: '60s' }),
    key: key.signer,
    privacy,
    storeTimeout: '5s',
  })
  const personally = { ...entry, data: { name: personal('u_9', 'Ann'), other: personal('u_8', 'Bob') } }
  proxy.refuse()
  proxy.resetAll()
  expect((await audit.record(personally)).spooled).toBe(true)
  proxy.pass()
  await until('the store is back', PATIENCE_MS, async () => (await audit.inspect()).store.available || undefined)
  await audit.eraseSubject('acme', 'u_9', { reason: 'asked by the person' })

  await audit.start()
  await until('the spool is empty', PATIENCE_MS, async () => (await audit.inspect()).spool.entries === 0 || undefined)
  await audit.flush()
  const namesOf = async (subject: string): Promise<unknown[]> => {
    const names: unknown[] = []
    for await (const { data } of audit.exportSubject('acme', subject)) names.push(data)
    return names
  }
  expect([await namesOf('u_9'), await namesOf('u_8')]).toEqual([[{}], [{ other: 'Bob' }]])
  const { entries } = await audit.query({ scope: 'acme', action: 'order.create' })
  expect((await store.keys('main', [entries[0]!.id])).length).toBe(1)
})
