import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { httpSuite } from '@keelson/http/conformance'
import { postgresStore } from '@keelson/idempotency/postgres'
import { register } from '@keelson/kernel/conformance'
import { migrate } from '@keelson/kernel/postgres'
import { nestSubject } from './nest-subject.ts'
import { nest, platforms } from './platforms.ts'

describe.each(platforms)(`${nest} on $platform`, (platform) => {
  const db = new PGlite()
  const store = postgresStore(db)
  beforeAll(() => migrate(db, [store]))
  afterAll(() => db.close())

  const make = async () => ({ ...nestSubject(platform), database: { db, store }, async dispose() {} })
  register(httpSuite, { make, has: ['database', 'shutdown'] }, { describe, it })
})
