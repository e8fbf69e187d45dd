import type { FetchHandler, Http, RoutePolicy } from '@keelson/http'
import type { Server } from 'node:http'
import type { Api } from './api.ts'

/** What a framework serves. */
export interface Routes {
  readonly http: Http
  readonly api: Api
  /** Of the carrier's events; which these are, a secret says. */
  readonly carrierPolicy: RoutePolicy
  /** Management APIs by path, the longer ones first. */
  readonly mounts: readonly (readonly [path: string, api: FetchHandler])[]
}

/** The routes on one framework. */
export interface WebServer {
  readonly server: Server
  listen(port: number, host: string): Promise<void>
  /** Takes no new connection; settles when no request is left. */
  drain(signal: AbortSignal): Promise<void>
}
