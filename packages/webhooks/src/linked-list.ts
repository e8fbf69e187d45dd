/** Where a value stands in a list; in none once it is removed. */
export interface Link<T> {
  readonly value: T
  list: LinkedList<T> | undefined
  before: Link<T> | undefined
  after: Link<T> | undefined
}

/**
 * Values in the order in which they came, each removed in one step. For what comes and goes all the time: the tables that
 * a Set outgrows keep what they held, and with those that V8 has once taken for old all of it would live as long.
 */
export interface LinkedList<T> {
  first: Link<T> | undefined
  last: Link<T> | undefined
}

export function createLinkedList<T>(): LinkedList<T> {
  return { first: undefined, last: undefined }
}

export function append<T>(list: LinkedList<T>, value: T): Link<T> {
  const link: Link<T> = { value, list, before: list.last, after: undefined }
  if (list.last === undefined) list.first = link
  else list.last.after = link
  list.last = link
  return link
}

/** Once removed, nothing. */
export function remove<T>(link: Link<T>): void {
  const { list, before, after } = link
  if (list === undefined) return
  if (before === undefined) list.first = after
  else before.after = after
  if (after === undefined) list.last = before
  else after.before = before
  // A link that somebody keeps must not keep others.
  link.list = link.before = link.after = undefined
}

export function* valuesOf<T>(list: LinkedList<T>): Generator<T, void> {
  for (let link = list.first; link !== undefined; link = link.after) yield link.value
}
