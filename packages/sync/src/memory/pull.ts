import type { Pulled, PulledRow, PullQuery } from '../store.ts'
import { comparePlaces, formatPlace, readPlace, type RowPlace } from './place.ts'
import { formatSnapshot, isOfEra, readSnapshot } from './snapshot.ts'
import type { Kept, State } from './state.ts'

/** What is behind the floor, up to the target, behind the page before. */
export function pull(state: State, q: PullQuery): Pulled {
  const floor = q.floor === null ? undefined : readSnapshot(q.floor)
  const target = q.target === undefined ? state : readSnapshot(q.target)
  const after = q.after === undefined ? undefined : readPlace(q.after)
  if (!isOfEra(state, target) || (floor !== undefined && !isOfEra(state, floor))) return { kind: 'other-era' }
  // Also between two pages: what went meanwhile may be what the next one had told.
  if (floor !== undefined && floor.tx < (state.horizon?.tx ?? 0)) return { kind: 'expired' }

  const found: (Kept & { isNew: boolean })[] = []
  for (const { name, isKnown } of q.scopes) {
    const floorTx = isKnown && floor !== undefined ? floor.tx : 0
    for (const kept of state.scopes.get(name)?.rows.values() ?? []) {
      if (kept.tx <= floorTx || kept.tx > target.tx) continue
      const isNew = kept.createdTx > floorTx
      if (isNew && kept.record.gone !== undefined) continue
      if (q.collections !== null && !q.collections.includes(kept.record.c)) continue
      if (after === undefined || comparePlaces(placeOf(kept), after) > 0) found.push({ ...kept, isNew })
    }
  }
  const page = found.toSorted((a, b) => comparePlaces(placeOf(a), placeOf(b))).slice(0, q.limit)
  return {
    kind: 'page',
    rows: page.map((kept): PulledRow => ({ ...kept.record, isNew: kept.isNew, place: formatPlace(placeOf(kept)) })),
    target: formatSnapshot(target),
    more: found.length > page.length,
    nowMs: state.now(),
  }
}

/** Of another era everything is behind. */
export function changed(
  state: State,
  since: string | null,
  scopes: readonly string[],
): { readonly scopes: readonly string[]; readonly token: string } {
  const token = formatSnapshot(state)
  if (since === null) return { scopes: [], token }
  const snapshot = readSnapshot(since)
  const sinceTx = isOfEra(state, snapshot) ? snapshot.tx : 0
  return { scopes: scopes.filter((name) => (state.scopes.get(name)?.tx ?? 0) > sinceTx), token }
}

const placeOf = ({ record, tx }: Kept): RowPlace => ({ ...record, tx })
