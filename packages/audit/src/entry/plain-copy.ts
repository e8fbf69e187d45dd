import { kindOf } from './failure.ts'
import { isPersonal, markPersonal } from './personal.ts'
import { enter, refusal, type Visit, type Walk } from './walk.ts'

/** What JSON says of a value, with a person's values still marked. */
export type Plain = string | number | boolean | null | readonly Plain[] | PlainObject | PersonalCopy
export interface PlainObject {
  readonly [name: string]: Plain
}

/** A person's value in a copy. */
export class PersonalCopy {
  readonly subject: unknown
  readonly value: Plain | undefined

  constructor(subject: unknown, value: Plain | undefined) {
    markPersonal(this)
    this.subject = subject
    this.value = value
  }
}

/** Reads a value once, so that it can be compared and written without calling anybody. @throws AuditError ENTRY_INVALID */
export function plainCopy(value: unknown, walk: Walk): Plain | undefined {
  if (typeof value !== 'object' || value === null) return primitive(value, walk)
  if (!isPersonal(value)) return enter(value, walk, VISIT)
  const { subject, value: inner } = value as { subject: unknown; value: unknown }
  return new PersonalCopy(subject, plainCopy(inner, walk))
}

const VISIT: Visit<Plain | undefined, Walk> = { array, object, value: primitive }

function primitive(value: unknown, walk: Walk): Plain | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    case 'undefined':
      return value
    case 'number':
      if (!Number.isFinite(value)) throw refusal(walk, kindOf(value))
      return value === 0 ? 0 : value // JSON has one zero.
    case 'bigint':
      return String(value)
    case 'object':
      return null // No other one comes here.
    default:
      throw refusal(walk, kindOf(value))
  }
}

function array(given: readonly unknown[], walk: Walk): Plain {
  const copy: Plain[] = []
  for (let i = 0; i < given.length; i++) {
    walk.path.push(i)
    const value = plainCopy(given[i], walk)
    if (value === undefined) throw refusal(walk, 'undefined')
    copy.push(value)
    walk.path.pop()
  }
  return copy
}

function object(given: Readonly<Record<string, unknown>>, walk: Walk, toJson: unknown): Plain {
  const copy: Record<string, Plain> = {}
  for (const key of Object.keys(given)) {
    walk.path.push(key)
    const value = plainCopy(key === 'toJSON' ? toJson : given[key], walk)
    if (value !== undefined) put(copy, key, value)
    walk.path.pop()
  }
  return copy
}

/** `__proto__` is a name like any other. */
export function put<T>(object: Record<string, T>, name: string, value: T): void {
  if (name === '__proto__') {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  } else object[name] = value
}
