import type { Request, RequestHandler } from 'express'
import type { NodeFrame } from '@keelson/http/node'

/** The methods of the route that `handler` is a part of; none for one that is mounted by `use`. Undefined for all. */
export function methodsOf(req: Request, handler: RequestHandler): (string | undefined)[] {
  const route = req.route as { stack: { handle: RequestHandler; method?: string }[] } | undefined
  return route?.stack.filter(({ handle }) => handle === handler).map(({ method }) => method) ?? []
}

/** How requests of Express are read. */
export const expressFrame: NodeFrame<Request> = {
  target: (req) => req.originalUrl,
  route(req) {
    const route = req.route as { path: unknown } | undefined
    return route === undefined ? '(none)' : req.baseUrl + String(route.path)
  },
}
