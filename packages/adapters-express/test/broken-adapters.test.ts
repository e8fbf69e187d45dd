import { PGlite } from '@electric-sql/pglite'
import express from 'express'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { brokenAdapters, httpSuite } from '@keelson/http/conformance'
import { postgresStore } from '@keelson/idempotency/postgres'
import { scoreMutants } from '@keelson/kernel/conformance'
import { migrate } from '@keelson/kernel/postgres'
import { expressSubject } from './express-subject.ts'

const db = new PGlite()
const store = postgresStore(db)
beforeAll(() => migrate(db, [store]))
afterAll(() => db.close())

it('every adapter that is broken on purpose is caught, by the case that is there for it', async () => {
  const good = expressSubject({ framework: 'Express 5', express })
  const mutants = brokenAdapters({
    has: ['database', 'shutdown'],
    make: async () => ({ ...good, database: { db, store }, async dispose() {} }),
  })
  // Most of the time they wait.
  const lanes = [0, 1, 2, 3].map((lane) => Object.fromEntries(Object.entries(mutants).filter((_, i) => i % 4 === lane)))
  const scores = await Promise.all(lanes.map((lane) => scoreMutants(httpSuite, lane)))
  expect(scores.flatMap(({ survivors }) => survivors)).toEqual([])
  const found = Object.assign({}, ...scores.map(({ caughtBy }) => caughtBy)) as Record<string, string>
  expect(found).toEqual(Object.fromEntries(Object.entries(mutants).map(([name, { caughtBy }]) => [name, caughtBy])))
  expect(Object.keys(found).length).toBeGreaterThanOrEqual(94)
}, 300_000)
