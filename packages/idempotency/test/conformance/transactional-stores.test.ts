import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { register, scoreMutants } from '@keelson/kernel/conformance'
import { brokenTransactionalStores, transactionalStoreSuite } from '@keelson/idempotency/conformance'
import { transactionalStores } from './transactional-stores.ts'

describe.each(Object.keys(transactionalStores))('%s', (name) => {
  const subject = transactionalStores[name]!
  beforeAll(() => subject.open())
  afterAll(() => subject.close())

  register(transactionalStoreSuite, subject, { describe, it })
})

/** On PGlite's one connection transactions queue up for it, so that nobody waits for a row: 'no wait' is no fault there. */
test('every transactional store that is broken on purpose is caught, on Postgres', async () => {
  const subject = transactionalStores['Postgres']!
  await subject.open()
  const broken = brokenTransactionalStores(subject)
  const { total, survivors } = await scoreMutants(transactionalStoreSuite, broken, { timeout: '20s' })
  await subject.close()
  expect(total).toBeGreaterThanOrEqual(30)
  expect(survivors).toEqual([])
}, 300_000)
