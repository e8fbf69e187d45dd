import pg from 'pg'
import { expect, inject, onTestFinished, test } from 'vitest'
import { migrate, transact } from '@keelson/kernel/postgres'
import { startPgbouncer } from '../../../../tools/servers/pgbouncer.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { fileStore } from '../../src/file/index.ts'
import { createAudit, personal, type AuditOptions } from '../../src/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { openPostgres } from '../postgres/open-postgres.ts'
import { entry, folder, key, open, privacy } from './stage.ts'

const patient = { key: key.signer, privacy, storeTimeout: '5s' } satisfies Partial<AuditOptions>

async function stage() {
  const opened = await openPostgres()
  onTestFinished(() => opened[Symbol.asyncDispose]())
  return opened
}

/** Connections of another kind to the same database. */
function poolOf(config: pg.PoolConfig): pg.Pool {
  const pool = new pg.Pool({ max: 6, ...config })
  pool.on('error', () => {})
  onTestFinished(() => pool.end())
  return pool
}

test('a server that only reads, as a standby does, is one that is away: entries are spooled', async () => {
  const { schema } = await stage()
  const pool = poolOf({ connectionString: inject('databaseUrl'), options: '-c default_transaction_read_only=on' })
  const store = postgresStore(pool, { schema })
  await expect(open({ ...patient, store }).record(entry)).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringContaining('25006'),
    retryable: true,
  })
  const spooling = open({ ...patient, store, spool: fileStore({ dir: await folder(), appendTimeout: '60s' }) })
  expect(await spooling.record(entry)).toMatchObject({ spooled: true })
})

test('a statement that the server cancels is no answer; in a transaction of the caller its error stays as it is', async () => {
  const { schema, pool: admin } = await stage()
  const pool = poolOf({ connectionString: inject('databaseUrl'), options: '-c statement_timeout=500' })
  const log = open({ ...patient, store: postgresStore(pool, { schema }) })
  const blocking = await admin.connect()
  try {
    await blocking.query(`begin; lock table ${schema}.audit_entry in access exclusive mode`)
    await expect(log.record(entry)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
    const inTransaction = transact(pool, async (tx) => ({ value: await log.record(entry, { tx }) }))
    await expect(inTransaction).rejects.toMatchObject({ code: '57014' })
  } finally {
    await blocking.query('rollback')
    blocking.release()
  }
})

test('a role writes with what the README grants it, and can change nothing', async () => {
  const { schema, pool: admin } = await stage()
  const role = `app_${schema}`
  await admin.query(`create role ${role} login`)
  await admin.query(`grant usage on schema ${schema} to ${role};
    grant select, insert on ${schema}.audit_entry to ${role}; grant insert on ${schema}.audit_key to ${role};
    grant usage on sequence ${schema}.audit_seq to ${role}`)
  const url = new URL(inject('databaseUrl'))
  url.username = role
  try {
    const pool = new pg.Pool({ connectionString: url.href, max: 2 })
    const log = createAudit({ ...patient, store: postgresStore(pool, { schema }) })
    const { id } = await log.record({ ...entry, at: 5 })
    await log.record({ ...entry, at: 5, id })
    await log.record({ ...entry, data: { name: personal('u_9', 'Ann') } })
    for (const sql of ['delete from', 'truncate', `update`]) {
      const what = sql === 'update' ? `update ${schema}.audit_entry set body = body` : `${sql} ${schema}.audit_entry`
      await expect(pool.query(what)).rejects.toMatchObject({ code: '42501' })
    }
    await expect(pool.query(`select * from ${schema}.audit_key`)).rejects.toMatchObject({ code: '42501' })
    await log.close()
    await pool.end()
  } finally {
    await admin.query(`drop owned by ${role}`)
    await admin.query(`drop role ${role}`)
  }
})

test('two logs of one database, behind a pgbouncer, with savepoints', async () => {
  const { hostname, port, username, pathname } = new URL(inject('databaseUrl'))
  const database = pathname.slice(1)
  const bouncer = await startPgbouncer({ host: hostname, port: Number(port || 5432), user: username, database })
  onTestFinished(() => bouncer[Symbol.asyncDispose]())
  const { schema } = await stage()
  const pool = poolOf({ connectionString: bouncer.url, max: 10 })
  const store = postgresStore(pool, { schema })
  const [main, other] = ['main', 'other'].map((log) => open({ ...patient, store, log }))
  await Promise.all([main!.start(), other!.start()])
  await Promise.all(Array.from({ length: 200 }, (_, i) => (i % 2 === 0 ? main! : other!).record(entry)))
  await transact(pool, async (tx) => {
    await tx.query('savepoint a')
    await main!.record({ ...entry, action: 'savepoint.lost' }, { tx })
    await tx.query('rollback to savepoint a')
    await tx.query('savepoint b')
    await main!.record({ ...entry, action: 'savepoint.kept' }, { tx })
    await tx.query('release savepoint b')
    return { value: undefined, effects: [main!, other!].map((log) => log.entry({ ...entry, action: 'both.done' })) }
  })
  for (const log of [main!, other!]) {
    await log.flush()
    expect(await log.verify()).toMatchObject({ ok: true, size: log === main ? 102 : 101 })
  }
  const { entries } = await main!.query({ scope: 'acme', action: 'savepoint.*' })
  expect(entries.map(({ action }) => action)).toEqual(['savepoint.kept'])
}, 120_000)

test('connections that are killed, again and again, lose nothing that was accepted', async () => {
  await using server = await startPostgres()
  const pool = poolOf({ connectionString: server.url, max: 10 })
  const admin = poolOf({ connectionString: server.url, max: 1 })
  const store = postgresStore(pool)
  await migrate(pool, [store])
  const log = open({ ...patient, store })
  await log.start()
  const accepted: string[] = []
  const over = new AbortController()
  const writers = Array.from({ length: 8 }, async () => {
    while (!over.signal.aborted) {
      await log.record(entry).then(
        ({ id }) => accepted.push(id),
        (error: unknown) => expect(error).toMatchObject({ code: 'STORE_UNAVAILABLE' }),
      )
      await new Promise((resolve) => setImmediate(resolve))
    }
  })
  for (let round = 1; round <= 8; round++) {
    await expect.poll(() => accepted.length, { timeout: 30_000, interval: 20 }).toBeGreaterThan(round * 20)
    await admin.query(`select pg_terminate_backend(pid) from pg_stat_activity
      where pid <> pg_backend_pid() and datname = current_database()`)
  }
  over.abort()
  await Promise.all(writers)
  await expect
    .poll(
      async () =>
        log.flush().then(
          () => true,
          () => false,
        ),
      { timeout: 30_000 },
    )
    .toBe(true)
  const sealed = new Set<string>()
  for await (const line of log.export({ scope: 'acme' }))
    sealed.add((JSON.parse(line) as { event: { id: string } }).event.id)
  expect(accepted.filter((id) => !sealed.has(id))).toEqual([])
  expect(await log.verify()).toMatchObject({ ok: true })
  await log.close()
}, 120_000)
