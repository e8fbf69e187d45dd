import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, inject, test } from 'vitest'
import { oracle, type OracleOptions, type OracleReport } from '@keelson/cache/conformance'
import { postgresStore } from '@keelson/cache/postgres'
import { migrate } from '@keelson/kernel/postgres'
import { askRedis } from '../../../../tools/servers/ask-redis.ts'
import { startRedis, type RedisOptions, type RedisServer } from '../../../../tools/servers/redis.ts'
import { findFaketime } from './faketime.ts'
import { startOracleProcess, type OracleProcess, type OracleProcessOptions } from './oracle-process.ts'

const LONG = process.env['LONG'] === '1'
/** A million reads through three processes are for the night. */
const READS = LONG ? 1_000_000 : 5_000
const NODES = 3
const OPTIONS = { storeTimeout: '1s' } as const

interface Run extends Omit<OracleOptions, 'during'> {
  readonly during?: (nodes: readonly OracleProcess[]) => Promise<unknown>
  /** What one node has that the others have not: by its number. */
  readonly env?: (node: number) => Record<string, string>
}

/** Three processes over one store. */
async function run(
  where: Pick<OracleProcessOptions, 'kind' | 'url' | 'name'>,
  { during, env, ...o }: Run = {},
): Promise<OracleReport> {
  const nodes: OracleProcess[] = []
  try {
    return await oracle(
      async (source) => {
        const start = async (node: number): Promise<void> => {
          nodes.push(await startOracleProcess(source, { ...where, options: OPTIONS, env: env?.(node) ?? {} }))
        }
        await Promise.all(Array.from({ length: NODES }, (_, node) => start(node)))
        return nodes
      },
      { reads: READS, ...o, ...(during === undefined ? {} : { during: () => during(nodes) }) },
    )
  } finally {
    await Promise.all(nodes.map(async (node) => node[Symbol.asyncDispose]()))
  }
}

async function onRedis(
  o: RedisOptions,
  work: (server: RedisServer, where: { kind: 'redis'; url: string; name: string }) => Promise<void>,
): Promise<void> {
  await using server = await startRedis(o)
  await work(server, { kind: 'redis', url: server.url, name: someName() })
}

const someName = (): string => `oracle_${randomBytes(6).toString('hex')}`

/** The report is shown with its seed when it is not. */
function isFresh(report: OracleReport): void {
  expect(report).toMatchObject({ stale: 0, examples: [], failed: 0 })
}

/** A cache that never hits is never stale. */
function isUseful(report: OracleReport): void {
  expect(report.loads / report.reads, JSON.stringify(report)).toBeLessThan(0.6)
}

test('three processes over Redis, calm', () =>
  onRedis({}, async (_, where) => {
    const report = await run(where)
    isFresh(report)
    isUseful(report)
    expect(report).toMatchObject({ refused: 0, errors: [] })
  }))

test('three processes over Postgres, calm', async () => {
  const db = new pg.Pool({ connectionString: inject('databaseUrl') })
  const name = someName()
  await migrate(db, [postgresStore(db, { schema: name })])
  try {
    const report = await run({ kind: 'postgres', url: inject('databaseUrl'), name })
    isFresh(report)
    isUseful(report)
  } finally {
    await db.query(`drop schema ${name} cascade`)
    await db.end()
  }
})

test('connections are killed, those of subscribers too', () =>
  onRedis({}, async ({ url }, where) => {
    const report = await run(where, {
      async during() {
        for (let i = 0; i < 10; i++) {
          await sleep(200)
          await askRedis(url, 'CLIENT', 'KILL', 'TYPE', i % 2 === 0 ? 'pubsub' : 'normal')
        }
      },
    })
    isFresh(report)
  }))

test('a node stands still for seconds', () =>
  onRedis({}, async (_, where) => {
    const report = await run(where, {
      async during(nodes) {
        for (const node of nodes) {
          await sleep(200)
          node.freeze()
          await sleep(2_500)
          node.thaw()
        }
      },
    })
    isFresh(report)
  }))

test('the server evicts whatever it likes', () =>
  onRedis({ settings: { maxmemory: '4mb', 'maxmemory-policy': 'allkeys-lru' } }, async ({ url }, where) => {
    const report = await run(where, {
      async during() {
        // Somebody else fills it: everything of ours goes in turn.
        for (let i = 0; i < 40; i++) {
          await sleep(50)
          await askRedis(
            url,
            'EVAL',
            "for i = 1, 40 do redis.call('set', ARGV[1] .. i, string.rep('x', 50000)) end",
            0,
            i,
          )
        }
        expect(String(await askRedis(url, 'INFO', 'stats'))).toMatch(/evicted_keys:[1-9]/)
      },
    })
    isFresh(report)
  }))

test('everything is flushed, and the server starts again without anything', () =>
  onRedis({}, async (server, where) => {
    const report = await run(where, {
      async during() {
        for (let i = 0; i < 3; i++) {
          await sleep(300)
          await askRedis(server.url, 'FLUSHALL')
          await sleep(300)
          await server.kill()
          await server.restart()
        }
      },
    })
    isFresh(report)
  }))

test('the clock of one node is an hour ahead, that of another an hour behind', async () => {
  const library = await findFaketime()
  await onRedis({}, async (_, where) => {
    const report = await run(where, {
      env: (node): Record<string, string> =>
        node === 0
          ? {}
          : { LD_PRELOAD: library, FAKETIME: node === 1 ? '+1h' : '-1h', FAKETIME_DONT_FAKE_MONOTONIC: '1' },
    })
    isFresh(report)
    isUseful(report)
  })
})
