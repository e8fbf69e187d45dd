import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { httpSuite, type HttpSubject } from '@keelson/http/conformance'
import { postgresStore } from '@keelson/idempotency/postgres'
import { register } from '@keelson/kernel/conformance'
import { migrate } from '@keelson/kernel/postgres'
import { openRedis, type OpenStore } from './stores.ts'

const replays = { ...httpSuite, cases: httpSuite.cases.filter(({ name }) => /given again|last byte/.test(name)) }

/** The whole suite on an adapter: keys in memory, rows in PGlite; and what is given again with Redis, too. */
export function conforms(subject: HttpSubject): void {
  describe(`on ${subject.name}`, () => {
    const db = new PGlite()
    const store = postgresStore(db)
    let redis: OpenStore
    beforeAll(async () => {
      await migrate(db, [store])
      redis = openRedis()
    })
    afterAll(async () => {
      await db.close()
      await redis.close()
    })
    const make = (more: () => Partial<HttpSubject>) => async () => ({ ...subject, ...more(), async dispose() {} })

    register(
      httpSuite,
      { make: make(() => ({ database: { db, store } })), has: ['database', 'shutdown'] },
      { describe, it },
    )
    describe('with Redis', () => {
      register(replays, { make: make(() => ({ store: redis.store })) }, { describe, it })
    })
  })
}
