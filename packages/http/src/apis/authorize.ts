import { opt, type Opt, type Principal } from '@keelson/kernel'
import { HttpError } from '../error.ts'
import { problem } from '../problem.ts'

/**
 * Who may use a management API: his principal; undefined is answered 401; a Response is the refusal itself (with a
 * challenge, a redirect to a login). 'public' is spelled out.
 */
export type Authorize =
  | 'public'
  | ((request: Request) => Principal | Response | undefined | Promise<Principal | Response | undefined>)

/** The option of that name. */
export const AUTHORIZE: Opt<Authorize> = opt.required(
  opt.custom<Authorize>("'public' or a function", (given) => given === 'public' || typeof given === 'function'),
)

/** @throws 401, or INPUT_INVALID for what names nobody */
export async function principalOf(authorize: Authorize, request: Request): Promise<Principal | Response | undefined> {
  if (authorize === 'public') return undefined
  const who: unknown = await authorize(request)
  if (who === undefined || who === null) throw problem(401, 'unauthorized')
  if (isResponse(who)) return who
  const { id } = who as Partial<Principal>
  if (typeof id === 'string' && id !== '') return who as Principal
  // `true` would say that somebody is allowed, but not who.
  throw new HttpError('INPUT_INVALID', 'authorize must answer a principal with an id, a Response or undefined')
}

/** A Response of another realm, or of a polyfill, is one too. */
function isResponse(given: unknown): given is Response {
  const { status, headers } = given as { readonly status?: unknown; readonly headers?: { readonly get?: unknown } }
  return typeof status === 'number' && typeof headers?.get === 'function'
}
