import { AuditError } from '../error.ts'
import { entryFailure, shownName } from './failure.ts'
import { isOrdinary, ownJson } from './own-json.ts'
import { pointerOf } from './pointer.ts'

/** A graph of objects can have more paths than there is time. */
const BOUNDS = { objects: 100_000, depth: 200 } as const

/** A way through a caller's values: each is read once, whatever it is. */
export interface Walk {
  /** The member of the input: `data`, `old`. */
  readonly name: string
  /** Where it is now, below that member. */
  readonly path: (string | number)[]
  /** The objects around it. */
  readonly above: object[]
  /** How many more objects are read. */
  objectsLeft: number
  readonly maxDepth: number
}

export function startWalk(name: string, bounds: { objects: number; depth: number } = BOUNDS): Walk {
  return { name, path: [], above: [], objectsLeft: bounds.objects, maxDepth: bounds.depth }
}

/** What is done with the values that are met. */
export interface Visit<T, W extends Walk> {
  array(array: readonly unknown[], walk: W): T
  /** `toJson` is its member of that name. */
  object(object: Readonly<Record<string, unknown>>, walk: W, toJson: unknown): T
  /** A primitive, or undefined. */
  value(value: unknown, walk: W): T
}

/** Goes into an object, never around in circles. @throws AuditError ENTRY_INVALID */
export function enter<T, W extends Walk>(given: object, walk: W, visit: Visit<T, W>): T {
  if (walk.above.includes(given)) throw refusal(walk, 'a cycle')
  if (walk.above.length >= walk.maxDepth) throw refusal(walk, `deeper than ${walk.maxDepth} levels`)
  if (--walk.objectsLeft < 0) throw entryFailure(`"${walk.name}" has more than ${BOUNDS.objects} objects`)
  const { toJSON } = given as { toJSON?: unknown }
  if (typeof toJSON !== 'function' && isOrdinary(given)) return inside(given, given, toJSON, walk, visit)
  const own = ownJson(given, toJSON, String(walk.path.at(-1) ?? walk.name))
  if (own.kind === 'refused') throw refusal(walk, own.what)
  if (own.kind === 'value') return visit.value(own.value, walk)
  // Of another object that member was not read yet.
  const known = own.object === given ? toJSON : (own.object as { toJSON?: unknown }).toJSON
  return inside(given, own.object, known, walk, visit)
}

/** `object` stands for `given`. */
function inside<T, W extends Walk>(given: object, object: object, toJson: unknown, walk: W, visit: Visit<T, W>): T {
  walk.above.push(given)
  const done = Array.isArray(object)
    ? visit.array(object, walk)
    : visit.object(object as Record<string, unknown>, walk, toJson)
  walk.above.pop()
  return done
}

/** What is there is not JSON. */
export function refusal(walk: Walk, what: string): Error {
  return entryFailure(`"${placeOf(walk)}" is ${what}`)
}

/** For errors: a pointer below the input's member. */
function placeOf(walk: Walk): string {
  return walk.name + shownName(pointerOf(walk.path))
}

/** Runs `read` on a caller's values: what they throw themselves is told with its place. @throws AuditError ENTRY_INVALID */
export function reading<T>(walk: Walk, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw error instanceof AuditError ? error : entryFailure(`"${placeOf(walk)}" could not be read`, error)
  }
}
