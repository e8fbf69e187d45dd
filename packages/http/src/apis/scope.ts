import { context, isScope, opt, type Opt, type Principal } from '@keelson/kernel'
import { scopeInvalid } from '../error.ts'

/** The tenant whose things an API shows, or how to tell it from who asks. */
export type ApiScope =
  | string
  | ((request: Request, principal: Principal | undefined) => string | undefined | Promise<string | undefined>)

export const SCOPE: Opt<ApiScope | undefined> = opt.custom<ApiScope>(
  'a scope of 1 to 128 bytes without control characters, or a function',
  (given) => typeof given === 'function' || isScope(given),
)

/** Reads it, behind authorization; rejects with SCOPE_INVALID where nobody knows it: it is never guessed. */
export function scopeReader(api: string, scope: ApiScope): (request: Request) => Promise<string> {
  return async (request) => {
    const found: unknown = typeof scope === 'function' ? await scope(request, context.get()?.principal) : scope
    if (isScope(found)) return found
    throw scopeInvalid(`a request to ${api}`)
  }
}
