import { expect, test } from 'vitest'
import { scoreMutants } from '@keelson/kernel/conformance'
import { brokenClientStores, syncClientStoreSuite } from '../../src/conformance/index.ts'

test('every store of a client that is broken on purpose is caught', async () => {
  const { total, survivors } = await scoreMutants(syncClientStoreSuite, brokenClientStores)
  expect(survivors).toEqual([])
  expect(total).toBeGreaterThanOrEqual(60)
}, 300_000)
