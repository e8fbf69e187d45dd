import { afterAll } from 'vitest'
import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { memoryStore } from '@keelson/sync'
import { startPostgres } from '../../../tools/servers/postgres.ts'
import { withTransactions } from '../src/conformance/broken/with-transactions.ts'
import type { OpenTransaction, StoreUnderTest } from '../src/conformance/index.ts'
import { postgresStore } from '../src/postgres/index.ts'
import { openPostgres, servers } from './postgres/open-postgres.ts'

/** Also how long a push waits for what is busy: a case does. */
const STORE_TIMEOUT = '5s'

/** Every store that this package has. */
export const stores: Record<string, Subject<StoreUnderTest>> = {
  memory: { make: async () => ({ store: memoryStore(), async dispose() {} }) },
  'memory, in virtual time': {
    async make() {
      const clock = virtualClock({ now: Date.now() })
      return { store: memoryStore({ clock }), elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  },
  'memory, as a database looks': {
    has: ['transactions', 'prepared'],
    make: async () => ({ ...withTransactions(memoryStore()), async dispose() {} }),
  },
  Postgres: onPostgres(),
  PGlite: onPglite(),
}

/** One schema for all cases, on a server that prepares transactions. */
function onPostgres(): Subject<StoreUnderTest> {
  let opening: ReturnType<typeof open> | undefined
  async function open() {
    const server = await startPostgres({ settings: { max_prepared_transactions: '10' } })
    return { server, opened: await openPostgres(server.url, { storeTimeout: STORE_TIMEOUT, max: 40 }) }
  }
  afterAll(async () => {
    if (opening === undefined) return
    const { server, opened } = await opening
    await opened[Symbol.asyncDispose]()
    await server.stop()
  })
  return {
    has: ['transactions', 'prepared'],
    async make() {
      const { store, db, schema, pool } = (await (opening ??= open())).opened
      const peer = postgresStore(db, { schema, storeTimeout: STORE_TIMEOUT })
      return { store, peer, begin: () => beginOn(pool), dispose: async () => peer.close() }
    },
  }
}

function onPglite(): Subject<StoreUnderTest> {
  let opening: ReturnType<(typeof servers)[string]> | undefined
  afterAll(async () => (await opening)?.[Symbol.asyncDispose]())
  return {
    async make() {
      const { store } = await (opening ??= servers['PGlite']!())
      return { store, async dispose() {} }
    },
  }
}

type Pool = Awaited<ReturnType<typeof openPostgres>>['pool']

async function beginOn(pool: Pool): Promise<OpenTransaction> {
  const client = await pool.connect()
  const end = (text: string): Promise<void> =>
    client.query(text).then(
      () => client.release(),
      (error: Error) => {
        client.release(error)
        throw error
      },
    )
  await client.query('begin')
  return {
    tx: client,
    commit: () => end('commit'),
    rollback: () => end('rollback'),
    async prepare() {
      const name = `case_${Math.random().toString(36).slice(2)}`
      await end(`prepare transaction '${name}'`)
      return {
        commit: async () => void (await pool.query(`commit prepared '${name}'`)),
        rollback: async () => void (await pool.query(`rollback prepared '${name}'`)),
      }
    },
  }
}
