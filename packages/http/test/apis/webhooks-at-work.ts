import { createWebhooks, memoryStore, type Webhooks } from '@keelson/webhooks'

/** Webhooks with a sample in each family: one event was handled, and refused by an endpoint inside the network. */
export async function webhooksAtWork(opened: AsyncDisposableStack): Promise<Webhooks> {
  const webhooks = opened.use(
    createWebhooks({
      store: memoryStore(),
      encryption: 'plaintext',
      storeTimeout: '10s',
      network: { resolve: async () => [{ address: '10.0.0.1', family: 4 }] },
    }),
  )
  webhooks.handle('log', { types: ['**'] }, () => {})
  await webhooks.endpoints.create({ scope: 'm1', url: 'https://inside.example/hook' })
  await webhooks.send('order.created', { id: 1 }, { scope: 'm1' })
  await webhooks.runOnce()
  return webhooks
}
