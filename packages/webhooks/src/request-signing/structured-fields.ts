/** The part of RFC 8941 that signatures are made of. Strict: what has a second way to be written is refused. */

/** `("a" "b";req);created=1;keyid="x"` */
export interface InnerList {
  readonly items: readonly { readonly name: string; readonly plain: boolean }[]
  /** Of other types than integer and string only that they are there. */
  readonly params: ReadonlyMap<string, number | string | true>
  /** As it stands in the header. */
  readonly text: string
}

interface Cursor {
  readonly text: string
  at: number
}

const MAX_LENGTH = 8192
const KEY = /[a-z*][a-z0-9_.*-]*/y
const STRING = /"((?:[ !#-[\]-~]|\\["\\])*)"/y
const INTEGER = /-?[0-9]{1,15}(?![0-9.])/y
const BYTES = /:([A-Za-z0-9+/]*={0,2}):/y
/** Token, decimal, boolean. */
const OTHER = /[A-Za-z*][!#$%&'*+.^_`|~:/A-Za-z0-9-]*|-?[0-9]{1,12}\.[0-9]{1,3}|\?[01]/y
const COMMA = /[ \t]*,[ \t]*/y

/** The members of a dictionary of inner lists; undefined when it is none. */
export function parseInnerLists(text: string): ReadonlyMap<string, InnerList> | undefined {
  return dictionary(text, innerList)
}

/** The members of a dictionary of byte sequences, as base64; undefined when it is none. */
export function parseByteSequences(text: string): ReadonlyMap<string, string> | undefined {
  return dictionary(text, (cursor) => take(cursor, BYTES)?.[1])
}

function dictionary<T>(text: string, member: (cursor: Cursor) => T | undefined): ReadonlyMap<string, T> | undefined {
  if (text.length > MAX_LENGTH) return undefined
  const cursor = { text, at: 0 }
  const members = new Map<string, T>()
  do {
    const key = take(cursor, KEY)?.[0]
    if (key === undefined || members.has(key) || !skip(cursor, '=')) return undefined
    const value = member(cursor)
    if (value === undefined) return undefined
    members.set(key, value)
  } while (take(cursor, COMMA) !== undefined)
  return cursor.at === text.length ? members : undefined
}

function innerList(cursor: Cursor): InnerList | undefined {
  const from = cursor.at
  if (!skip(cursor, '(')) return undefined
  const items: { name: string; plain: boolean }[] = []
  if (!skip(cursor, ')')) {
    do {
      const name = string(cursor)
      const params = parameters(cursor)
      if (name === undefined || params === undefined) return undefined
      items.push({ name, plain: params.size === 0 })
    } while (skip(cursor, ' '))
    if (!skip(cursor, ')')) return undefined
  }
  const params = parameters(cursor)
  return params === undefined ? undefined : { items, params, text: cursor.text.slice(from, cursor.at) }
}

function parameters(cursor: Cursor): Map<string, number | string | true> | undefined {
  const params = new Map<string, number | string | true>()
  while (skip(cursor, ';')) {
    const key = take(cursor, KEY)?.[0]
    if (key === undefined || params.has(key)) return undefined
    const value = skip(cursor, '=') ? bareItem(cursor) : true
    if (value === undefined) return undefined
    params.set(key, value)
  }
  return params
}

function bareItem(cursor: Cursor): number | string | true | undefined {
  const integer = take(cursor, INTEGER)
  if (integer !== undefined) return Number(integer[0])
  const text = string(cursor)
  if (text !== undefined) return text
  return take(cursor, OTHER) === undefined && take(cursor, BYTES) === undefined ? undefined : true
}

function string(cursor: Cursor): string | undefined {
  return take(cursor, STRING)?.[1]?.replaceAll(/\\(["\\])/g, '$1')
}

function skip(cursor: Cursor, character: string): boolean {
  if (cursor.text[cursor.at] !== character) return false
  cursor.at++
  return true
}

function take(cursor: Cursor, pattern: RegExp): RegExpExecArray | undefined {
  pattern.lastIndex = cursor.at
  const match = pattern.exec(cursor.text)
  if (match === null) return undefined
  cursor.at = pattern.lastIndex
  return match
}
