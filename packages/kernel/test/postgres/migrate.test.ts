import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { migrate, printMigrations, type Migration } from '../../src/postgres/index.ts'
import { until } from '../../../../tools/servers/until.ts'
import { failure, watchProcess } from './world.ts'

watchProcess()
const url = inject('databaseUrl')
const pool = new pg.Pool({ connectionString: url })
afterAll(() => pool.end())

/** A schema that this run of the file has for itself; it is dropped first, in case the server is a long-lived one. */
async function emptySchema(name: string): Promise<string> {
  await pool.query(`drop schema if exists ${name} cascade`)
  return name
}
const appliedIn = async (schema: string): Promise<string[]> =>
  (
    await pool.query<{ name: string }>(`select package || '/' || id as name from ${schema}.migrations order by 1`)
  ).rows.map(({ name }) => name)
const tablesIn = async (schema: string): Promise<string[]> =>
  (
    await pool.query<{ name: string }>(
      'select table_name as name from information_schema.tables where table_schema = $1 order by 1',
      [schema],
    )
  ).rows.map(({ name }) => name)

const step = (id: string, ...statements: string[]): Migration => ({ package: 'test', id, statements })
const one = step('0001_create', 'create table {schema}.one (id int)', `insert into {schema}.one values (1)`)
const two = step('0002_more', 'create table {schema}.two (id int)', 'create index on {schema}.two (id)')

test('ten processes at once: each migration is applied once, and all resolve', async () => {
  const schema = await emptySchema('kernel_migrate_ten')
  const job = JSON.stringify({ url, schema, migrations: [one, two] })
  const workers = Array.from({ length: 10 }, () => fork(join(import.meta.dirname, 'migrate-worker.ts'), [job]))
  await Promise.all(workers.map((worker) => once(worker, 'message')))
  const answers = workers.map((worker) => once(worker, 'message'))
  const exits = workers.map((worker) => once(worker, 'exit'))
  for (const worker of workers) worker.send('go')
  const told = (await Promise.all(answers)).map(([message]) => message as { applied?: string[]; error?: string })
  expect(told.flatMap(({ error }) => error ?? [])).toEqual([])
  expect(told.flatMap(({ applied }) => applied!)).toEqual(['test/0001_create', 'test/0002_more'])
  expect((await Promise.all(exits)).map(([code]) => code as number)).toEqual(Array(10).fill(0))
  expect((await pool.query(`select * from ${schema}.one`)).rows).toEqual([{ id: 1 }])
})

test.each(['repeatable read', 'serializable'])('so it is where the default is %s', async (isolation) => {
  const schema = await emptySchema('kernel_migrate_isolated')
  const options = `-c default_transaction_isolation=${isolation.replace(' ', String.raw`\ `)}`
  const isolated = new pg.Pool({ connectionString: url, options })
  const holding = await pool.connect()
  await holding.query("begin; select pg_advisory_xact_lock(hashtext('keelson.migrate'))")
  const migrating = Array.from({ length: 3 }, () => migrate(isolated, [one, two], { schema }))
  await until('all of them wait', 60_000, async () => {
    const { rows } = await pool.query<{ n: number }>(
      "select count(*)::int as n from pg_locks where locktype = 'advisory' and not granted",
    )
    return rows[0]!.n >= 3 ? true : undefined
  })
  await holding.query('commit')
  holding.release()
  const told = await Promise.all(migrating)
  expect(told.flatMap(({ applied }) => applied)).toEqual(['test/0001_create', 'test/0002_more'])
  await isolated.end()
})

test('what is known is not applied again, what is new is, in order', async () => {
  const schema = await emptySchema('kernel_migrate_steps')
  expect(await migrate(pool, [one], { schema })).toEqual({ applied: ['test/0001_create'] })
  expect(await migrate(pool, [one], { schema })).toEqual({ applied: [] })
  expect(await migrate(pool, [one, two, two], { schema })).toEqual({ applied: ['test/0002_more'] })
  expect(await tablesIn(schema)).toEqual(['migrations', 'one', 'two'])
})

test('changed content of a known id is MIGRATION_CHANGED, and nothing of that call is applied', async () => {
  const schema = await emptySchema('kernel_migrate_changed')
  await migrate(pool, [two], { schema })
  const changed = step('0002_more', 'create table {schema}.two (id bigint)')
  expect(await failure(migrate(pool, [one, changed], { schema }))).toMatchObject({
    name: 'KernelError',
    code: 'MIGRATION_CHANGED',
    retryable: false,
    message: 'migration test/0002_more was applied to schema kernel_migrate_changed with other content',
  })
  expect(await appliedIn(schema)).toEqual(['test/0002_more'])
  expect(await tablesIn(schema)).toEqual(['migrations', 'two'])
})

test('an id of a newer peer is left alone', async () => {
  const schema = await emptySchema('kernel_migrate_newer')
  await migrate(pool, [one, step('0009_newer', 'create table {schema}.nine (id int)')], { schema })
  expect(await migrate(pool, [one, two], { schema })).toEqual({ applied: ['test/0002_more'] })
  expect(await appliedIn(schema)).toEqual(['test/0001_create', 'test/0002_more', 'test/0009_newer'])
})

