import { expect, test } from 'vitest'
import { scoreMutants } from '@keelson/kernel/conformance'
import { brokenStores, syncStoreSuite } from '../src/conformance/index.ts'

test('every store that is broken on purpose is caught', async () => {
  const { total, survivors } = await scoreMutants(syncStoreSuite, brokenStores, { timeout: '30s' })
  expect(survivors).toEqual([])
  expect(total).toBeGreaterThanOrEqual(90)
}, 300_000)
