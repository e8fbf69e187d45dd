import { compareBytes } from '../canonical.ts'
import type { ConflictRow, SyncStore } from '../store.ts'
import type { State } from './state.ts'

export function conflicts(
  state: State,
  { scopes, status, after, limit }: Parameters<SyncStore['conflicts']>[0],
): readonly ConflictRow[] {
  return [...state.conflicts.values()]
    .filter((row) => row.status === status && scopes.includes(row.scope) && (after === undefined || row.id > after))
    .toSorted((a, b) => compareBytes(a.id, b.id))
    .slice(0, limit)
}

export function openConflicts(state: State, client?: string): number {
  let count = 0
  for (const row of state.conflicts.values()) {
    if (row.status === 'open' && (client === undefined || row.client === client)) count++
  }
  return count
}

export function trace(state: State, correlationId: string): Awaited<ReturnType<SyncStore['trace']>> {
  return [...state.results.values()]
    .filter((row) => row.correlationId === correlationId)
    .map(({ atMs, client, op, result }) => ({ atMs, client, op, result }))
}

export function inspect(state: State): Awaited<ReturnType<SyncStore['inspect']>> {
  const rows = [...state.scopes.values()].flatMap((scope) => [...scope.rows.values()])
  const tombstones = rows.filter(({ record }) => record.gone !== undefined).length
  return {
    records: rows.length - tombstones,
    tombstones,
    ops: state.results.size,
    openConflicts: openConflicts(state),
    era: state.era,
    horizonAgeMs: state.horizon === undefined ? null : Math.max(0, state.now() - state.horizon.atMs),
  }
}
