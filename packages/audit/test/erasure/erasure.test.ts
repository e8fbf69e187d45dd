import { randomBytes } from 'node:crypto'
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startWorker } from '../../../../tools/crash/worker-process.ts'
import { startFaultProxy } from '../../../../tools/faults/fault-proxy.ts'
import { startPostgres } from '../../../../tools/servers/postgres.ts'
import { until } from '../../../../tools/servers/until.ts'
import { fileStore } from '../../src/file/index.ts'
import { generateKey, type AuditStore } from '../../src/index.ts'
import { openPostgres } from '../postgres/open-postgres.ts'
import { startElasticsearch } from '../sinks/fake-elasticsearch.ts'
import { addressOf, controlOf, has, hashesOf, markOf, shapesOf, valueOf } from './marker.ts'
import type { Ask, Told } from './person-worker.ts'

/** Of those that are recorded. */
const SOME_VALUES = [1, 6, 11, 21, 46, 68]

/** Where nothing may stand at all. */
const QUIET = new Set(['what was said', 'the spool'])

/** Every place where a value could have gone, by name. */
type Places = Readonly<Record<string, () => Promise<Buffer>>>

/** Whose wrapped keys stand there only until they are destroyed, and whose an erasure does not reach. */
interface Journal {
  readonly env: Record<string, string>
  readonly places: Places
  /** Where Postgres itself keeps what was deleted, for a while. */
  readonly history: Places
  keysOf(ids: readonly string[]): Promise<readonly Uint8Array[]>
  /** The store is away meanwhile. */
  away?(work: () => Promise<void>): Promise<void>
}

const journals: Record<string, (folder: string) => Promise<Journal>> = {
  async Postgres() {
    // Of its own: its WAL has nothing of others.
    const server = await startPostgres()
    onTestFinished(() => server.stop())
    const { pool, schema, store } = await openPostgres(server.url)
    onTestFinished(async () => pool.end())
    const proxy = await startFaultProxy({ host: server.host, port: server.port })
    onTestFinished(() => proxy.close())
    const url = new URL(server.url)
    url.port = String(proxy.port)
    const { rows } = await pool.query<{ data_directory: string }>('show data_directory')
    const data = rows[0]!.data_directory
    return {
      env: { DATABASE_URL: url.href, SCHEMA: schema },
      places: { tables: () => tablesOf(pool, schema) },
      history: {
        async WAL() {
          await pool.query('checkpoint')
          return allFiles(join(data, 'pg_wal'))
        },
        async 'files of the database'() {
          await pool.query('checkpoint')
          return allFiles(join(data, 'base'))
        },
      },
      keysOf: async (ids) => (await store.keys('main', ids)).map(({ wrapped }) => wrapped),
      async away(work) {
        proxy.refuse()
        proxy.resetAll()
        await work()
        proxy.pass()
      },
    }
  },

  async files(folder) {
    return {
      env: {},
      places: { journal: () => allFiles(join(folder, 'journal')) },
      history: {},
      async keysOf(ids) {
        // A copy: the folder belongs to the worker.
        const store = await copyOf(join(folder, 'journal'))
        return (await store.keys('main', ids)).map(({ wrapped }) => wrapped)
      },
    }
  },
}

