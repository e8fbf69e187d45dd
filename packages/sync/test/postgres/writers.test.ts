import { afterAll, expect, test } from 'vitest'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { openPostgres } from './open-postgres.ts'
import { aChange, aDevice, aHolder, pullAll } from './steps.ts'

const LONG = process.env['LONG'] === '1'
const WRITERS = 32
const ROUNDS = LONG ? 200 : 8
/** More than a floor can name. */
const OPEN = 70

const server = await startPostgres({ maxConnections: 200, settings: { max_prepared_transactions: '80' } })
const opened = await openPostgres(server.url)
const { store, pool, schema } = opened
await pool.query(`create table ${schema}.naive (id text primary key, n bigserial, at timestamptz default now())`)
afterAll(async () => {
  await opened[Symbol.asyncDispose]()
  await server.stop()
})

/** What everybody writes first: what comes behind the last one, by a column. */
function naive(column: 'n' | 'at') {
  const seen = new Set<string>()
  let last: string | null = null
  return {
    seen,
    async read(limit = 20): Promise<void> {
      for (;;) {
        const { rows } = await pool.query<{ id: string; place: string }>(
          `select id, ${column}::text as place from ${schema}.naive
            where $1::text is null or ${column} > $1::text::${column === 'n' ? 'bigint' : 'timestamptz'}
            order by ${column} limit ${limit}`,
          [last],
        )
        for (const { id } of rows) seen.add(id)
        last = rows.at(-1)?.place ?? last
        if (rows.length < limit) return
      }
    },
  }
}

/** What of the table a cursor has not told. */
async function missedBy(seen: ReadonlySet<string>): Promise<string[]> {
  const { rows } = await pool.query<{ id: string }>(`select id from ${schema}.naive`)
  return rows.map(({ id }) => id).filter((id) => !seen.has(id))
}

async function write(scope: string, id: string, tx: Awaited<ReturnType<typeof aHolder>>): Promise<void> {
  await store.change([aChange(scope, id)], 'n1', { tx })
  await tx.query(`insert into ${schema}.naive (id) values ($1)`, [id])
}

test('who begins first and commits last is missed by a time and by a sequence, and not by a snapshot', async () => {
  const device = aDevice()
  const [time, sequence] = [naive('at'), naive('n')]
  await using first = await aHolder(server.url)
  await write('one', 'first', first)
  await using second = await aHolder(server.url)
  await write('one', 'second', second)
  await second.query('commit')
  await Promise.all([time.read(), sequence.read(), pullAll(store, device, ['one'])])
  await first.query('commit')
  await Promise.all([time.read(), sequence.read(), pullAll(store, device, ['one'])])
  expect(await missedBy(time.seen)).toEqual(['first'])
  expect(await missedBy(sequence.seen)).toEqual(['first'])
  expect([...device.rows.values()].map(({ id }) => id).toSorted()).toEqual(['first', 'second'])
})

test(
  `${2 * WRITERS} writers of two processes, behind ${OPEN} that stay open: whoever pages misses nothing`,
  async () => {
    const scopes = ['a', 'b', 'c']
    const devices = [1, 3, 50].map((limit) => ({ limit, device: aDevice() }))
    const [time, sequence] = [naive('at'), naive('n')]
    await using stack = new AsyncDisposableStack()
    const holders = await Promise.all(Array.from({ length: OPEN }, async () => stack.use(await aHolder(server.url))))
    for (const [i, holder] of holders.entries()) await write(scopes[i % 3]!, `open${i}`, holder)
    const env = {
      DATABASE_URL: server.url,
      SCHEMA: schema,
      SCOPES: scopes.join(' '),
      WRITERS: String(WRITERS),
      ROUNDS: String(ROUNDS),
    }
    const workers = await Promise.all(
      ['left', 'right'].map((NAME) => startWorker(new URL('./writers-worker.ts', import.meta.url), { ...env, NAME })),
    )
    for (const worker of workers) stack.defer(() => worker.kill())
    const ended = Promise.all(workers.map(async (worker) => worker.ended))
    const over = new AbortController()
    const follow = async (read: () => Promise<unknown>): Promise<void> => {
      while (!over.signal.aborted) await read()
    }
    const readers = Promise.all([
      ...devices.map(({ limit, device }) => follow(() => pullAll(store, device, scopes, limit))),
      follow(() => time.read()),
      follow(() => sequence.read()),
    ])
    expect(await ended).toEqual(['exit 0', 'exit 0'])
    over.abort()
    await readers
    await Promise.all([time.read(), sequence.read()])
    const release = async (): Promise<void> => {
      for (const [i, holder] of holders.toReversed().entries()) await holder.query(i % 5 === 0 ? 'rollback' : 'commit')
    }
    await Promise.all([release(), ...devices.map(({ limit, device }) => pullAll(store, device, scopes, limit))])
    await Promise.all([time.read(), sequence.read()])

    const { rows } = await pool.query<{ key: string; h: string }>(
      `select scope || ' ' || id as key, h from ${schema}.sync_record where gone is null and scope = any($1)`,
      [scopes],
    )
    const live = rows.map(({ key, h }) => `${key} ${h}`).toSorted()
    for (const { limit, device } of devices) {
      await pullAll(store, device, scopes, limit)
      expect([...device.rows].map(([key, { state }]) => `${key} ${state.h}`).toSorted()).toEqual(live)
      expect(await pullAll(store, device, scopes, limit)).toEqual([])
    }
    const missed = { time: (await missedBy(time.seen)).length, sequence: (await missedBy(sequence.seen)).length }
    const all = (await missedBy(new Set())).length
    console.log(`of ${all} rows a time missed ${missed.time}, a sequence ${missed.sequence}, a snapshot none`)
    // Those that stayed open were before all others.
    expect(missed.time).toBeGreaterThanOrEqual((OPEN / 5) * 4)
    expect(missed.sequence).toBeGreaterThanOrEqual((OPEN / 5) * 4)
  },
  LONG ? 3_600_000 : 900_000,
)
