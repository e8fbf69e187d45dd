import { randomBytes } from 'node:crypto'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, beforeAll, describe, inject, it } from 'vitest'
import { register } from '@keelson/kernel/conformance'
import { database, migrate } from '@keelson/kernel/postgres'
import { dropLogSuite, type DropLogUnderTest } from '@keelson/cache/conformance'
import { postgresLog } from '@keelson/cache/postgres'

interface OpenLog extends DropLogUnderTest, AsyncDisposable {}

/** Every log that this package has. */
const logs: Record<string, { has: readonly string[]; open(): Promise<OpenLog> }> = {
  Postgres: {
    has: ['parallel'],
    async open() {
      const db = new pg.Pool({ connectionString: inject('databaseUrl') })
      db.on('error', () => {})
      const schema = `log_${randomBytes(6).toString('hex')}`
      const log = postgresLog(db, { schema })
      await migrate(db, [log])
      return {
        log,
        db: database(db),
        async [Symbol.asyncDispose]() {
          await db.query(`drop schema ${schema} cascade`)
          await db.end()
        },
      }
    },
  },
  PGlite: {
    has: [],
    async open() {
      const db = new PGlite()
      const log = postgresLog(db)
      await migrate(db, [log])
      return { log, db: database(db), [Symbol.asyncDispose]: () => db.close() }
    },
  },
}

describe.each(Object.keys(logs))('%s', (name) => {
  const { has, open } = logs[name]!
  let opened: OpenLog
  beforeAll(async () => {
    opened = await open()
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  register(dropLogSuite, { has, make: async () => ({ ...opened, async dispose() {} }) }, { describe, it })
})
