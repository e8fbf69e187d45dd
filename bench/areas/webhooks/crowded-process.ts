/** A dispatcher in a process of its own, which times its claims. */
import { setTimeout as sleep } from 'node:timers/promises'
import { createWebhooks } from '@keelson/webhooks'
import { serveParent } from '../../src/child.ts'
import { quantile } from '../../src/statistics.ts'
import { LOCAL, openStore, type Kind } from './hung-keelson.ts'

const [kind, url, place] = process.argv.slice(2) as [Kind, string, string]
const { store } = await openStore(kind, url, place)
const SAMPLE_MS = 100

let claimsMs: number[] = []
let claimed = 0
const webhooks = createWebhooks({
  ...LOCAL,
  store: {
    ...store,
    async claim(q) {
      const beginsMs = performance.now()
      const claims = await store.claim(q)
      claimsMs.push(performance.now() - beginsMs)
      claimed += claims.length
      return claims
    },
  },
})

serveParent<{ readonly forMs: number }>(async ({ forMs }) => {
  claimsMs = []
  claimed = 0
  let rss = 0
  const beginsMs = performance.now()
  await webhooks.start()
  while (performance.now() < beginsMs + forMs) {
    await sleep(SAMPLE_MS)
    rss = Math.max(rss, process.memoryUsage.rss())
  }
  const passedS = (performance.now() - beginsMs) / 1_000
  await webhooks.stop()
  return {
    'claim p99 ms': quantile(claimsMs, 0.99),
    'claim p50 ms': quantile(claimsMs, 0.5),
    'RSS MB': rss / 1e6,
    'per s': claimed / passedS,
  }
})
