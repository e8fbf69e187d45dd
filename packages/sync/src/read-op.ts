import { jsonFault, type Json } from './json.ts'
import { isStamp } from './stamp.ts'
import type { Op } from './wire.ts'

const ID = /^[A-Za-z0-9_.:~-]{1,128}$/
const SHORT_ID = /^[A-Za-z0-9_.:~-]{1,64}$/
const TAG = /^[A-Za-z0-9_-]{11}$/
const MEMBERS = new Set(['op', 'c', 'id', 't', 'h', 'set', 'unset', 's', 'seen', 'base', 'dep'])

/** A record's id: 1 to 128 characters of `[A-Za-z0-9_.:~-]`. */
export const isRecordId = (value: unknown): value is string => typeof value === 'string' && ID.test(value)

/** Of a client or an operation: 1 to 64 of the same. */
export const isShortId = (value: unknown): value is string => typeof value === 'string' && SHORT_ID.test(value)

/** What is wrong with an operation as it came, or undefined. Its `op` is looked at before. */
export function opFault(given: { readonly [name: string]: unknown }): string | undefined {
  for (const name of Object.keys(given)) if (!MEMBERS.has(name)) return `"${name}" is no member of an operation`
  const { c, id, t, h, set, unset, s, seen, base, dep } = given
  if (typeof c !== 'string') return '"c" must be the name of a collection'
  if (!isRecordId(id)) return '"id" must be 1 to 128 characters of [A-Za-z0-9_.:~-]'
  if (t !== 'put' && t !== 'patch' && t !== 'delete') return '"t" must be put, patch or delete'
  if (!isStamp(h)) return '"h" must be a stamp'
  if (s !== undefined && !(typeof s === 'string' && TAG.test(s))) return '"s" must be the tag of a scope'
  if (seen !== undefined && !isStamp(seen)) return '"seen" must be a stamp'
  if (dep !== undefined && !isShortId(dep)) return '"dep" must be the id of an operation'
  if (base !== undefined && !isBase(base)) return '"base" must be a stamp, or the stamps of fields'
  if (t === 'delete')
    return set === undefined && unset === undefined ? undefined : 'a delete has no "set" and no "unset"'
  return writesFault(set, unset)
}

function writesFault(set: unknown, unset: unknown): string | undefined {
  if (set !== undefined && !isObject(set)) return '"set" must be an object'
  if (unset !== undefined && !isNames(unset)) return '"unset" must be names of fields, none twice'
  for (const [field, value] of Object.entries(set ?? {})) {
    const fault = field === '__proto__' ? '__proto__ is no name' : jsonFault(value)
    if (fault !== undefined) return `"set.${field}": ${fault}`
  }
  const both = unset?.find((field) => Object.hasOwn(set ?? {}, field))
  return both === undefined ? undefined : `"${both}" is set and unset`
}

const isObject = (value: unknown): value is Record<string, Json> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

const isNames = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((name) => typeof name === 'string') && new Set(value).size === value.length

const isBase = (value: unknown): value is Op['base'] =>
  isStamp(value) || (isObject(value) && Object.values(value).every(isStamp))
