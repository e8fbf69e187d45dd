import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { startPgbouncer } from '../../../../tools/servers/pgbouncer.ts'
import { until } from '../../../../tools/servers/until.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { openPostgres } from './open-postgres.ts'
import { aRow, fold, sealAll, sealedIds, sealOnce, someRows } from './steps.ts'

const LONG = process.env['LONG'] === '1'
const OPEN_MS = LONG ? 10_000 : 3_000
const KILLS = LONG ? 100 : 4
const PATIENCE_MS = 120_000

const opened = await openPostgres(undefined, 20)
const { store, pool, schema } = opened
afterAll(() => opened[Symbol.asyncDispose]())

/** Another log than those of the tests before. */
let logs = 0
const aLog = (): string => `log_${++logs}`

test('what is written by a transaction that stays open is sealed when it commits, and holds nobody up', async () => {
  const log = aLog()
  const client = await pool.connect()
  await client.query('begin')
  const [early, late] = [aRow(), aRow()]
  await store.append(log, [early], client)
  const others = someRows(5)
  await store.append(log, others.slice(0, 2))
  const mark = await store.mark(log)
  expect(await sealAll(store, log)).toBe(2)
  expect(await store.isSealed(log, mark)).toBe(true)
  await store.append(log, [late], client)
  await store.append(log, others.slice(2))
  // One of three: the rest of a transaction waits for the next time.
  expect(await sealOnce(store, log, 1)).toBe(1)
  await client.query('commit')
  client.release()
  const all = await store.mark(log)
  expect(await store.isSealed(log, all)).toBe(false)
  expect((await store.inspect(log)).unsealed).toBe(4)
  expect(await sealOnce(store, log, 1)).toBe(1)
  expect(await store.isSealed(log, all)).toBe(false)
  expect(await sealOnce(store, log, 2)).toBe(2)
  expect(await store.isSealed(log, all)).toBe(false)
  expect(await sealOnce(store, log, 2)).toBe(1)
  expect(await store.isSealed(log, all)).toBe(true)
  const ids = [...others.slice(0, 3), ...others.slice(3), early, late].map(({ id }) => id)
  expect(await sealedIds(store, log)).toEqual(ids)
  expect(await store.inspect(log)).toMatchObject({ unsealed: 0, oldestUnsealedMs: null, size: 7 })
})

test('six processes write and are killed, beside a transaction that stays open: all that was acknowledged is sealed, once', async () => {
  const env = { DATABASE: inject('databaseUrl'), SCHEMA: schema }
  const acknowledged = new Set<string>()
  const start = async (): Promise<Awaited<ReturnType<typeof startWorker>>> => {
    const worker = await startWorker<never, string[]>(new URL('./writer-worker.ts', import.meta.url), env)
    worker.onMessage((ids) => ids.forEach((id) => acknowledged.add(id)))
    return worker
  }
  const workers = await Promise.all(Array.from({ length: 6 }, start))
  const client = await pool.connect()
  await client.query('begin')
  const slow = aRow()
  await store.append('main', [slow], client)

  const stop = new AbortController()
  const sealer = async (): Promise<void> => {
    while (!stop.signal.aborted) if ((await store.seal('main', 1_000, fold)) !== 1_000) await sleep(50)
  }
  const sealers = [sealer(), sealer()]
  const openUntil = performance.now() + OPEN_MS
  for (let kills = 0; kills < KILLS || performance.now() < openUntil;) {
    const before = acknowledged.size
    await until('more is acknowledged', PATIENCE_MS, async () => (acknowledged.size > before + 20 ? true : undefined))
    if (kills < KILLS) {
      const n = kills++ % workers.length
      await workers[n]!.kill()
      // To start a process takes longer than all else here.
      if (kills + workers.length <= KILLS) workers[n] = await start()
    }
    // Nothing waits for the one that stays open.
    const mark = await store.mark('main')
    await until('all of now is sealed', PATIENCE_MS, async () => (await store.isSealed('main', mark)) || undefined)
  }
  expect(await store.find('main', slow.id)).toBe(null)
  await client.query('commit')
  client.release()
  await Promise.all(workers.map((worker) => worker.kill()))
  const mark = await store.mark('main')
  await until('the rest is sealed', PATIENCE_MS, async () => (await store.isSealed('main', mark)) || undefined)
  stop.abort()
  await Promise.all(sealers)

  const ids = await sealedIds(store, 'main')
  expect(new Set(ids).size).toBe(ids.length)
  expect([...acknowledged, slow.id].filter((id) => !ids.includes(id))).toEqual([])
  // A transaction whose COMMIT nobody heard of may be there too, nothing else.
  const { rows } = await pool.query<{ n: number }>(
    `select count(*)::int as n from ${schema}.audit_entry where log = 'main'`,
  )
  expect(ids.length).toBe(rows[0]!.n)
})

