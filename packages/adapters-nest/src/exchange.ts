import type { IncomingMessage, ServerResponse } from 'node:http'
import type { ArgumentsHost, INestApplication } from '@nestjs/common'
import type { HttpAdapterHost } from '@nestjs/core'
import type { FetchHandler } from '@keelson/http'
import { nodeExchanges, type NodeExchange, type NodeFrame } from '@keelson/http/node'
import { context } from '@keelson/kernel'
import { KEELSON_HTTP, optionFailure, type CheckedOptions } from './options.ts'

/** A request, and whether its handler was called. */
export type NestExchange = NodeExchange & { isEntered?: boolean }

const EXCHANGE = Symbol('keelson.exchange')
/** Of Fastify only: it hands answers on as payloads, and keeps their headers until then. */
const REPLY = Symbol('keelson.reply')
/** A request of Express, of Fastify (around that of node:http), or of node:http before Fastify has made its own. */
type PlatformRequest = IncomingMessage & Record<string | symbol, any>

const frame: NodeFrame<PlatformRequest> = {
  target: (req) => req['originalUrl'] ?? req.url,
  route: (req) => (req['route'] ? `${req['baseUrl']}${req['route'].path}` : (req['routeOptions']?.url ?? '(none)')),
  reply: (req) => req[REPLY],
}
const captured = async ({ raw }: PlatformRequest, _: unknown, sent: unknown) => raw[EXCHANGE]?.payload(sent) ?? sent

/** Begins every request before anything else of the application sees it: Nest mounts its body parsers later. */
export function attach({ http, components }: CheckedOptions, host: HttpAdapterHost, isOwner: boolean): object {
  // At once; of a testing module in `createNestApplication()`; without HTTP never.
  host.init$.subscribe(() => {
    const exchanges = nodeExchanges(frame, http.maxRawBody)
    host.httpAdapter.use((req: PlatformRequest, res: ServerResponse, next: () => void) => {
      if (EXCHANGE in req) next()
      else context.run(http.begin((req[EXCHANGE] = exchanges.of(req, res, req))), next)
    })
    if (host.httpAdapter.getType() === 'fastify') host.httpAdapter.getInstance().addHook('onSend', captured)
    http.adapter(`nest on ${host.httpAdapter.getType()}`)
  })
  const ours = [http, ...(isOwner ? components.values() : [])].filter((one) => 'inspect' in one)
  return { onApplicationShutdown: () => Promise.all(ours.map((one) => one.close())) }
}

/** The exchange of a request; `x.raw` is the platform's own request from now on. */
export function exchangeOf(host: ArgumentsHost): NestExchange {
  const [raw, reply] = host.getArgs<[PlatformRequest, unknown]>()
  const x = (raw['raw'] ?? raw)[EXCHANGE] as NestExchange | undefined
  if (x === undefined) throw optionFailure('the application does not import KeelsonModule.forRoot({ http })')
  return Object.assign(x, { raw: Object.assign(raw, raw['raw'] && { [REPLY]: reply }) })
}

/** Mounts a management API before `app.init()` or `app.listen()`; it sees the path behind `prefix`. */
export function mountApi(app: INestApplication, prefix: string, api: FetchHandler): void {
  const http = app.get(KEELSON_HTTP)
  app.use(prefix, (req: PlatformRequest) => req[EXCHANGE].serve(http, api, req.url))
}
