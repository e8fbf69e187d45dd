import type { Change, Json } from '../audit.ts'
import { AuditError } from '../error.ts'
import { compare } from './differences.ts'
import { kindOf, shownName } from './failure.ts'
import { PersonalCopy, plainCopy, put, type Plain } from './plain-copy.ts'
import { pointerOf, tokensOf } from './pointer.ts'
import { reading, startWalk } from './walk.ts'

/**
 * What has to be done to make `b` of `a`, in that order: JSON pointers (RFC 6901), arrays by index, growing and shrinking
 * at their end. Members that are undefined are not there. @throws AuditError INPUT_INVALID for what is not JSON
 */
export function diff(a: unknown, b: unknown): Change[] {
  const changes: Change[] = []
  compare(jsonOf(a, 'a'), jsonOf(b, 'b'), {
    found(path, before, after) {
      changes.push({
        path: pointerOf(path),
        ...(before === undefined ? {} : { old: before as Json }),
        ...(after === undefined ? {} : { new: after as Json }),
      })
      return true
    },
    whole: () => false,
  })
  return changes
}

/** Makes changes, in their order, on a copy. @throws AuditError INPUT_INVALID if they do not fit */
export function applyDiff(a: unknown, changes: readonly Change[]): Json {
  if (!Array.isArray(changes)) throw inputFailure(`"changes" must be an array (got ${kindOf(changes)})`)
  let root = jsonOf(a, 'a')
  for (const change of changes) root = applied(root, change)
  if (root === undefined) throw inputFailure('nothing is left')
  return root as Json
}

function applied(root: Plain | undefined, change: Change): Plain | undefined {
  if (typeof change !== 'object' || change === null) {
    throw inputFailure(`"changes" must be an array of changes (got ${kindOf(change)})`)
  }
  const { path } = change
  const tokens = typeof path === 'string' ? tokensOf(path) : undefined
  if (tokens === undefined) throw inputFailure(`"path" must be a JSON pointer (got ${kindOf(path)})`)
  if (change.changed === true) throw misfit(path, 'does not tell its values')
  const to = change.new === undefined ? undefined : jsonOf(change.new, 'new')
  const last = tokens.pop()
  if (last === undefined) return to
  const place = tokens.reduce<unknown>((at, token) => memberOf(at, token, path), root)
  if (Array.isArray(place)) setElement(place, last, to, change)
  else if (typeof place === 'object' && place !== null) setMember(place as Record<string, Plain>, last, to, change)
  else throw misfit(path, 'leads nowhere')
  return root
}

function setElement(array: Plain[], token: string, to: Plain | undefined, { path, old }: Change): void {
  const at = indexOf(token)
  const fits = old === undefined ? at === array.length : at < array.length
  if (!fits) throw misfit(path, `does not fit an array of ${array.length}`)
  if (to !== undefined) array[at] = to
  else if (at === array.length - 1) array.pop()
  else throw misfit(path, 'is not the last element')
}

function setMember(object: Record<string, Plain>, name: string, to: Plain | undefined, { path, old }: Change): void {
  if (Object.hasOwn(object, name) !== (old !== undefined)) {
    throw misfit(path, old === undefined ? 'exists already' : 'does not exist')
  }
  if (to === undefined) delete object[name]
  else put(object, name, to)
}

function memberOf(at: unknown, token: string, path: string): unknown {
  if (Array.isArray(at) && indexOf(token) < at.length) return at[indexOf(token)]
  if (typeof at === 'object' && at !== null && !Array.isArray(at) && Object.hasOwn(at, token)) {
    return (at as Record<string, unknown>)[token]
  }
  throw misfit(path, 'leads nowhere')
}

/** RFC 6901, section 4: digits without leading zeros; NaN otherwise. */
function indexOf(token: string): number {
  return /^(?:0|[1-9]\d{0,9})$/.test(token) ? Number(token) : NaN
}

/** Of recursion, not of time. */
const MAX_DEPTH = 1_000

function jsonOf(value: unknown, name: string): Plain | undefined {
  const walk = startWalk(name, { objects: Infinity, depth: MAX_DEPTH })
  try {
    return reading(walk, () => withoutPersons(plainCopy(value, walk)))
  } catch (error) {
    const { message, cause } = error as AuditError
    throw new AuditError('INPUT_INVALID', message.replace(/^entry: /, 'diff: '), { cause })
  }
}

function withoutPersons(value: Plain | undefined): Plain | undefined {
  if (value instanceof PersonalCopy) throw inputFailure('a personal value belongs into an entry')
  if (typeof value === 'object' && value !== null) for (const one of Object.values<Plain>(value)) withoutPersons(one)
  return value
}

function misfit(path: string, what: string): AuditError {
  return inputFailure(`a change at "${shownName(path)}" ${what}`)
}

function inputFailure(message: string): AuditError {
  return new AuditError('INPUT_INVALID', `diff: ${message}`)
}
