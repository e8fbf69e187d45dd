/** What JSON can say (RFC 8259). */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/** Deeper is refused: it would need a stack that somebody else decides about. */
const MAX_DEPTH = 100

/**
 * Why a value cannot be the content of a field, or undefined when it can: what Postgres, every JSON parser and every
 * replica read back as the same value. Integers end at 2^53 - 1 (I-JSON, RFC 7493), U+0000 and lone surrogates are in no
 * text, `__proto__` is no name.
 */
export function jsonFault(value: unknown, depth = 0): string | undefined {
  switch (typeof value) {
    case 'boolean':
      return undefined
    case 'string':
      return textFault(value)
    case 'number':
      if (!Number.isFinite(value)) return 'a number is not finite'
      return Number.isInteger(value) && !Number.isSafeInteger(value) ? 'an integer is over 2^53' : undefined
    case 'object':
      if (value === null) return undefined
      if (depth === MAX_DEPTH) return `it is nested over ${MAX_DEPTH} deep`
      return Array.isArray(value) ? itemsFault(value, depth + 1) : membersFault(value, depth + 1)
    default:
      return `${typeof value} is no JSON`
  }
}

/** Why a text, or the name of a member, cannot be stored. */
function textFault(text: string): string | undefined {
  if (text.includes('\u0000')) return 'a text has U+0000'
  return text.isWellFormed() ? undefined : 'a text has a lone surrogate'
}

function itemsFault(items: readonly unknown[], depth: number): string | undefined {
  // Also over holes, which are no JSON.
  for (let i = 0; i < items.length; i++) {
    const fault = jsonFault(items[i], depth)
    if (fault !== undefined) return fault
  }
  return undefined
}

function membersFault(value: object, depth: number): string | undefined {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return 'an object is not a plain one'
  for (const [name, member] of Object.entries(value)) {
    const fault = name === '__proto__' ? '__proto__ is no name' : (textFault(name) ?? jsonFault(member, depth))
    if (fault !== undefined) return fault
  }
  return undefined
}
