/** A dispatcher of ours in a process of its own. */
import { serveParent } from '../../src/child.ts'
import { openKeelson, type Kind } from './hung-keelson.ts'

const [kind, url, place] = process.argv.slice(2) as [Kind, string, string]
const { webhooks, end } = await openKeelson(kind, url, place)
await webhooks.start()
serveParent<{ readonly kind: 'stop' }>(async () => {
  await webhooks.stop({ drain: 0 })
  await webhooks.close()
  await end()
})
