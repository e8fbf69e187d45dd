import { CacheError } from './error.ts'
import type { Key } from './key.ts'

/** A loader of one key that asks for all keys of its moment at once. */
export function groupLoad<T>(load: (missing: readonly Key[]) => Promise<readonly T[]>): (key: Key) => Promise<T> {
  let open: { readonly keys: Key[]; readonly values: Promise<readonly T[]> } | undefined

  async function begin(keys: readonly Key[]): Promise<readonly T[]> {
    // Locks of one call of the store are known in one turn of the event loop.
    await new Promise((resolve) => setImmediate(resolve))
    open = undefined
    const values: unknown = await load(keys)
    if (Array.isArray(values) && values.length === keys.length) return values as T[]
    const got = Array.isArray(values) ? `${values.length} values` : typeof values
    throw new CacheError('INPUT_INVALID', `load() must answer a value for each of ${keys.length} keys (got ${got})`)
  }

  return async (key) => {
    if (open === undefined) {
      const keys: Key[] = []
      open = { keys, values: begin(keys) }
    }
    const index = open.keys.push(key) - 1
    return (await open.values)[index]!
  }
}