test('equal ids of two packages are two migrations', async () => {
  const schema = await emptySchema('kernel_migrate_packages')
  const other = { ...step('0001_create', 'create table {schema}.other (id int)'), package: 'other' }
  expect(await migrate(pool, [one, other], { schema })).toEqual({ applied: ['test/0001_create', 'other/0001_create'] })
})

test('a store’s own schema wins over the option', async () => {
  const [own, given] = [await emptySchema('kernel_migrate_own'), await emptySchema('kernel_migrate_given')]
  await migrate(pool, [{ migrations: [one], schema: own }, two], { schema: given })
  expect([await tablesIn(own), await tablesIn(given)]).toEqual([
    ['migrations', 'one'],
    ['migrations', 'two'],
  ])
})

test('a failing statement leaves nothing of the call, and is the driver’s error', async () => {
  const schema = await emptySchema('kernel_migrate_failing')
  expect(
    await failure(migrate(pool, [one, step('0002', 'create table {schema}.one (id int)')], { schema })),
  ).toMatchObject({ code: '42P07' })
  expect(await tablesIn(schema)).toEqual([])
})

test('a database whose encoding has no place for many a text is refused', async () => {
  const name = 'kernel_migrate_latin1'
  await pool.query(`drop database if exists ${name}`)
  await pool.query(`create database ${name} encoding 'LATIN1' template template0 lc_collate 'C' lc_ctype 'C'`)
  const there = new URL(url)
  there.pathname = name
  const latin = new pg.Pool({ connectionString: there.href })
  try {
    expect(await failure(migrate(latin, [one]))).toMatchObject({
      code: 'OPTION_INVALID',
      message: expect.stringMatching(/LATIN1.*UTF8/),
    })
  } finally {
    await latin.end()
    await pool.query(`drop database ${name}`)
  }
})

test('an application that may not change tables starts on a schema that is up to date', async () => {
  const schema = await emptySchema('kernel_migrate_rights')
  await migrate(pool, [one], { schema })
  const reader = new pg.Pool({ connectionString: url, options: '-c default_transaction_read_only=on' })
  try {
    expect(await migrate(reader, [one], { schema })).toEqual({ applied: [] })
    expect(await failure(migrate(reader, [one, two], { schema }))).toMatchObject({ code: '25006' })
  } finally {
    await reader.end()
  }
})

describe('printMigrations', () => {
  test('prints what migrate would do: run as one text it leaves nothing to apply', async () => {
    const schema = await emptySchema('kernel_migrate_printed')
    const own = await emptySchema('kernel_migrate_printed_own')
    const quoting = { ...step("0001_it's", `comment on table {schema}.one is 'it''s'`), package: "o'neill" }
    const of = [one, two, quoting, { migrations: [one], schema: own }]
    const sql = printMigrations(of, { schema })
    expect(sql).toMatch(/^begin;\n/)
    expect(sql).toMatch(/\ncommit;\n$/)
    await pool.query(sql)
    expect(await migrate(pool, of, { schema })).toEqual({ applied: [] })
    expect(await tablesIn(own)).toEqual(['migrations', 'one'])
  })

  test('by default into the schema keelson', () => {
    expect(printMigrations([one])).toContain('create schema if not exists keelson;')
    expect(printMigrations([one])).toContain('create table keelson.one (id int);')
  })
})

test.each(['Keelson', '1a', 'a-b', 'a.b', 'a"b', 'a;drop schema public', '', 'x'.repeat(64), 5, null])(
  'the schema name %j is refused, as an option and as a store’s own',
  async (name) => {
    const expected = {
      code: 'OPTION_INVALID',
      message: expect.stringMatching(/"schema" must .*match.*\(got /) as string,
    }
    const o = { schema: name as string }
    expect(await failure(migrate(pool, [one], o))).toMatchObject(expected)
    expect(() => printMigrations([one], o)).toThrow(expect.objectContaining(expected))
    if (name === null) return // a store without a schema of its own
    expect(await failure(migrate(pool, [{ migrations: [one], ...o }]))).toMatchObject(expected)
  },
)

test.each<[string, unknown, object | undefined, RegExp]>([
  ['no array', one, undefined, /^migrate: pass an array of stores .*\(got an object\)$/],
  ['undefined in it', [undefined], undefined, /\(got undefined\)$/],
  ['a store without migrations', [{ schema: 'x' }], undefined, /^migrate: pass an array of stores with `migrations`/],
  ['an unknown option', [one], { shema: 'x' }, /^migrate: unknown option "shema"; did you mean "schema"\?$/],
])('%s is OPTION_INVALID', async (_, of, o, message) => {
  expect(await failure(migrate(pool, of as never, o))).toMatchObject({
    code: 'OPTION_INVALID',
    message: expect.stringMatching(message),
  })
})
