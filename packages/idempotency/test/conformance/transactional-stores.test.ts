import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { register, scoreMutants } from '@keelson/kernel/conformance'
import { brokenTransactionalStores, transactionalStoreSuite } from '@keelson/idempotency/conformance'
import { transactionalStores } from './transactional-stores.ts'

/** On one connection transactions queue up for it: nobody waits for a row, and nobody can look in between. */
const QUEUED: Record<string, readonly string[]> = { PGlite: ['no wait'] }

describe.each(Object.keys(transactionalStores))('%s', (name) => {
  const subject = transactionalStores[name]!
  beforeAll(() => subject.open())
  afterAll(() => subject.close())

  register(transactionalStoreSuite, subject, { describe, it })

  test('every transactional store that is broken on purpose is caught', async () => {
    const { total, survivors } = await scoreMutants(transactionalStoreSuite, brokenTransactionalStores(subject), {
      timeout: '20s',
    })
    expect(total).toBeGreaterThanOrEqual(8)
    expect(survivors).toEqual(QUEUED[name] ?? [])
  })
})
