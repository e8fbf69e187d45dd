import { traced, type Effect, type Tx } from '@keelson/kernel'
import type { CheckedCollection } from './checked-collection.ts'
import type { Caller } from './collections.ts'
import type { Decision } from './decide.ts'

/** Writes the application's own tables, a collection at a time in the order of their names. */
export async function applyWins(
  { wins }: Decision,
  collections: ReadonlyMap<string, CheckedCollection>,
  who: Caller,
  tx: Tx | undefined,
): Promise<readonly Effect[]> {
  const effects: Effect[] = []
  const names = [...new Set(wins.map(({ c }) => c))].toSorted()
  for (const name of names) {
    const { apply } = collections.get(name)!
    if (apply === undefined) continue
    const own = wins.filter(({ c }) => c === name).map(({ c: _c, ...win }) => win)
    const details = () => ({ collection: name, wins: own.length })
    effects.push(...((await traced('sync:apply', details, () => apply(tx, own, who))) ?? []))
  }
  return effects
}
