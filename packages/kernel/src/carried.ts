import type { KeelsonContext } from './context.ts'
import type { Principal } from './effect.ts'
import { isPlainText, isScope } from './scope.ts'
import { isTraceparent } from './traceparent.ts'

const MAX_CORRELATION_ID = 128

/** The part of a context that outlives its request, as text. What `resumed` would drop is not sent. */
export function carry(from: KeelsonContext): Record<string, string> {
  const texts = textsOf(from)
  const principal = principalOf(from.principal)
  return principal === undefined ? texts : { ...texts, principal: JSON.stringify(principal) }
}

/** The context of what was carried. It came through a queue: what is not valid is dropped, and nothing throws. */
export function resumed(carried: unknown): KeelsonContext {
  try {
    const given = Object(carried) as Record<string, unknown>
    const principal = principalOf(parsed(given['principal']))
    return { ...textsOf(given), ...(principal === undefined ? {} : { principal }) }
  } catch {
    // An object of another kind than JSON makes, with a getter that throws.
    return {}
  }
}

function textsOf(given: { readonly [member in keyof KeelsonContext]?: unknown }): Record<string, string> {
  const { correlationId, traceparent, tenant } = given
  return {
    ...(isCorrelationId(correlationId) ? { correlationId } : {}),
    ...(isTraceparent(traceparent) ? { traceparent } : {}),
    ...(isScope(tenant) ? { tenant } : {}),
  }
}

export function isCorrelationId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= MAX_CORRELATION_ID && isPlainText(value)
}

function parsed(json: unknown): unknown {
  try {
    return typeof json === 'string' ? JSON.parse(json) : undefined
  } catch {
    return undefined
  }
}

/** A principal needs its id. What else is wrong is left out, so a broken list of roles gives none of them. */
function principalOf(value: unknown): Principal | undefined {
  const { id, type, name, roles } = Object(value) as { readonly [member in keyof Principal]: unknown }
  if (!isText(id) || id === '') return undefined
  return {
    id,
    ...(isText(type) ? { type } : {}),
    ...(isText(name) ? { name } : {}),
    ...(Array.isArray(roles) && roles.every(isText) ? { roles: [...roles] } : {}),
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string'
}
