import type { Clock } from '@keelson/kernel'
import { createClaiming } from './memory/claiming.ts'
import { createEndpoints, createPausing } from './memory/endpoints.ts'
import type { Management } from './memory/management.ts'
import { checkMemoryOptions } from './memory/options.ts'
import { createPublishing } from './memory/publishing.ts'
import { createRedrives } from './memory/redrives.ts'
import { createRouting } from './memory/routing.ts'
import { createSettling } from './memory/settling.ts'
import { createState } from './memory/state.ts'
import { sweep } from './memory/sweep.ts'
import type { WebhookStore } from './store.ts'

/** What `memoryStore()` takes. */
export interface MemoryStoreOptions {
  readonly clock?: Clock
}

/** The store in this process: nothing survives it, and no other process sees it. It is the model of the others. */
export function memoryStore(o: MemoryStoreOptions = {}): WebhookStore {
  const state = createState(checkMemoryOptions(o).clock)
  const { wakers } = state
  const { forget, ...redrives } = createRedrives(state)

  let management: Promise<Management> | undefined
  const open = (): Promise<Management> =>
    (management ??= import('./memory/management.ts').then(({ createManagement }) => createManagement(state)))

  /** A part of it by the names of its methods: loaded at the first call, which most processes never make. */
  function lazily<K extends 'events' | 'deliveries' | 'signingKeys'>(
    part: K,
    ...methods: readonly (keyof Management[K] & string)[]
  ): Management[K] {
    const all = methods.map((method) => {
      const call = async (...args: unknown[]) =>
        ((await open())[part][method] as (...given: unknown[]) => Promise<unknown>)(...args)
      return [method, call] as const
    })
    return Object.fromEntries(all) as unknown as Management[K]
  }

  return {
    kind: 'memory',
    transactional: false,
    ...createPublishing(state),
    ...createRouting(state),
    ...createClaiming(state),
    ...createSettling(state),
    ...createPausing(state),
    endpoints: createEndpoints(state),
    events: lazily('events', 'get', 'bySubject', 'erase', 'trace'),
    deliveries: { ...lazily('deliveries', 'get', 'list', 'attempts', 'retry', 'cancel'), ...redrives },
    signingKeys: lazily('signingKeys', 'insert', 'get', 'list', 'expire'),

    async onWake(fn) {
      wakers.add(fn)
      return async () => {
        wakers.delete(fn)
      }
    },
    async sweep(limit, retention) {
      const swept = sweep(state, limit, retention)
      if (swept < limit) forget(retention.deliveriesMs)
      return swept
    },
    async inspect() {
      return (await open()).status()
    },
    async health() {},
    async close() {
      wakers.clear()
    },
  }
}
