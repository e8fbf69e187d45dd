import type { FetchHandler } from '@keelson/http'
import type { Pipeline } from '@keelson/resilience'
import { authorizeOperator } from './http.ts'

/** `GET /ops/circuit-breaker/status`: how the pipelines to other services are, for operators. */
export function circuitBreakers(pipelines: readonly Pipeline[]): FetchHandler {
  return async (request) => {
    if ((await authorizeOperator(request)) === undefined)
      return Response.json({ error: 'operators only' }, { status: 401 })
    if (new URL(request.url).pathname !== '/status') return Response.json({ error: 'not found' }, { status: 404 })
    const statuses = await Promise.all(pipelines.map((pipeline) => pipeline.inspect()))
    return Response.json(
      Object.fromEntries(statuses.map(({ name, breaker, window, counts }) => [name, { breaker, window, counts }])),
    )
  }
}
