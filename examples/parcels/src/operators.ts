import type { FetchHandler, Http } from '@keelson/http'
import { opsApi } from '@keelson/http/apis'
import type { Principal } from '@keelson/kernel'
import type { Health } from '@keelson/resilience/health'
import { auditedWrites } from './audited-writes.ts'
import { authorizeOperator } from './http.ts'
import { componentsOf, type System } from './system.ts'

/** `/ops`: what operators see of a node, and what they do there. */
export function operators(http: Http, system: System, health: Health): FetchHandler {
  const { idempotency, quotes, webhooks, audit } = system
  const api = opsApi({
    http,
    components: componentsOf(system),
    pipelines: [quotes.pipeline],
    health,
    webhooks,
    idempotency,
    audit,
    authorize: operatorOrName,
  })
  return auditedWrites(api, { audit, action: 'ops.manage', route: '/ops' })
}

/** A browser has no bearer token: it asks for a name when it is told so. */
async function operatorOrName(request: Request): Promise<Principal | Response> {
  const operator = await authorizeOperator(request)
  if (operator !== undefined) return operator
  const headers = { 'www-authenticate': 'Basic realm="parcels; ops is a test double"' }
  return Response.json({ error: 'operators only' }, { status: 401, headers })
}