test('of two sealers one has the log; what the other has folded meanwhile changes nothing', async () => {
  const log = aLog()
  const rows = someRows(2_000)
  await store.append(log, rows)
  let busy = 0
  const sealing = async (): Promise<number> => {
    let sum = 0
    for (;;) {
      const some = await store.seal(log, 50, fold)
      if (some === 'busy') busy++
      else if (some === 0) return sum
      else sum += some
    }
  }
  const sums = await Promise.all([sealing(), sealing(), sealing()])
  expect(sums.reduce((all, some) => all + some)).toBe(2_000)
  expect(busy).toBeGreaterThan(0)
  expect(await sealedIds(store, log)).toEqual(rows.map(({ id }) => id))
})

test('a fold that fails, or folds something else, seals nothing', async () => {
  const log = aLog()
  await store.append(log, someRows(700))
  const failing = (): never => {
    throw new Error('no')
  }
  await expect(sealOnce(store, log, 10, failing)).rejects.toThrow('no')
  let calls = 0
  const second = (...[rows, head]: Parameters<typeof fold>) => (++calls === 2 ? failing() : fold(rows, head))
  await expect(sealOnce(store, log, 1_000, second)).rejects.toThrow('no')
  const dropping = (...[rows, head]: Parameters<typeof fold>) => fold(rows.slice(1), head)
  await expect(sealOnce(store, log, 10, dropping)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  expect(await store.head(log)).toEqual({ size: 0, frontier: new Uint8Array(0), pruned: 0 })
  expect(await store.read(log, 0, { entries: 1, bytes: 1 })).toEqual([])
})

test('a tile that does not end where the tree does is not appended to, and the head stays', async () => {
  const log = aLog()
  await store.append(log, someRows(10))
  expect(await sealOnce(store, log, 4)).toBe(4)
  for (const offset of [3, 5, 0]) {
    const wrong = (...[rows, head]: Parameters<typeof fold>) => {
      const delta = fold(rows, head)
      return { ...delta, tiles: delta.tiles.map((tile) => ({ ...tile, offset })) }
    }
    await expect(sealOnce(store, log, 4, wrong)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  }
  expect((await store.head(log)).size).toBe(4)
  expect(await sealAll(store, log)).toBe(6)
  expect((await store.tiles(log, [{ level: 0, index: 0 }]))[0]!.byteLength).toBe(320)

  // A head that somebody moved by hand.
  await store.append(log, someRows(1))
  await pool.query(`update ${schema}.audit_head set size = 8 where log = $1`, [log])
  await expect(sealOnce(store, log, 4)).rejects.toThrow()
  await pool.query(`update ${schema}.audit_head set size = 10 where log = $1`, [log])
  expect(await sealAll(store, log)).toBe(1)
})

test('nothing that is written is changed or removed, whatever name it is called by', async () => {
  const log = aLog()
  await store.append(log, someRows(3))
  await sealAll(store, log)
  await store.publish(log, { size: 3, note: 'signed' })
  const { rows } = await pool.query<{ name: string }>(
    `select relid::text as name from pg_partition_tree('${schema}.audit_entry')`,
  )
  const entries = rows.map(({ name }) => name)
  expect(entries.length).toBeGreaterThanOrEqual(6)
  const refused = [
    ...entries.flatMap((name) => [`update ${name} set body = 'x'`, `delete from ${name}`, `truncate ${name}`]),
    `update ${schema}.audit_leaf set scope = 'b'`,
    `delete from ${schema}.audit_leaf where idx = 0`,
    `truncate ${schema}.audit_leaf`,
    `delete from ${schema}.audit_tile`,
    `truncate ${schema}.audit_tile`,
    `update ${schema}.audit_tile set n = 7`,
    `update ${schema}.audit_tile set hashes = substring(hashes for 32) where octet_length(hashes) > 32`,
    `update ${schema}.audit_tile set hashes = overlay(hashes placing 'x' from 1)`,
    `delete from ${schema}.audit_checkpoint`,
    `truncate ${schema}.audit_checkpoint`,
    `delete from ${schema}.audit_head`,
  ]
  for (const text of refused) await expect(pool.query(text), text).rejects.toMatchObject({ code: '42501' })
})

test('the transactions of another server are not taken for ours', async () => {
  const log = aLog()
  await store.append(log, someRows(2))
  await sealAll(store, log)
  const { rows } = await pool.query<{ done: string }>(`select done::text from ${schema}.audit_head where log = $1`, [
    log,
  ])
  await pool.query(`update ${schema}.audit_head set done = '9000000000:9000000000:' where log = $1`, [log])
  await expect(sealOnce(store, log, 10)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  await pool.query(`update ${schema}.audit_head set done = $2 where log = $1`, [log, rows[0]!.done])
  expect(await sealAll(store, log)).toBe(0)
})

test('a log that was restored into a server with lower numbers is adopted, and nothing is sealed twice', async () => {
  const log = aLog()
  const rows = someRows(5)
  await store.append(log, rows)
  expect(await sealOnce(store, log, 3)).toBe(3)
  const table = `${schema}.audit_entry`
  const parts = await pool.query<{ name: string }>(
    `select relid::text as name from pg_partition_tree('${table}') where isleaf`,
  )
  const triggers = async (what: string): Promise<void> => {
    for (const { name } of parts.rows) await pool.query(`alter table ${name} ${what} trigger audit_grows`)
  }
  await triggers('disable')
  for (const { name } of parts.rows) {
    await pool.query(`update ${name} set xid = (xid::text::numeric + 9000000000)::text::xid8 where log = $1`, [log])
  }
  await triggers('enable')
  await pool.query(`update ${schema}.audit_head set done = '9100000000:9100000000:', at_xid = '0' where log = $1`, [
    log,
  ])
  const fresh = someRows(2)
  await store.append(log, fresh)
  const refused = { code: 'STORE_CORRUPT', message: expect.stringContaining('adopt()') }
  await expect(sealOnce(store, log, 10)).rejects.toMatchObject(refused)

  expect(await store.adopt(log)).toBe(4)
  expect((await store.inspect(log)).unsealed).toBe(4)
  expect(await sealAll(store, log)).toBe(4)
  const ids = await sealedIds(store, log)
  expect(ids.slice(0, 3)).toEqual(rows.slice(0, 3).map(({ id }) => id))
  expect(ids.toSorted()).toEqual([...rows, ...fresh].map(({ id }) => id).toSorted())
  // When the server comes to those numbers itself.
  const later = await pool.query(
    `select b.n from ${schema}.audit_head h cross join lateral ${schema}.audit_backlog(h.log, h.done, h.at_xid, h.at_seq,
      '9200000000:9200000000:', '0', 0, h.known, 100) as b where h.log = $1`,
    [log],
  )
  expect(later.rows).toEqual([{ n: 0 }])
  await expect(pool.query(`update ${table} set body = body`)).rejects.toMatchObject({ code: '42501' })
  expect(await store.adopt(log)).toBe(0)
  await store.append(log, someRows(1))
  expect(await sealAll(store, log)).toBe(1)
})

test('behind pgbouncer in transaction mode', async () => {
  const log = aLog()
  const { hostname, port, username, pathname } = new URL(inject('databaseUrl'))
  const bouncer = await startPgbouncer({
    host: hostname,
    port: Number(port || 5432),
    user: decodeURIComponent(username),
    database: pathname.slice(1),
  })
  const bounced = new pg.Pool({ connectionString: bouncer.url, max: 20 })
  bounced.on('error', () => {})
  try {
    const through = postgresStore(bounced, { schema })
    const rows = someRows(400)
    const writing = Promise.all(rows.map((row) => through.append(log, [row])))
    let sealed = 0
    while (sealed < rows.length) {
      const some = await through.seal(log, 100, fold)
      if (some !== 'busy') sealed += some
    }
    await writing
    expect((await sealedIds(through, log)).toSorted()).toEqual(rows.map(({ id }) => id).toSorted())
    expect((await through.search(log, { scope: 'a', order: 'desc', limit: 5 })).length).toBe(5)
  } finally {
    await bounced.end()
    await bouncer.stop()
  }
})
