import type { Json, Personal } from '../audit.ts'

/** The same in every copy of this package: what is not known as a person's would be written in the clear. */
const PERSONAL = Symbol.for('keelson.audit.personal')

/**
 * Marks a value as a person's: in an entry it is encrypted under a key of its own, which `eraseSubject` destroys.
 * `subject` is how your application names the person within the scope.
 */
export function personal<T extends Json>(subject: string, value: T): Personal<T> {
  return Object.freeze(markPersonal({ subject, value })) as Personal<T>
}

/** Marks an object with `subject` and `value` as a person's. */
export function markPersonal<T extends object>(value: T): T {
  // Enumerable, so that a copy made by spreading is marked too.
  return Object.assign(value, { [PERSONAL]: true })
}

/** Whether {@link personal} made it, in any copy of this package. */
export function isPersonal(value: object): value is Personal {
  return (value as { [PERSONAL]?: unknown })[PERSONAL] === true
}
