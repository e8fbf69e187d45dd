import { isScope } from '@keelson/kernel'
import type { Caller } from './collections.ts'
import { SyncError } from './error.ts'
import { scopeTag } from './scope-tag.ts'
import type { SyncOptions } from './sync.ts'

const MAX_SCOPES = 1_000

/** What a caller may see, by tag, the tenant first. */
export type AllowedScopes = ReadonlyMap<string, string>

/** @throws SyncError INPUT_INVALID */
export function checkCaller(who: Caller): void {
  const id: unknown = (who as Caller | null | undefined)?.principal?.id
  if (typeof id === 'string' && id !== '') return
  throw new SyncError('INPUT_INVALID', `"who" must be { principal: { id } }, the id a text (got ${typeof id})`)
}

/** Asks the application, on every call. @throws SyncError INPUT_INVALID, SCOPE_INVALID */
export async function allowedScopes(
  scopes: SyncOptions['scopes'],
  who: Caller,
  key: Uint8Array | undefined,
): Promise<AllowedScopes> {
  checkCaller(who)
  const names: unknown = await scopes(who)
  if (!Array.isArray(names) || names.length === 0 || names.length > MAX_SCOPES) {
    const got = Array.isArray(names) ? names.length : typeof names
    throw new SyncError('SCOPE_INVALID', `"scopes" must answer 1 to ${MAX_SCOPES} scopes (got ${got})`)
  }
  for (const name of names) {
    if (isScope(name)) continue
    const got = typeof name === 'string' ? `${name.length} characters` : typeof name
    throw new SyncError('SCOPE_INVALID', `"scopes" must answer texts of 1 to 128 bytes (got ${got})`)
  }
  return new Map((names as string[]).map((name) => [scopeTag(name, key), name]))
}
