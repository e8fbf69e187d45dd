import type { ClientStore } from '../../client/store.ts'
import type { ClientStoreUnderTest } from '../client-store-under-test.ts'

/** A place that keeps all its promises: what faults are laid over. */
export interface SoundPlace extends ClientStoreUnderTest {
  /** What is kept, as text. */
  readonly held: Map<string, string>
  open(): Promise<ClientStore>
  crash(): Promise<void>
}

type Listener = (keys: readonly string[]) => void

interface Tab {
  isOpen: boolean
  readonly listeners: Set<Listener>
}

/** In memory: it lives as long as the place. */
export function soundPlace(): SoundPlace {
  const held = new Map<string, string>()
  const tabs = new Set<Tab>()
  const read = (key: string): unknown => {
    const json = held.get(key)
    return json === undefined ? undefined : JSON.parse(json)
  }

  /** Later, as a message between tabs comes. */
  function tellOthers(writer: Tab, keys: readonly string[]): void {
    setTimeout(() => {
      for (const tab of tabs) if (tab !== writer) for (const fn of tab.listeners) fn(keys)
    })
  }

  function openTab(): ClientStore {
    const tab: Tab = { isOpen: true, listeners: new Set() }
    tabs.add(tab)
    const demandOpen = (): void => {
      if (!tab.isOpen) throw new Error('the store is closed')
    }
    return {
      async load() {
        demandOpen()
        return Array.from(held.keys(), (key) => [key, read(key)] as const)
      },
      async update(keys, decide) {
        demandOpen()
        const changes = decide(keys.map(read))
        for (const [key, value] of changes) {
          if (value === undefined) held.delete(key)
          else held.set(key, JSON.stringify(value))
        }
        tellOthers(
          tab,
          changes.map(([key]) => key),
        )
      },
      watch(fn) {
        // One of its own for each call: the same function may be given twice.
        const listener: Listener = (keys) => fn(keys)
        tab.listeners.add(listener)
        return () => void tab.listeners.delete(listener)
      },
      async close() {
        tab.isOpen = false
        tabs.delete(tab)
      },
    }
  }

  return {
    held,
    open: async () => openTab(),
    async crash() {
      for (const tab of tabs) tab.isOpen = false
      tabs.clear()
    },
  }
}
