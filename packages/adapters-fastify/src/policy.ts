import type { RoutePolicy } from '@keelson/http'

/**
 * The rules of a route: `app.post('/payments', policy({ idempotent: {} }), handler)`. The same as `config: { keelson }`,
 * where TypeScript does not see a rule that there is not: Fastify takes any other member of a config.
 */
export function policy(policy: RoutePolicy): { config: { keelson: RoutePolicy } } {
  return { config: { keelson: policy } }
}
