import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { afterAll, describe, expect, inject, it, test } from 'vitest'
import { brokenDatabases, databaseSuite, register, scoreMutants, type Subject } from '../../src/conformance/index.ts'
import type { DatabaseSubject } from '../../src/conformance/index.ts'
import { database } from '../../src/postgres/index.ts'
import { byHand } from '../postgres/by-hand.ts'

const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 8 })
const pglite = new PGlite()
afterAll(() => Promise.all([pool.end(), pglite.close()]))

const overPool: Subject<DatabaseSubject> = {
  has: ['parallel'],
  make: async () => ({ db: database(pool), async dispose() {} }),
}

describe('over pg', () => {
  register(databaseSuite, overPool, { describe, it })
})

describe('over PGlite', () => {
  register(databaseSuite, { make: async () => ({ db: database(pglite), async dispose() {} }) }, { describe, it })
})

describe('wrapped by hand', () => {
  const db = byHand(pool)
  register(databaseSuite, { has: ['parallel'], make: async () => ({ db, async dispose() {} }) }, { describe, it })
})

test('every broken database is caught', async () => {
  const { survivors, caught } = await scoreMutants(databaseSuite, brokenDatabases(overPool), { timeout: '5s' })
  expect(survivors).toEqual([])
  expect(caught).toBeGreaterThan(20)
})
