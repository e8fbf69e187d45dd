import { createWebhooks } from '@keelson/webhooks'
import type { NodeOptions } from './node.ts'
import { openPlace, type Place } from './place.ts'

/** Delivers what is due until it dies. */
const { PLACE = '', OPTIONS = '' } = process.env
const { store } = await openPlace(JSON.parse(PLACE) as Place)
const webhooks = createWebhooks({
  store,
  encryption: 'plaintext',
  storeTimeout: '5s',
  ...(JSON.parse(OPTIONS) as NodeOptions),
})
process.on('disconnect', () => process.exit())
await webhooks.start()
process.send?.({ ready: true })
