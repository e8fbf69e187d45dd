import { afterAll, beforeAll, describe, it } from 'vitest'
import { register } from '@keelson/kernel/conformance'
import { database } from '@keelson/kernel/postgres'
import { cacheStoreSuite, dropLogSuite, type CacheStoreUnderTest } from '@keelson/cache/conformance'
import { postgresLog, postgresStore } from '@keelson/cache/postgres'
import { databases, type OpenDatabase } from './databases.ts'

describe.each(Object.keys(databases) as (keyof typeof databases)[])('%s', (kind) => {
  let opened: OpenDatabase
  beforeAll(async () => {
    opened = await databases[kind]()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  /** What a crash of the server loses goes as a whole; 'state' is what an operator's DELETE could lose. */
  async function lose(name: string, what: 'state' | 'members' | 'all'): Promise<void> {
    if (what === 'members') return
    const tables = what === 'state' ? ['cache_state'] : ['cache_state', 'cache_entry', 'cache_lock']
    for (const table of tables) {
      await database(opened.db).query(`delete from ${opened.schema}.${table} where name = $1`, [name])
    }
  }
  const store = async (): Promise<CacheStoreUnderTest & { dispose(): Promise<void> }> => {
    const { db, schema } = opened
    return { store: postgresStore(db, { schema }), lose, async dispose() {} }
  }
  register(cacheStoreSuite, { has: ['bodies', 'keeps', 'lose'], make: store }, { describe, it })

  register(
    dropLogSuite,
    {
      has: kind === 'PGlite' ? [] : ['parallel'],
      async make() {
        const { db, schema } = opened
        return { log: postgresLog(db, { schema }), db: database(db), async dispose() {} }
      },
    },
    { describe, it },
  )
})
