import type { ClientStore } from './store.ts'

/** Nothing survives the process. */
export function memoryStore(): ClientStore {
  const held = new Map<string, string>()
  let isClosed = false
  const demandOpen = (): void => {
    if (isClosed) throw new Error('the store is closed')
  }
  const read = (json: string | undefined): unknown => (json === undefined ? undefined : JSON.parse(json))
  return {
    async load() {
      demandOpen()
      return Array.from(held, ([key, json]) => [key, read(json)] as const)
    },
    async update(keys, decide) {
      demandOpen()
      for (const [key, value] of decide(keys.map((key) => read(held.get(key))))) {
        if (value === undefined) held.delete(key)
        else held.set(key, JSON.stringify(value))
      }
    },
    async close() {
      isClosed = true
    },
  }
}
