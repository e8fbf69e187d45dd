import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { httpSuite, type HttpSubject } from '@keelson/http/conformance'
import { postgresStore } from '@keelson/idempotency/postgres'
import { register } from '@keelson/kernel/conformance'
import { migrate } from '@keelson/kernel/postgres'
import { stores, type OpenStore } from '../../adapters-express/test/stores.ts'
import { fastifySubject } from './fastify-subject.ts'

const replays = { ...httpSuite, cases: httpSuite.cases.filter(({ name }) => /given again|last byte/.test(name)) }

describe('on Fastify 5', () => {
  const db = new PGlite()
  const store = postgresStore(db)
  const redis = stores.find((one) => one.store === 'Redis')!
  let opened: OpenStore
  beforeAll(async () => {
    await migrate(db, [store])
    opened = redis.open()
  })
  afterAll(async () => {
    await db.close()
    await opened.close()
  })
  const make = (more: () => Partial<HttpSubject>) => async () => ({ ...fastifySubject, ...more(), async dispose() {} })

  register(
    httpSuite,
    { make: make(() => ({ database: { db, store } })), has: ['database', 'shutdown'] },
    { describe, it },
  )

  describe('with Redis', () => {
    register(replays, { make: make(() => ({ store: opened.store })) }, { describe, it })
  })
})
