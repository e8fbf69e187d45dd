import { once } from 'node:events'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { expect, it } from 'vitest'
import { createExpress } from '@keelson/express'
import { createHttp } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { api, holdsOverTls, policy, tlsOptions } from '../../http/test/tls.ts'
import { frameworks } from './support.ts'

it.each(frameworks)('holds over TLS, too, with $framework', async ({ express }) => {
  const k = createExpress(createHttp({ idempotency: createIdempotency({ store: memoryStore() }), scope: () => 'm1' }))
  let runs = 0
  const app = express()
  app.use(k.context(), express.json())
  app.post(
    '/orders',
    k.early(policy),
    k.route(policy),
    (req, res) => void res.status(201).json({ run: ++runs, ...req.body }),
  )
  app.use('/api', k.mount(api))
  app.use(k.errors())
  const server = createServer(tlsOptions, app).listen(0, '127.0.0.1')
  await once(server, 'listening')
  await holdsOverTls((server.address() as AddressInfo).port)
  expect(runs).toBe(1)
  await k.shutdown(server).drain(new AbortController().signal)
  expect(server.listening).toBe(false)
})
