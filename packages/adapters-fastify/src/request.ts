import type { Exchange, FetchHandler, Operation, RoutePolicy } from '@keelson/http'
import type { NodeExchange, NodeFrame, ServerDrain } from '@keelson/http/node'
import type { KeelsonContext, Tx } from '@keelson/kernel'
import type { FastifyReply, FastifyRequest } from 'fastify'

/** What Keelson knows of a request. */
export interface KeelsonRequest {
  /** Behind the rules of the route with tenant and principal. */
  readonly context: KeelsonContext
  readonly exchange: Exchange
  /** Only in a transactional route. */
  readonly tx?: Tx
  readonly op?: Operation
}

/** Keelson for an application. */
export interface KeelsonFastify {
  /** Answers everything under `prefix` by an API, which sees the path behind it. Before the application is ready. */
  mount(prefix: string, api: FetchHandler): void
  /** A part of a shutdown, made before the server takes requests: `shutdown.add('http', app.keelson.shutdown())`. */
  shutdown(): ServerDrain
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * The rules of this route, in the scope of the plugin and behind it: anywhere else it is refused, at the start or by
     * its first request. See `policy`, which TypeScript checks more closely.
     */
    keelson?: RoutePolicy
  }
  interface FastifyRequest {
    keelson: KeelsonRequest
  }
  interface FastifyInstance {
    readonly keelson: KeelsonFastify
  }
}

/** The same, as the adapter writes it. */
export interface Known {
  context: KeelsonContext
  readonly exchange: NodeExchange
  readonly reply: FastifyReply
  /** Fastify makes its options anew each time they are asked for. */
  readonly options: FastifyRequest['routeOptions']
  tx?: Tx
  op?: Operation
}

/** How requests of Fastify are read. */
export const fastifyFrame: NodeFrame<FastifyRequest> = {
  target: (request) => request.originalUrl,
  route: (request) => (request.keelson as Known).options.url ?? '(none)',
  reply: (request) => (request.keelson as Known).reply,
}
