/** What entries take over their keys and values, in a process of its own with --expose-gc. */
import { randomBytes } from 'node:crypto'
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import { serveParent } from '../../src/child.ts'
import { createL1 } from './l1.ts'

const ENTRIES = 100_000
const HUNDRED = 100

/** Alive to the end. */
let kept: unknown

serveParent(async ({ of, tags }: { of: 'keelson' | 'bentocache'; tags: 'none' | 'shared' | 'own' }) => {
  const keys = Array.from({ length: ENTRIES }, (_, i) => flat(`user:${i}`))
  const values = keys.map((_, id) => ({ id }))
  // One all have, and some that a hundred have; or five of its own.
  const tagsOf = (i: number): string[] =>
    tags === 'none'
      ? []
      : [0, 1, 2, 3, 4].map((n) => flat(`tag${n}:${tags === 'own' ? i : n === 0 ? '' : Math.floor(i / HUNDRED)}`))
  const before = liveBytes()
  kept = [keys, values, of === 'keelson' ? keep(keys, values, tagsOf) : await keepInBentocache(keys, values, tagsOf)]
  return { bytes: (liveBytes() - before) / ENTRIES }
})

function keep(keys: readonly string[], values: readonly object[], tagsOf: (i: number) => string[]): unknown {
  const l1 = createL1({ maxEntries: ENTRIES, maxBytes: 1e12 })
  const scope = l1.scope('bench')
  for (const [i, key] of keys.entries()) {
    const now = performance.now()
    const entry = {
      value: values[i],
      bytes: HUNDRED,
      tags: tagsOf(i),
      stamp: flat('Pq3xTn0aLcE:1'),
      fill: randomBytes(6).toString('base64url'),
      loadMs: 1.5,
      storedMs: now,
      endsMs: now + 60_000.5,
      goneMs: now + 60_000.5,
    }
    scope.put(key, scope.generation, entry)
  }
  if (l1.entries !== ENTRIES) throw new Error(`${l1.entries} entries`)
  return [l1, scope]
}

async function keepInBentocache(keys: readonly string[], values: readonly object[], tagsOf: (i: number) => string[]) {
  const store = bentostore().useL1Layer(memoryDriver({ maxItems: ENTRIES, serialize: false }))
  const bento = new BentoCache({ default: 'l1', ttl: 3_600_000, stores: { l1: store } })
  for (const [i, key] of keys.entries()) await bento.set({ key, value: values[i], tags: tagsOf(i) })
  return bento
}

/** Without the pieces that it was put together from. */
function flat(text: string): string {
  return Buffer.from(text).toString('latin1')
}

function liveBytes(): number {
  for (let i = 0; i < 4; i++) globalThis.gc!()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
