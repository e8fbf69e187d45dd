import { afterAll, describe, expect, it } from 'vitest'
import { register, scoreMutants } from '@keelson/kernel/conformance'
import { memoryStore } from '@keelson/sync'
import { syncWireSuite } from '@keelson/sync/conformance'
import { postgresStore } from '@keelson/sync/postgres'
import { openPostgres } from '../../../sync/test/postgres/open-postgres.ts'
import { CAUGHT_BY, wireFaults } from './wire-faults.ts'
import { wireSubject } from './wire-servers.ts'

let opening: ReturnType<typeof openPostgres> | undefined
afterAll(async () => (await opening)?.[Symbol.asyncDispose]())

const stores = {
  memory: async () => memoryStore(),
  /** One for all cases. */
  async Postgres() {
    const { db, schema } = await (opening ??= openPostgres())
    return postgresStore(db, { schema, storeTimeout: '30s' })
  },
}

describe.each(Object.entries(stores))('syncApi on node:http, in %s', (_, newStore) => {
  register(syncWireSuite, wireSubject(newStore), { describe, it })
})

it('every server that is broken on purpose is caught, by the case that is there for it', async () => {
  const mutants = Object.fromEntries(
    Object.entries(wireFaults).map(([name, fault]) => {
      return [name, { ...wireSubject(stores.memory, fault), caughtBy: CAUGHT_BY[name]! }]
    }),
  )
  const { survivors, caughtBy } = await scoreMutants(syncWireSuite, mutants, { timeout: '30s' })
  expect(survivors).toEqual([])
  expect(caughtBy).toEqual(CAUGHT_BY)
}, 300_000)
