import type { Principal } from '@keelson/kernel'
import { HttpError } from './error.ts'
import type { Exchange } from './exchange.ts'
import type { CheckedOptions } from './options.ts'
import type { Scope } from './policy.ts'

/** Who has signed a request. */
export interface Signer {
  readonly principal: Principal
  /** Of the key; where it has none the application says it. */
  readonly scope: string | undefined
}

/** On the exchange: it counts for every rule behind the one that has proven it, of whatever policy. */
const SIGNER: unique symbol = Symbol('keelson.signer')
type Signed = Exchange & { [SIGNER]?: Signer }

export function setSigner(x: Signed, signer: Signer): void {
  x[SIGNER] = signer
}

/** The tenant as a rule, the signature or http says it; the caller checks it. */
export function scopeOf(x: Signed, own: Scope | undefined, o: CheckedOptions): unknown {
  const scope = own ?? x[SIGNER]?.scope ?? o.scope
  return typeof scope === 'function' ? scope(x) : scope
}

/** @throws HttpError INPUT_INVALID for a principal without an id: its owner could be anybody. */
export function principalOf(x: Signed, o: CheckedOptions): Principal | undefined {
  const principal = (x[SIGNER]?.principal ?? o.principal?.(x)) as Partial<Principal> | null | undefined
  if (principal === undefined || principal === null) return undefined
  if (typeof principal.id === 'string' && principal.id !== '') return principal as Principal
  throw new HttpError('INPUT_INVALID', '"principal" must answer { id: string } or undefined')
}
