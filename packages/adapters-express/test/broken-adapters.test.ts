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

/** It alone takes as long as all the others. */
const quick = { ...httpSuite, cases: httpSuite.cases.filter(({ name }) => !name.startsWith('ten thousand')) }

it('every adapter that is broken on purpose is caught', async () => {
  const good = expressSubject({ framework: 'Express 5', express })
  const mutants = brokenAdapters({
    has: ['database', 'shutdown'],
    make: async () => ({ ...good, database: { db, store }, async dispose() {} }),
  })
  // Most of the time they wait.
  const lanes = [0, 1, 2, 3].map((lane) => Object.fromEntries(Object.entries(mutants).filter((_, i) => i % 4 === lane)))
  const scores = await Promise.all(lanes.map((lane) => scoreMutants(quick, lane)))
  expect(scores.flatMap(({ survivors }) => survivors)).toEqual([])
  expect(scores.reduce((sum, { caught }) => sum + caught, 0)).toBeGreaterThanOrEqual(74)
}, 300_000)
