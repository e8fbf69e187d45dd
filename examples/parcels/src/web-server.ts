import type { FetchHandler, Http } from '@keelson/http'
import type { Server } from 'node:http'
import type { Api } from './api.ts'

/** What a framework serves. */
export interface Routes {
  readonly http: Http
  readonly api: Api
  readonly apis: Readonly<Record<'health' | 'ops' | 'breakers', FetchHandler>>
}

/** The routes on one framework. */
export interface WebServer {
  readonly server: Server
  listen(port: number, host: string): Promise<void>
  /** Takes no new connection; settles when no request is left. */
  drain(signal: AbortSignal): Promise<void>
}
