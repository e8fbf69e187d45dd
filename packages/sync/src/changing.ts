import { isScope } from '@keelson/kernel'
import type { CheckedCollection } from './checked-collection.ts'
import { SyncError } from './error.ts'
import { isRecordId, opFault } from './read-op.ts'
import type { ServerChange } from './store.ts'
import { subjectFault, subjectOf } from './subject.ts'
import type { Change } from './sync.ts'

const ANY_STAMP = '000000000-0000-0'

/**
 * A write of the server's own, as stores take it.
 * @throws SyncError INPUT_INVALID, SCOPE_INVALID
 */
export function readChange(
  owner: string,
  collections: ReadonlyMap<string, CheckedCollection>,
  name: unknown,
  given: Change,
  scope: unknown,
): ServerChange {
  if (!isScope(scope))
    throw new SyncError('SCOPE_INVALID', `${owner}: "scope" must be 1 to 128 bytes of text (got ${typeof scope})`)
  const collection = typeof name === 'string' ? collections.get(name) : undefined
  if (collection === undefined) throw wrong(owner, `there is no collection ${JSON.stringify(name)}`)
  const { t, id } = (given ?? {}) as Partial<Change>
  if (t === 'move') {
    const { to } = given as { to?: unknown }
    if (!isRecordId(id)) throw wrong(owner, '"id" must be 1 to 128 characters of [A-Za-z0-9_.:~-]')
    if (!isScope(to) || to === scope) throw wrong(owner, '"to" must be another scope')
    return { scope, c: collection.name, id, t, set: {}, unset: [], to }
  }
  const fault = opFault({ ...given, c: collection.name, h: ANY_STAMP })
  if (fault !== undefined) throw wrong(owner, fault)
  const { set = {}, unset = [] } = given as { set?: ServerChange['set']; unset?: readonly string[] }
  const field = [...Object.keys(set), ...unset].find((one) => !Object.hasOwn(collection.rules, one))
  if (field !== undefined) throw wrong(owner, `"${field}" is no field of ${collection.name}`)
  const nobody = t === 'put' ? subjectFault(collection, set) : undefined
  if (nobody !== undefined) throw wrong(owner, nobody)
  const subject = t === 'put' ? subjectOf(collection, set) : undefined
  const about = subject === undefined ? {} : { subject }
  return { scope, c: collection.name, id: id!, t: t!, set, unset, ...about }
}

const wrong = (owner: string, message: string): SyncError => new SyncError('INPUT_INVALID', `${owner}: ${message}`)
