import type { Head } from '../store.ts'

/*
 * An entry has a position from the moment at which it is durable, and an index when it is sealed. They differ by what was
 * lost before it was sealed, or drained: those positions never get an index.
 */

/** How far a log is, on disk in one file: whatever else was written counts as far as this says. */
export interface HeadState {
  readonly size: number
  /** Base64. */
  readonly frontier: string
  /** All positions below it are sealed, drained or lost. */
  readonly position: number
  /** Positions below it without an index: where they begin and how many, ascending. */
  readonly skips: readonly (readonly [number, number])[]
  /** The first index whose bytes are kept, and the position from which on segments are. */
  readonly pruned: number
  readonly kept: number
  /** All positions below it were whole when the store was closed. */
  readonly closed: number
}

export const FIRST_STATE: HeadState = {
  size: 0,
  frontier: '',
  position: 0,
  skips: [],
  pruned: 0,
  kept: 0,
  closed: 0,
}

export function headOf(state: HeadState): Head {
  return { size: state.size, frontier: new Uint8Array(Buffer.from(state.frontier, 'base64')) }
}

/** The position of a sealed entry. */
export function positionOf(state: HeadState, index: number): number {
  let position = index
  for (const [at, count] of state.skips) {
    if (at > position) break
    position += count
  }
  return position
}

/** How many of the positions below this one have an index. */
export function indexBelow(state: HeadState, position: number): number {
  let index = position
  for (const [at, count] of state.skips) {
    if (at >= position) break
    index -= Math.min(count, position - at)
  }
  return index
}

/** These positions, ascending and behind all others, have no index either. */
export function withSkips(skips: HeadState['skips'], positions: readonly number[]): HeadState['skips'] {
  const all = skips.map(([at, count]) => [at, count] as [number, number])
  for (const position of positions) {
    const last = all.at(-1)
    if (last !== undefined && last[0] + last[1] === position) last[1]++
    else all.push([position, 1])
  }
  return all
}
