import { PersonalCopy, type Plain, type PlainObject } from './plain-copy.ts'

/** Is told of each difference; undefined: nothing is there. Stops at false. */
export interface Differing {
  found(path: readonly (string | number)[], a: Plain | undefined, b: Plain | undefined): boolean
  /** Whether what is at that path is one value: not compared member by member. */
  whole(path: readonly (string | number)[]): boolean
}

/**
 * Compares two values: objects by members, arrays by index. In the order of `a`, then what only `b` has; elements that
 * `a` has more are told from the end, so that changes can be made one after the other. False when it was stopped.
 */
export function compare(
  a: Plain | undefined,
  b: Plain | undefined,
  to: Differing,
  path: (string | number)[] = [],
): boolean {
  if (a === b) return true
  if (Array.isArray(a) && Array.isArray(b) && !to.whole(path)) return compareArrays(a, b, to, path)
  if (isPlainObject(a) && isPlainObject(b) && !to.whole(path)) return compareObjects(a, b, to, path)
  return equal(a, b) || to.found(path, a, b)
}

function compareArrays(a: readonly Plain[], b: readonly Plain[], to: Differing, path: (string | number)[]): boolean {
  const common = Math.min(a.length, b.length)
  for (let i = 0; i < common; i++) if (!below(a[i], b[i], to, path, i)) return false
  for (let i = a.length - 1; i >= common; i--) if (!below(a[i], undefined, to, path, i)) return false
  for (let i = common; i < b.length; i++) if (!below(undefined, b[i], to, path, i)) return false
  return true
}

function compareObjects(a: PlainObject, b: PlainObject, to: Differing, path: (string | number)[]): boolean {
  for (const name of Object.keys(a)) if (!below(a[name], own(b, name), to, path, name)) return false
  for (const name of Object.keys(b)) {
    if (!Object.hasOwn(a, name) && !below(undefined, b[name], to, path, name)) return false
  }
  return true
}

function below(
  a: Plain | undefined,
  b: Plain | undefined,
  to: Differing,
  path: (string | number)[],
  token: string | number,
): boolean {
  path.push(token)
  const goOn = compare(a, b, to, path)
  path.pop()
  return goOn
}

/** The same JSON; whose value it is does not count. */
function equal(left: Plain | undefined, right: Plain | undefined): boolean {
  const a = bare(left)
  const b = bare(right)
  if (a === b) return true
  if (Array.isArray(a)) {
    return Array.isArray(b) && a.length === b.length && a.every((one, i) => equal(one, b[i] as Plain))
  }
  if (!isPlainObject(a) || !isPlainObject(b)) return false
  const names = Object.keys(a)
  return names.length === Object.keys(b).length && names.every((name) => equal(a[name], own(b, name)))
}

function bare(value: Plain | undefined): Plain | undefined {
  return value instanceof PersonalCopy ? value.value : value
}

/** A member of its own: an object has `constructor` without having one. */
function own(object: PlainObject, name: string): Plain | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined
}

function isPlainObject(value: Plain | undefined): value is PlainObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof PersonalCopy)
}
