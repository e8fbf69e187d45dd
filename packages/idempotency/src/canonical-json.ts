import { IdempotencyError } from './error.ts'

/** Deeper input would end the stack, and a cycle has no end. */
const MAX_DEPTH = 1_000

/** Member names and array indexes from the root to a leaf. */
type Path = (string | number)[]

/**
 * A JSON value in the form of RFC 8785 (JCS): members sorted by UTF-16 code units, numbers and strings as ECMAScript
 * writes them. Members that are undefined are absent, as in JSON.
 * @throws IdempotencyError INPUT_NOT_HASHABLE with the path of the leaf: function, symbol, BigInt, NaN, Infinity,
 * a lone surrogate, an object that is no plain data (Date, Map, bytes), over 1,000 levels or a cycle.
 */
export function canonicalJson(input: unknown): string {
  try {
    return write(input, 0)
  } catch (error) {
    if (!(error instanceof NotHashable)) throw error
    const at = error.path.toReversed().map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`))
    const shown = error.isTooDeep ? at.slice(0, 5) : at
    throw new IdempotencyError('INPUT_NOT_HASHABLE', `"input${shown.join('')}" is not JSON: ${error.message}`)
  }
}

/** Gathers its path on the way out, so that nobody keeps one while all is well. */
class NotHashable extends Error {
  readonly path: Path = []
  readonly isTooDeep: boolean
  constructor(what: string, isTooDeep = false) {
    super(what)
    this.isTooDeep = isTooDeep
  }
}

function write(value: unknown, depth: number): string {
  switch (typeof value) {
    case 'string':
      return quoted(value, 'a string with a lone surrogate')
    case 'number':
      if (!Number.isFinite(value)) throw new NotHashable(String(value))
      // As JSON.stringify, but for -0, which it writes as 0.
      return value === 0 ? '0' : String(value)
    case 'boolean':
      return value ? 'true' : 'false'
    case 'object':
      if (value === null) return 'null'
      if (depth >= MAX_DEPTH) throw new NotHashable(`more than ${MAX_DEPTH} levels or a cycle`, true)
      return Array.isArray(value) ? writeArray(value, depth + 1) : writeObject(value, depth + 1)
    default:
      throw new NotHashable(value === undefined ? 'undefined' : `a ${typeof value}`)
  }
}

function writeArray(items: readonly unknown[], depth: number): string {
  let text = '['
  let i = 0
  try {
    for (; i < items.length; i++) text += i > 0 ? `,${write(items[i], depth)}` : write(items[i], depth)
  } catch (error) {
    throw through(error, i)
  }
  return `${text}]`
}

function writeObject(object: object, depth: number): string {
  if (!isData(object)) throw new NotHashable(object.constructor?.name ?? 'an object that is not data')
  const members = object as Record<string, unknown>
  let text = '{'
  let name = ''
  try {
    for (name of sortedNames(members)) {
      const value = members[name]
      if (value === undefined) continue
      const member = `${quoted(name, 'a name with a lone surrogate')}:${write(value, depth)}`
      text += text.length > 1 ? `,${member}` : member
    }
  } catch (error) {
    throw through(error, name)
  }
  return `${text}}`
}

function through(error: unknown, step: string | number): unknown {
  if (error instanceof NotHashable) error.path.push(step)
  return error
}

/** What JSON escapes, and what may be half a pair. */
const UNUSUAL = /[^\x20\x21\x23-\x5b\x5d-\ud7ff\ue000-\uffff]/

function quoted(text: string, whatIsWrong: string): string {
  if (!UNUSUAL.test(text)) return `"${text}"`
  if (!text.isWellFormed()) throw new NotHashable(whatIsWrong)
  return JSON.stringify(text)
}

/** In the default order of sort(), which is the one of RFC 8785, section 3.2.3. Most objects come sorted, or are few. */
function sortedNames(members: object): string[] {
  const names = Object.keys(members)
  for (let i = 1; i < names.length; i++) if (names[i - 1]! > names[i]!) return names.sort()
  return names
}

/** Instances of the application's own classes are data; what writes itself or hides its content is not. */
function isData(object: object): boolean {
  if (typeof (object as { toJSON?: unknown }).toJSON === 'function') return false
  if (Object.getPrototypeOf(object) === Object.prototype && !(Symbol.toStringTag in object)) return true
  const tag = Object.prototype.toString.call(object)
  return tag === '[object Object]' && !(object instanceof Map) && !(object instanceof Set)
}
