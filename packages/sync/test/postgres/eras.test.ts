import { execFile } from 'node:child_process'
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { startPostgres, type PostgresServer } from '../../../../tools/servers/postgres.ts'
import { until } from '../../../../tools/servers/until.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { ann, openDevice, openSync } from '../open-sync.ts'
import { openPostgres } from './open-postgres.ts'
import { aChange, aDelete, aDevice, aHolder, pullAll } from './steps.ts'

const PATIENCE_MS = 120_000
const run = promisify(execFile)
const set = { team: '1', title: 'Call', done: false }

async function dataOf(url: string): Promise<string> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ data_directory: string }>('show data_directory')
  await client.end()
  return rows[0]!.data_directory
}

/** What a server has on disk at this moment, as the disk of another one. */
async function copyOf(server: PostgresServer): Promise<PostgresServer> {
  const copy = await startPostgres({ settings: { restore_command: 'false' } })
  const [from, to] = [await dataOf(server.url), await dataOf(copy.url)]
  await copy.kill()
  await rm(to, { recursive: true })
  server.freeze()
  await run('cp', ['-a', from, to]).finally(() => server.thaw())
  await rm(join(to, 'postmaster.pid'))
  return copy
}

test('a copy of the data directory: restored it begins an era of its own, as it is one that it is told to', async () => {
  await using server = await startPostgres()
  await using opened = await openPostgres(server.url)
  const sync = openSync({ store: opened.store })
  const device = openDevice(sync, ann, 'd1')
  const [early, late] = ['t1', 't2'].map((id) => device.op(id, 'put', { set }))
  await device.push(early!)
  await device.pull()
  await using copy = await copyOf(server)
  await device.push(late!)
  await device.pull()
  const lost = device.cursor

  await copy.restart()
  const pool = new pg.Pool({ connectionString: copy.url })
  pool.on('error', () => {})
  const there = openSync({ store: postgresStore(pool, { schema: opened.schema, storeTimeout: '30s' }) })
  const pull = (cursor: string | null) => there.pull(ann, { v: 1, cursor })
  const idsOf = ({ changes }: Awaited<ReturnType<typeof pull>>) =>
    changes['task']!.created.map(({ id }) => id).toSorted()
  const otherEra = { code: 'EPOCH_CHANGED' }
  const again = openDevice(there, ann, 'd2')

  // It is ahead of the copy, until that has come as far: then nothing but the era tells.
  await expect(pull(lost)).rejects.toMatchObject(otherEra)
  expect(await there.rebase()).toEqual({ era: 2 })
  for (let i = 0; i < 20; i++) await again.push(again.op(`more${i}`, 'put', { set }))
  await expect(pull(lost)).rejects.toMatchObject(otherEra)
  const first = await pull(null)
  expect(idsOf(first)).toEqual([...Array.from({ length: 20 }, (_, i) => `more${i}`), 't1'].toSorted())

  // Recovered from an archive it says so by itself: its log has another timeline.
  await writeFile(join(await dataOf(copy.url), 'recovery.signal'), '')
  await copy.restart()
  await until('the copy has recovered', PATIENCE_MS, async () => {
    const { rows } = await pool.query('select pg_is_in_recovery() as is').catch(() => ({ rows: [{ is: true }] }))
    return rows[0].is ? undefined : true
  })
  await expect(pull(first.cursor)).rejects.toMatchObject(otherEra)
  expect((await there.inspect()).era).toBe(3)
  // What the device has kept is applied once, here as there.
  const client = { v: 1 as const, client: 'd1', ops: [early!, late!] }
  expect((await there.push(ann, client)).results).toMatchObject([
    { status: 'applied', replay: true },
    { status: 'applied' },
  ])
  expect(idsOf(await pull(null))).toEqual([...idsOf(first), 't2'].toSorted())
  await there.close()
  await pool.end()
})

test('rows that came without their history: pushes go on, nobody misses one, and who is told no is told why', async () => {
  await using opened = await openPostgres(undefined, { storeTimeout: '5s' })
  const { pool, schema, store } = opened
  const sync = openSync({ store })
  const scope = 'acme/team:1'
  const names = Array.from({ length: 500 }, (_, i) => `r${i}`)
  await store.change(
    names.map((id) => aChange(scope, id, set)),
    'n1',
  )
  const old = await sync.pull(ann, { v: 1, cursor: null })
  await pool.query(`update ${schema}.sync_record set tx = '99999999999', created_tx = '99999999999'`)
  await pool.query(`update ${schema}.sync_record set tx = pg_current_xact_id() where id = 'r7'`)
  await pool.query(`update ${schema}.sync_meta set here = 'another'`)
  await using holder = await aHolder(inject('databaseUrl'))
  await holder.query(`select from ${schema}.sync_record where id = 'r8' for update`)

  await expect(sync.pull(ann, { v: 1, cursor: old.cursor })).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    message: expect.stringContaining('a new era begins'),
  })
  const device = openDevice(sync, ann, 'd1')
  expect(await device.push(device.op('r1', 'patch', { set: { title: 'x' } }))).toMatchObject([{ status: 'applied' }])
  expect((await sync.inspect()).state).toBe('ok')
  await holder.query('rollback')
  await until('the new era begins', PATIENCE_MS, async () => {
    const answer = await sync.pull(ann, { v: 1, cursor: old.cursor }).catch((error: { code: string }) => error.code)
    return answer === 'EPOCH_CHANGED' || undefined
  })
  const seen = aDevice()
  expect((await pullAll(store, seen, [scope], 77)).toSorted()).toEqual(names.toSorted())
  // As old as the device knows it to be: its end is told.
  await store.change([aDelete(scope, 'r7'), aDelete(scope, 'r8')], 'n1')
  expect((await pullAll(store, seen, [scope])).toSorted()).toEqual(['r7', 'r8'])
  expect(seen.rows.size).toBe(names.length - 2)
})
