import type { Principal } from '@keelson/kernel'
import { HttpError } from './error.ts'
import type { Exchange } from './exchange.ts'
import type { CheckedOptions } from './options.ts'
import type { Scope } from './policy.ts'

/** The tenant as a rule or http answers it; the caller checks it. */
export function scopeOf(x: Exchange, scope: Scope | CheckedOptions['scope']): unknown {
  return typeof scope === 'function' ? scope(x) : scope
}

/** @throws HttpError INPUT_INVALID for a principal without an id: its owner could be anybody. */
export function principalOf(x: Exchange, o: CheckedOptions): Principal | undefined {
  const principal = o.principal?.(x) as Partial<Principal> | null | undefined
  if (principal === undefined || principal === null) return undefined
  if (typeof principal.id === 'string' && principal.id !== '') return principal as Principal
  throw new HttpError('INPUT_INVALID', '"principal" must answer { id: string } or undefined')
}
