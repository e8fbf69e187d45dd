import { keyText } from '../record-key.ts'
import type { State } from './state.ts'

/** Oldest first: the horizon moves no farther than it must. */
export function gc(
  state: State,
  { tombstonesMs, opsMs, batch }: { readonly tombstonesMs: number; readonly opsMs: number; readonly batch: number },
): { readonly tombstones: number; readonly ops: number } {
  const nowMs = state.now()
  const old = [...state.scopes.values()]
    .flatMap(({ rows }) => [...rows.values()])
    .filter(({ record, atMs }) => record.gone !== undefined && atMs <= nowMs - tombstonesMs)
    .toSorted((a, b) => a.tx - b.tx)
    .slice(0, batch)
  const last = old.at(-1)
  if (last !== undefined && last.tx > (state.horizon?.tx ?? 0)) state.horizon = { tx: last.tx, atMs: last.atMs }
  for (const { record } of old) state.scopes.get(record.scope)!.rows.delete(keyText(record))

  let ops = 0
  for (const [key, { atMs }] of state.results) {
    if (ops === batch) break
    if (atMs > nowMs - opsMs) continue
    state.results.delete(key)
    ops++
  }
  return { tombstones: old.length, ops }
}
