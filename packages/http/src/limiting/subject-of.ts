import type { Subject } from '@keelson/resilience/limiter'
import { isScope } from '@keelson/kernel'
import { builtin } from '../builtin.ts'
import { clientOf } from '../client-of.ts'
import { HttpError, scopeInvalid } from '../error.ts'
import type { Exchange } from '../exchange.ts'
import { principalOf, scopeOf } from '../owner.ts'
import type { CheckedRateRule } from '../policy.ts'
import type { RouteParts } from '../route.ts'
import { networkOf } from './network-of.ts'

const MAX_KEY_CHARACTERS = 128

/** Who is limited. @throws HttpError SCOPE_INVALID, INPUT_INVALID */
export function subjectOf(
  x: Exchange,
  { by, cost, scope: own }: CheckedRateRule,
  parts: Pick<RouteParts, 'options' | 'metrics'>,
): Subject {
  const { options: o } = parts
  const scope = scopeOf(x, own, o)
  if (!isScope(scope)) {
    const early = by === 'address' ? " before authentication: give the rule a scope, 'public' to share" : ''
    throw scopeInvalid(`a request with a rate limit${early}`)
  }
  return { scope, key: keyOf(), cost }

  function keyOf(): string {
    const id = by === 'principal' ? principalOf(x, o)?.id : undefined
    if (id !== undefined) return `principal:${short(id)}`
    // Nobody is limited as an address: who sends no credentials must not get more than who does.
    if (typeof by === 'string') return `address:${networkOf(clientOf(x, parts))}`
    const key: unknown = by(x)
    if (typeof key === 'string' && key !== '') return short(key)
    throw new HttpError('INPUT_INVALID', 'rateLimit: "by" must answer a string that is not empty')
  }
}

/** A client may have made it up, and limiters refuse keys that are too long or no Unicode. */
function short(key: string): string {
  const isPlain = key.length <= MAX_KEY_CHARACTERS && key.isWellFormed()
  return isPlain ? key : `sha256:${builtin.crypto.hash('sha256', Buffer.from(key, 'utf16le'))}`
}
