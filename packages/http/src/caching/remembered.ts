import type { Headers } from '../exchange.ts'

/** What is known of an entry without its body. */
export interface Known {
  readonly version: string
  readonly headers: Headers
}

/** The newest of each entry, of so many entries. */
export function createRemembered(maxEntries: number): {
  get(id: string): Known | undefined
  keep(id: string, known: Known): void
} {
  const all = new Map<string, Known>()
  return {
    get: (id) => all.get(id),
    keep(id, known) {
      all.delete(id)
      all.set(id, known)
      if (all.size > maxEntries) all.delete(all.keys().next().value!)
    },
  }
}
