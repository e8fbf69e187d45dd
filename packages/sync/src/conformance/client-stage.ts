import type { Case, Tools } from '@keelson/kernel/conformance'
import type { ClientStore, StoreChange } from '../client/store.ts'
import type { ClientStoreUnderTest } from './client-store-under-test.ts'

// Cases run in a page of a browser too: they and all that they import import nothing of Node, but types.

const PATIENCE_MS = 20_000
const LOOK_EVERY_MS = 5

type Entry = readonly [key: string, value: unknown]

/** What a case of a client's store works with. */
export interface ClientStage extends Tools {
  /** A store that has loaded, as the client begins; closed behind the case. */
  open(): Promise<ClientStore>
  /** The same, with what it found, by key. */
  load(): Promise<{ readonly store: ClientStore; readonly found: readonly Entry[] }>
  /** One that nothing was asked of. */
  bare(): Promise<ClientStore>
  crash(): Promise<void>
  read(store: ClientStore, ...keys: readonly string[]): Promise<readonly unknown[]>
  write(store: ClientStore, ...changes: readonly StoreChange[]): Promise<void>
  /** It rejects, with whatever. */
  refused(promise: Promise<unknown>, why: string): Promise<void>
  until(what: string, look: () => boolean | Promise<boolean>): Promise<void>
}

/** A case on a place of its own. */
export function onPlace(
  name: string,
  run: (stage: ClientStage) => Promise<void>,
  ...needs: readonly string[]
): Case<ClientStoreUnderTest> {
  return {
    name,
    needs,
    async run(place, tools) {
      const open: ClientStore[] = []
      try {
        await run(openStage(place, tools, open))
      } finally {
        for (const store of open) await store.close()
      }
    },
  }
}

/** In the order of their keys. */
export function byKey(entries: Iterable<Entry>): readonly Entry[] {
  return Array.from(entries, ([key, value]) => [key, value] as const).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
}

function openStage(place: ClientStoreUnderTest, tools: Tools, open: ClientStore[]): ClientStage {
  async function bare(): Promise<ClientStore> {
    const store = await place.open()
    open.push(store)
    return store
  }
  async function load(): Promise<{ store: ClientStore; found: readonly Entry[] }> {
    const store = await bare()
    return { store, found: byKey(await store.load()) }
  }

  return {
    ...tools,
    bare,
    load,
    open: async () => (await load()).store,
    async crash() {
      // What was cut off is closed by nobody.
      open.length = 0
      await place.crash!()
    },
    async read(store, ...keys) {
      let seen: readonly unknown[] = []
      await store.update(keys, (values) => {
        seen = values
        return []
      })
      return seen
    },
    write: (store, ...changes) => store.update([], () => changes),
    async refused(promise, why) {
      const isRefused = await promise.then(
        () => false,
        () => true,
      )
      tools.ok(isRefused, why)
    },
    async until(what, look) {
      for (let waitedMs = 0; !(await look()); waitedMs += LOOK_EVERY_MS) {
        if (waitedMs > PATIENCE_MS) throw new Error(`not within ${PATIENCE_MS} ms: ${what}`)
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS))
      }
    },
  }
}
