import { types } from 'node:util'

/** What an object is in JSON: one with members, an array or a value. */
export type OwnJson =
  | { readonly kind: 'object'; readonly object: object }
  | { readonly kind: 'value'; readonly value: unknown }
  | { readonly kind: 'refused'; readonly what: string }

/** Whether it is nothing but its members. */
export function isOrdinary(object: object): boolean {
  if (Array.isArray(object)) return true
  const prototype = Object.getPrototypeOf(object) as object | null
  return prototype === Object.prototype || prototype === null
}

/**
 * An object of any origin. `toJson` is its member `toJSON` as it was read, and is called once. What JSON would empty or
 * spread out is refused by name.
 */
export function ownJson(given: object, toJson: unknown, key: string): OwnJson {
  if (types.isDate(given)) return ofDate(given)
  // Bytes have the method too: it makes an array of numbers.
  if (typeof toJson !== 'function' || isBytes(given)) return ofObject(given)
  const value = (toJson as (key: string) => unknown).call(given, key)
  if (typeof value !== 'object' || value === null) return { kind: 'value', value }
  // The method would be one of its members.
  if (value === given) return { kind: 'refused', what: 'an object whose toJSON() answers itself' }
  return types.isDate(value) ? ofDate(value) : ofObject(value)
}

const BYTES = 'bytes; give a text, such as base64'

function ofObject(object: object): OwnJson {
  const what = isOrdinary(object) ? undefined : refused(object)
  return what === undefined ? { kind: 'object', object } : { kind: 'refused', what }
}

function ofDate(date: Date): OwnJson {
  const ms = Date.prototype.getTime.call(date)
  if (Number.isNaN(ms)) return { kind: 'refused', what: 'an invalid Date' }
  return { kind: 'value', value: new Date(ms).toISOString() }
}

/** Objects with something inside that is no member. */
function refused(object: object): string | undefined {
  if (isBytes(object)) return BYTES
  if (types.isMap(object) || types.isWeakMap(object)) return 'a Map; give Object.fromEntries() of it'
  if (types.isSet(object) || types.isWeakSet(object)) return 'a Set; give an array'
  if (types.isNativeError(object)) return 'an Error; give its message'
  if (types.isPromise(object)) return 'a Promise; await it'
  if (types.isRegExp(object)) return 'a RegExp'
  if (types.isBoxedPrimitive(object)) return 'a boxed primitive'
  if (types.isGeneratorObject(object)) return 'a generator'
  return undefined
}

function isBytes(object: object): boolean {
  return ArrayBuffer.isView(object) || types.isAnyArrayBuffer(object)
}