test.each(Object.entries(journals))(
  'on %s: no value of a person is ever anywhere in the clear, and none can be read after an erasure',
  async (_, open) => {
    const folder = await newFolder()
    const { env, places, history, keysOf, away } = await open(folder)
    await using siem = await startElasticsearch()
    const seed = randomBytes(16).toString('hex')
    const secret = (): string => randomBytes(32).toString('base64')
    const worker = await startWorker<Ask, Told>(new URL('./person-worker.ts', import.meta.url), {
      SEED: seed,
      KEY: generateKey('test.example/audit').signer,
      SECRET: secret(),
      PSEUDONYM: secret(),
      SIEM: siem.url,
      FOLDER: folder,
      ...env,
    })
    onTestFinished(() => worker.kill())
    let hear: (told: Told) => void = () => {}
    worker.onMessage((told) => hear(told))
    async function ask(what: Ask): Promise<Told> {
      const heard = new Promise<Told>((resolve) => (hear = resolve))
      worker.send(what)
      const told = await Promise.race([heard, worker.ended.then((how) => ({ done: how }))])
      expect(told.done).toBe(what.do)
      return told
    }

    const kept: Places = {
      ...places,
      'what an Elasticsearch has': async () => Buffer.from([...siem.documents].join('\n')),
      'what is in the file of JSONL': () => readFile(join(folder, 'audit.jsonl')),
      ...(away === undefined ? {} : { 'the spool': () => allFiles(join(folder, 'spool')) }),
    }
    const all: Places = { ...kept, ...history, 'what was said': () => readFile(join(folder, 'said.log')) }
    const plain = [...shapesOf(markOf(seed)), ...shapesOf(addressOf(seed))]
    const hashes = SOME_VALUES.flatMap((n) => hashesOf(valueOf(seed, n))).flatMap(shapesOf)
    async function search(): Promise<void> {
      for (const [name, read] of Object.entries(all)) {
        const bytes = await read()
        if (has(bytes, plain)) expect.fail(`a value is in the clear in ${name}`)
        if (!QUIET.has(name) && !has(bytes, shapesOf(controlOf(seed)))) expect.fail(`${name} was not searched`)
      }
      for (const [name, read] of Object.entries(kept)) {
        if (has(await read(), hashes)) expect.fail(`the hash of a value is in ${name}`)
      }
    }

    const ids = [...(await ask({ do: 'record' })).ids!]
    await ask({ do: 'ship' })
    await away?.(async () => {
      const { ok, ids: spooled } = await ask({ do: 'spool' })
      expect(ok).toBe(true)
      ids.push(...spooled!)
      const spool = await allFiles(join(folder, 'spool'))
      expect(has(spool, shapesOf(controlOf(seed)))).toBe(true)
      if (has(spool, plain)) expect.fail('a value is in the clear in the spool')
    })
    await ask({ do: 'ship' })
    await search()
    const emitted = 1
    expect((await ask({ do: 'export' })).opened).toBe(ids.length + emitted)
    // Two persons in each.
    const before = await keysOf(ids)
    expect(before.length).toBe(2 * ids.length)

    expect((await ask({ do: 'erase' })).keys).toBe(ids.length + emitted)
    expect(await ask({ do: 'ship' })).toMatchObject({ ok: true })
    await search()
    expect((await ask({ do: 'export' })).opened).toBe(0)
    const left = await keysOf(ids)
    expect(left.length).toBe(ids.length)
    const destroyed = before.filter((key) => !left.some((one) => Buffer.compare(one, key) === 0))
    expect(destroyed.length).toBe(ids.length)
    for (const [name, read] of Object.entries(kept)) {
      const bytes = await read()
      for (const key of destroyed) if (has(bytes, shapesOf(key))) expect.fail(`a destroyed key is in ${name}`)
    }
    // What the README says of them: only as long as they are kept do they need the secret to be kept away.
    for (const [name, read] of Object.entries(history)) {
      const bytes = await read()
      expect(
        destroyed.some((key) => has(bytes, shapesOf(key))),
        name,
      ).toBe(true)
    }

    const path = join(folder, 'worker.heapsnapshot')
    await ask({ do: 'snapshot', path })
    const heap = await readFile(path)
    expect(heap.includes(controlOf(seed))).toBe(true)
    if (has(heap, plain)) expect.fail('a value is in the heap')
  },
)

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return folder
}

async function allFiles(folder: string): Promise<Buffer> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = names.filter((name) => name.isFile())
  return Buffer.concat(await Promise.all(files.map(async ({ parentPath, name }) => filled(join(parentPath, name)))))
}

/** A file without the zeros at its end: segments are made long before they are full. */
async function filled(path: string): Promise<Buffer> {
  const bytes = await readFile(path)
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return bytes.subarray(0, end)
}

/** All rows of all tables, as text: bytea in hex. */
async function tablesOf(pool: { query(text: string): Promise<{ rows: any[] }> }, schema: string): Promise<Buffer> {
  const { rows } = await pool.query(
    `select c.oid::regclass::text as name from pg_class c where c.relnamespace = '${schema}'::regnamespace and c.relkind in ('r', 'p', 'm')`,
  )
  const texts: string[] = []
  for (const { name } of rows as { name: string }[]) {
    const all = await pool.query(`select coalesce(string_agg(t::text, E'\\n'), '') as text from ${name} t`)
    texts.push((all.rows[0] as { text: string }).text)
  }
  return Buffer.from(texts.join('\n'))
}

async function copyOf(folder: string): Promise<AuditStore> {
  // A file that has its name while it is listed may have lost it when it is copied.
  const dir = await until('a copy of the journal', 60_000, async () => {
    const copy = join(await newFolder(), 'copy')
    const filter = (path: string): boolean => !/lock\.\d+$|\.tmp$/.test(path)
    return cp(folder, copy, { recursive: true, filter }).then(
      () => copy,
      () => undefined,
    )
  })
  const store = fileStore({ dir, appendTimeout: '60s' })
  onTestFinished(() => store.close())
  return store
}
