import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Subject } from '@keelson/kernel/conformance'
import { database } from '@keelson/kernel/postgres'
import { virtualClock } from '@keelson/kernel/testing'
import type { StoreUnderTest } from '../src/conformance/index.ts'
import { fileStore } from '../src/file/index.ts'
import { memoryStore } from '../src/index.ts'
import { postgresStore } from '../src/postgres/index.ts'
import { openPglite, openPostgres, type OpenStore } from './postgres/open-postgres.ts'

/** What is to be closed when a test file is through with them. */
export const onTestsEnd: (() => Promise<unknown>)[] = []

/** Every store that this package has. */
export const stores: Record<string, Subject<StoreUnderTest>> = {
  memory: { has: ['no transactions'], make: async () => ({ store: memoryStore(), async dispose() {} }) },
  'memory, in virtual time': {
    has: ['no transactions'],
    async make() {
      const clock = virtualClock({ now: Date.now() })
      return { store: memoryStore({ clock }), elapse: (ms) => clock.advance(ms), async dispose() {} }
    },
  },
  files: {
    has: ['no transactions', 'drain'],
    async make() {
      const dir = await mkdtemp(join(tmpdir(), 'keelson-audit-'))
      const store = fileStore({ dir, appendTimeout: '60s' })
      return {
        store,
        async dispose() {
          await store.close()
          await rm(dir, { recursive: true })
        },
      }
    },
  },
  Postgres: onPostgres(openPostgres),
  PGlite: onPostgres(openPglite),
}

/** One schema for all cases: each has a log of its own. */
function onPostgres(open: () => Promise<OpenStore>): Subject<StoreUnderTest> {
  let opening: Promise<OpenStore> | undefined
  onTestsEnd.push(async () => (await opening)?.[Symbol.asyncDispose]())
  return {
    has: ['transactions'],
    async make() {
      const { db, schema, store } = await (opening ??= open())
      const peer = postgresStore(db, { schema })
      return { store, peer, db: database(db), dispose: async () => peer.close() }
    },
  }
}
