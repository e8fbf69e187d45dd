import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { httpSuite } from '@keelson/http/conformance'
import { postgresStore } from '@keelson/idempotency/postgres'
import { register } from '@keelson/kernel/conformance'
import { migrate } from '@keelson/kernel/postgres'
import { honoSubject } from './hono-subject.ts'

const db = new PGlite()
const store = postgresStore(db)
beforeAll(() => migrate(db, [store]))
afterAll(() => db.close())

register(
  httpSuite,
  {
    has: ['database', 'shutdown'],
    make: async () => ({ ...honoSubject, database: { db, store }, async dispose() {} }),
  },
  { describe, it },
)
