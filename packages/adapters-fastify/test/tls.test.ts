import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { expect, it } from 'vitest'
import { keelson } from '@keelson/fastify'
import { createHttp } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { api, holdsOverTls, policy, tlsOptions } from '../../http/test/tls.ts'

it('holds over TLS, too', async () => {
  const http = createHttp({ idempotency: createIdempotency({ store: memoryStore() }), scope: () => 'm1' })
  let runs = 0
  const app = Fastify({ https: tlsOptions })
  await app.register(keelson, { http, problems: 'all' })
  app.post('/orders', { config: { keelson: policy } }, async (request, reply) =>
    reply.code(201).send({ run: ++runs, ...(request.body as object) }),
  )
  app.keelson.mount('/api', api)
  const { drain } = app.keelson.shutdown()
  await app.listen({ port: 0, host: '127.0.0.1' })
  await holdsOverTls((app.server.address() as AddressInfo).port)
  expect(runs).toBe(1)
  await drain(new AbortController().signal)
  await app.close()
})
