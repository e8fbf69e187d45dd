/** Deeper values are refused: neither we nor JSON should run out of stack. */
const MAX_DEPTH = 200

/**
 * Why JSON would not carry a value back equal, naming the place; undefined when it would. A member that is `undefined`
 * is allowed: it comes back as missing, which reads the same. So is -0, which comes back as 0.
 */
export function jsonFault(value: unknown): string | undefined {
  return faultOf(value, '', [])
}

/** `above`: the objects that hold this one. */
function faultOf(value: unknown, at: string | number, above: object[]): string | undefined {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return undefined
    case 'number':
      return Number.isFinite(value) ? undefined : named(String(value), at)
    case 'object':
      return value === null ? undefined : faultInside(value, at, above)
    case 'undefined':
      return named('undefined', at)
    default:
      return named(`a ${typeof value}`, at)
  }
}

function faultInside(value: object, at: string | number, above: object[]): string | undefined {
  if (above.includes(value)) return named('a cycle', at)
  if (above.length >= MAX_DEPTH) return `more than ${MAX_DEPTH} levels`
  if (!Array.isArray(value)) {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return named(`an instance of ${classOf(value)}`, at)
    if (typeof (value as { toJSON?: unknown }).toJSON === 'function') return named('an object with toJSON()', at)
    if (Object.getOwnPropertySymbols(value).length > 0) return named('a member named by a symbol', at)
  } else if (!Array.isArray(Object.getPrototypeOf(value))) {
    return named(`an instance of ${classOf(value)}`, at)
  }
  above.push(value)
  const fault = Array.isArray(value) ? faultOfItems(value, above) : faultOfMembers(value as Members, above)
  above.pop()
  return fault
}

type Members = Readonly<Record<string, unknown>>

function faultOfItems(items: readonly unknown[], above: object[]): string | undefined {
  // By index: a hole is undefined, too.
  for (let i = 0; i < items.length; i++) {
    const fault = faultOf(items[i], i, above)
    if (fault !== undefined) return fault
  }
  return Object.keys(items).length === items.length ? undefined : 'an array with members of its own'
}

function faultOfMembers(members: Members, above: object[]): string | undefined {
  for (const name of Object.keys(members)) {
    const member = members[name]
    const fault = member === undefined ? undefined : faultOf(member, name, above)
    if (fault !== undefined) return fault
  }
  return undefined
}

function named(what: string, at: string | number): string {
  return at === '' ? what : `${what} at "${at}"`
}

function classOf(value: object): string {
  const { constructor } = value as { constructor?: { name?: unknown } }
  return typeof constructor?.name === 'string' && constructor.name !== '' ? constructor.name : 'a class'
}
