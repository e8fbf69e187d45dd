import { expect, test } from 'vitest'
import { scoreMutants } from '@keelson/kernel/conformance'
import { brokenStores, webhookStoreSuite } from '@keelson/webhooks/conformance'

test('every store that is broken on purpose is caught', async () => {
  const { total, survivors } = await scoreMutants(webhookStoreSuite, brokenStores, { timeout: '20s' })
  expect(total).toBeGreaterThanOrEqual(120)
  expect(survivors).toEqual([])
}, 300_000)
