import { editOf, type Doc } from './edits.ts'
import type { Kept } from './kept.ts'
import type { Place } from './wire.ts'

/** What a database keeps that writes by itself, later, what it is given. */
export interface OwedState {
  readonly kept?: Kept
  /** Records that have moved, and that it has not been seen to have written. */
  readonly owed: readonly string[]
  /** Grows with them. */
  readonly n: number
}

export interface Owed extends Place {
  n(): number
  /** Forgets what it has. */
  drop(isThere: (id: string, doc: Doc | undefined) => boolean): void
  /** What it is to write, as the server told it last; undefined: to remove. */
  docs(): readonly (readonly [id: string, doc: Doc | undefined])[]
  /** The same, as WatermelonDB wants it. */
  changes(): { created: never[]; updated: ({ id: string } & Doc)[]; deleted: string[] }
}

export function openOwed(before: OwedState | undefined, keep: (state: OwedState) => Promise<unknown>): Owed {
  let state = before ?? { owed: [], n: 1 }
  const docOf = (id: string): Doc | undefined => state.kept?.recs[id]?.doc
  const docs = (): ReturnType<Owed['docs']> => state.owed.map((id) => [id, docOf(id)])
  return {
    docs,
    changes: () => ({
      created: [],
      updated: docs().flatMap(([id, doc]) => (doc === undefined ? [] : [{ ...doc, id }])),
      deleted: docs().flatMap(([id, doc]) => (doc === undefined ? [id] : [])),
    }),
    load: () => state.kept,
    async save(kept, moves) {
      const moved = moves.filter((move) => editOf(move.before, move.after) !== undefined).map(({ id }) => id)
      state = { kept, owed: [...new Set([...state.owed, ...moved])], n: state.n + moved.length }
      await keep(state)
    },
    n: () => state.n,
    drop(isThere) {
      state = { ...state, owed: state.owed.filter((id) => !isThere(id, docOf(id))) }
    },
  }
}
