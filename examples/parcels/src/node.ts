import type { AddressInfo } from 'node:net'
import { auditApi, healthApi, syncApi, webhooksApi } from '@keelson/http/apis'
import { checks, createHealth, type Health } from '@keelson/resilience/health'
import { createApi } from './api.ts'
import { auditedWrites } from './audited-writes.ts'
import { circuitBreakers } from './circuit-breakers.ts'
import { courierPage } from './courier-page.ts'
import type { Environment, Framework } from './environment.ts'
import { authorizeAuditor, authorizeCourier, authorizeMerchant } from './http.ts'
import { carrierPolicy, openHttp, tenantOf } from './http.ts'
import { actionOnMerchant, merchantsApi } from './merchants.ts'
import { operators } from './operators.ts'
import type { System } from './system.ts'
import type { Routes, WebServer } from './web-server.ts'

/** A process loads only the framework that it serves with. */
const SERVERS: Record<Framework, (routes: Routes) => Promise<WebServer>> = {
  express: async (routes) => (await import('./express.ts')).expressServer(routes),
  fastify: async (routes) => (await import('./fastify.ts')).fastifyServer(routes),
  async nest(routes) {
    await import('./load-decorators.ts')
    return (await import('./parcels.nest.ts')).nestServer(routes)
  },
}

/** A listening node. */
export interface Node {
  readonly url: string
  readonly health: Health
  /** Takes no new connection, lets the running requests end. */
  drain(signal: AbortSignal): Promise<void>
  /** The system stays open. */
  close(): Promise<void>
}

/** Serves the system over HTTP. Port 0 takes a free one. */
export async function startNode(
  system: System,
  { PORT, HOST, FRAMEWORK }: Pick<Environment, 'PORT' | 'HOST' | 'FRAMEWORK'>,
): Promise<Node> {
  const http = openHttp(system)
  const health = createHealth()
  // Not critical: all nodes share it, and would all leave at once. Bookings then say 503 by themselves.
  health.add('database', checks.database(system.db))
  // Nor this: what the carrier does not say is answered from what it said.
  health.watch(system.quotes.pipeline)
  const { quotes, webhooks, audit, sync } = system
  // What cannot be audited is not booked, and that the answers say.
  health.add('audit', checks.component(audit))
  const webhooksOf = webhooksApi({ http, webhooks, authorize: authorizeMerchant, scope: (_, merchant) => merchant?.id })
  const ofTeam = (request: Request) => tenantOf(request.headers.get('authorization'))
  const web = await SERVERS[FRAMEWORK]({
    http,
    api: createApi(system),
    carrierPolicy: carrierPolicy(system.carrierEvents),
    mounts: [
      ['/health', healthApi({ health })],
      ['/ops/circuit-breaker', circuitBreakers([quotes.pipeline])],
      ['/ops', operators(http, system, health)],
      ['/audit', auditApi({ http, audit, authorize: authorizeAuditor, scope: '*' })],
      ['/courier', courierPage],
      // What couriers do `apply` and `onConflict` put on record.
      ['/sync', syncApi({ http, sync, authorize: authorizeCourier, scope: ofTeam })],
      ['/webhooks', auditedWrites(webhooksOf, { audit, action: 'webhooks.manage', route: '/webhooks' })],
      [
        '/merchants',
        auditedWrites(merchantsApi(http, system), { audit, action: actionOnMerchant, route: '/merchants' }),
      ],
    ],
  })
  await web.listen(PORT, HOST)
  health.started()
  const { address, port, family } = web.server.address() as AddressInfo
  return {
    url: `http://${family === 'IPv6' ? `[${address}]` : address}:${port}`,
    health,
    drain: (signal) => web.drain(signal),
    async close() {
      await web.drain(AbortSignal.timeout(0))
      web.server.closeAllConnections()
      await http.close()
    },
  }
}
