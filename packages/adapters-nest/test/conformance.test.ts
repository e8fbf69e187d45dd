import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { httpSuite, type HttpSubject } from '@keelson/http/conformance'
import { postgresStore } from '@keelson/idempotency/postgres'
import { register } from '@keelson/kernel/conformance'
import { migrate } from '@keelson/kernel/postgres'
import { stores, type OpenStore } from '../../adapters-express/test/stores.ts'
import { nestSubject } from './nest-subject.ts'
import { nest, platforms } from './platforms.ts'

const replays = { ...httpSuite, cases: httpSuite.cases.filter(({ name }) => /given again|last byte/.test(name)) }

describe.each(platforms)(`${nest} on $platform`, (platform) => {
  const db = new PGlite()
  const store = postgresStore(db)
  let redis: OpenStore
  beforeAll(async () => {
    await migrate(db, [store])
    redis = stores.find((one) => one.store === 'Redis')!.open()
  })
  afterAll(async () => {
    await db.close()
    await redis.close()
  })
  const make = (more: () => Partial<HttpSubject>) => async () => ({
    ...nestSubject(platform),
    ...more(),
    async dispose() {},
  })

  register(
    httpSuite,
    { make: make(() => ({ database: { db, store } })), has: ['database', 'shutdown'] },
    { describe, it },
  )

  describe('with Redis', () => {
    register(replays, { make: make(() => ({ store: redis.store })) }, { describe, it })
  })
})
