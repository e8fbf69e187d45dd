import { randomBytes } from 'node:crypto'
import { createCache, memoryStore, type CacheOptions, type Caches } from '@keelson/cache'

/** What the nodes of one cache share. */
export interface Backend extends AsyncDisposable {
  /** A started node. */
  node(o?: Partial<CacheOptions>): Promise<Caches>
}

/** Every store, on its real server, for tests of the whole. */
export const backends: Record<string, () => Promise<Backend>> = {
  memory: async () => {
    const store = memoryStore()
    return backendOver(() => ({ store }))
  },
}

function backendOver(
  optionsOf: () => Pick<CacheOptions, 'store' | 'log'>,
  dispose: () => Promise<void> = async () => {},
): Backend {
  const name = `t${randomBytes(6).toString('hex')}`
  const nodes: Caches[] = []
  return {
    async node(o = {}) {
      // What is tested must not depend on how long the machine stands still.
      const caches = createCache({ name, storeTimeout: '10s', jitter: 0, early: 0, ...optionsOf(), ...o })
      await caches.start()
      nodes.push(caches)
      return caches
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(nodes.map(async (node) => node.close()))
      await dispose()
    },
  }
}
