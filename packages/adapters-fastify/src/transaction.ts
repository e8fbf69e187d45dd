import type { Answer, Operation, RoutePolicy } from '@keelson/http'
import type { Tx } from '@keelson/kernel'
import type { FastifyInstance, FastifyRequest, RouteHandlerMethod } from 'fastify'

/**
 * The rest of a route: `handler` writes through `tx` and returns its answer (see `reply`, `created`, `ok`, `problem`);
 * rows, effects and answer are one commit. It runs again after a serialization failure or a deadlock.
 * `app.route({ method: 'POST', url: '/orders', ...transaction({ idempotent: {} }, handler) })`
 */
export function transaction<Req extends FastifyRequest, T>(
  policy: RoutePolicy,
  handler: (this: FastifyInstance, request: Req, tx: Tx, op: Operation) => Answer<T>,
): { config: { keelson: RoutePolicy }; handler: RouteHandlerMethod } {
  return {
    config: { keelson: { ...policy, transactional: true } },
    handler(request) {
      const { tx, op } = request.keelson
      return handler.call(this, request as Req, tx!, op!)
    },
  }
}
