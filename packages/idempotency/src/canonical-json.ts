import { IdempotencyError } from './error.ts'

/** Deeper input would end the stack, and a cycle has no end. */
const MAX_DEPTH = 1_000

/**
 * A JSON value in the form of RFC 8785 (JCS): members sorted by UTF-16 code units, numbers and strings as ECMAScript
 * writes them. Members that are undefined are absent, as in JSON.
 * @throws IdempotencyError INPUT_NOT_HASHABLE with the path of the leaf: function, symbol, BigInt, NaN, Infinity,
 * a lone surrogate, an object that is no plain data (Date, Map, bytes), over 1,000 levels or a cycle.
 */
export function canonicalJson(input: unknown): string {
  return write(input, [])
}

function write(value: unknown, path: (string | number)[]): string {
  switch (typeof value) {
    case 'string':
      if (!value.isWellFormed()) throw notHashable('a string with a lone surrogate', path)
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) throw notHashable(String(value), path)
      return JSON.stringify(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (path.length >= MAX_DEPTH) throw notHashable(`more than ${MAX_DEPTH} levels or a cycle`, path.slice(0, 5))
      return Array.isArray(value) ? writeArray(value, path) : writeObject(value, path)
    default:
      throw notHashable(value === undefined ? 'undefined' : `a ${typeof value}`, path)
  }
}

function writeArray(items: readonly unknown[], path: (string | number)[]): string {
  let text = '['
  for (let i = 0; i < items.length; i++) {
    if (i > 0) text += ','
    path.push(i)
    text += write(items[i], path)
    path.pop()
  }
  return `${text}]`
}

function writeObject(object: object, path: (string | number)[]): string {
  if (!isData(object)) throw notHashable(object.constructor?.name ?? 'an object that is not data', path)
  const members = object as Record<string, unknown>
  let text = ''
  // The default order of sort() is the one of RFC 8785, section 3.2.3.
  for (const name of Object.keys(members).sort()) {
    const value = members[name]
    if (value === undefined) continue
    path.push(name)
    if (!name.isWellFormed()) throw notHashable('a name with a lone surrogate', path)
    text += `${text === '' ? '' : ','}${JSON.stringify(name)}:${write(value, path)}`
    path.pop()
  }
  return `{${text}}`
}

/** Instances of the application's own classes are data; what writes itself or hides its content is not. */
function isData(object: object): boolean {
  if (typeof (object as { toJSON?: unknown }).toJSON === 'function') return false
  const tag = Object.prototype.toString.call(object)
  return tag === '[object Object]' && !(object instanceof Map) && !(object instanceof Set)
}

function notHashable(what: string, path: readonly (string | number)[]): IdempotencyError {
  const at = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')
  return new IdempotencyError('INPUT_NOT_HASHABLE', `"input${at}" is not JSON: ${what}`)
}
