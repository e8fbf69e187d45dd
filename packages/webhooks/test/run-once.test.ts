import { expect, test } from 'vitest'
import { createWebhooks, memoryStore } from '../src/index.ts'

test('a run ends when nothing is due any more, however fast handlers are', async () => {
  const webhooks = createWebhooks({ store: memoryStore(), encryption: 'plaintext' })
  let handled = 0
  webhooks.handle('count', { types: ['**'] }, () => void handled++)
  await webhooks.runOnce()
  const events = Array.from({ length: 500 }, () => ({ type: 'a.b', data: {}, scope: 'acme' }))
  await webhooks.sendMany(events)
  expect(await webhooks.runOnce()).toEqual({ done: true })
  expect(handled).toBe(500)
  await webhooks.close()
})
