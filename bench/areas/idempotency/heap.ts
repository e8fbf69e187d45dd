/** How much memory records take, in a process of its own with --expose-gc. */
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { serveParent } from '../../src/child.ts'

const RECORDS = 20_000
const answer = 'x'.repeat(998) // 1,000 bytes of JSON

serveParent(async () => {
  const idempotency = createIdempotency({ store: memoryStore({ maxRecords: RECORDS }) })
  const before = liveBytes()
  for (let i = 0; i < RECORDS; i++) {
    await idempotency.run({ scope: 'public', op: 'pay', key: `key-${i}`, input: { i } }, async () => answer)
  }
  const bytes = (liveBytes() - before) / RECORDS - JSON.stringify(answer).length
  await idempotency.close() // alive until here
  return { bytes }
})

function liveBytes(): number {
  for (let i = 0; i < 3; i++) globalThis.gc!()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
