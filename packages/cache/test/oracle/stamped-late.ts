import type { CacheStore } from '@keelson/cache'

/** A store whose fills take the moment of their end for that of their beginning: what each cache of the kind gets wrong. */
export function stampedLate(store: CacheStore): CacheStore {
  return {
    kind: store.kind,
    open(name, o) {
      const tier = store.open(name, o)
      return {
        ...tier,
        async fill(ref, lease, entry, node) {
          const [now] = await tier.read([ref], { lockMs: 0, node, body: false })
          return tier.fill(ref, now?.kind === 'miss' ? now.lease : lease, entry, node)
        },
      }
    },
  }
}
