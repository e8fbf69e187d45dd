/** A process behind a load balancer: a slow route, probes, and an end in order. Its parent says when preStop is over. */
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { context, systemClock } from '@keelson/kernel'
import { createHealth } from '@keelson/resilience/health'
import { createShutdown } from '@keelson/resilience/shutdown'
import { createHttp } from '@keelson/http'
import { healthApi } from '@keelson/http/apis'
import { drainServer, nodeExchanges } from '@keelson/http/node'

/** Its only sleep is preStop. */
const clock = { ...systemClock, sleep: async () => void (await once(process, 'message')) }
const health = createHealth()
const shutdown = createShutdown({ health, clock, preStop: 1 })
const http = createHttp()
const exchanges = nodeExchanges<IncomingMessage>({ target: (req) => req.url!, route: () => '(none)' }, 1_000)
const probes = healthApi({ health })

const server = createServer((req, res) => {
  const x = exchanges.of(req, res, req)
  context.run(http.begin(x), () => {
    if (req.url!.startsWith('/health')) {
      void x.serve(http, probes, req.url!.slice('/health'.length))
      return
    }
    process.send!('slow began')
    // It ends while the server drains.
    shutdown.add('slow', { drain: () => void setTimeout(() => res.end('done'), 200) })
  })
})
shutdown.add('http', drainServer(server))
shutdown.start()
server.listen(0, '127.0.0.1', () => {
  health.started()
  process.send!((server.address() as AddressInfo).port)
})
