import type { Environment } from './environment.ts'
import { componentsOf, openSystem } from './system.ts'

/**
 * `explain <correlation-id>`: what all stores know of one request and of what came of it, a line each, the oldest first.
 * Rejects when nobody knows the id.
 */
export async function explain(environment: Environment, [id]: readonly string[]): Promise<string[]> {
  if (id === undefined) throw new Error('explain needs a correlation id')
  const system = await openSystem(environment, { works: false })
  try {
    const rows = (await Promise.all(componentsOf(system).map(async (each) => (await each.trace?.(id)) ?? []))).flat()
    if (rows.length === 0) throw new Error(`nothing is known of ${id}`)
    return rows
      .toSorted((a, b) => a.at - b.at)
      .map(({ at, kind, text }) => `${new Date(at).toISOString()} ${kind.padEnd(18)} ${text}`)
  } finally {
    await system.close()
  }
}
