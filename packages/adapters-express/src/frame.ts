import type { Request } from 'express'
import type { NodeFrame } from '@keelson/http/node'

/** How requests of Express are read. */
export const expressFrame: NodeFrame<Request> = {
  target: (req) => req.originalUrl,
  route(req) {
    const route = req.route as { path: unknown } | undefined
    return route === undefined ? '(none)' : req.baseUrl + String(route.path)
  },
}
