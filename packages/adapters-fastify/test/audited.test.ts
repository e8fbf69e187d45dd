import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { expect, it } from 'vitest'
import { keelson, policy } from '@keelson/fastify'
import { createHttp } from '@keelson/http'
import { until } from '../../../tools/servers/until.ts'
import { createAudit, entriesOf, memoryStore } from '../../http/test/audit.ts'
import { send } from '../../http/test/wire.ts'

it('what hooks, a schema and the handler answer is told of', async () => {
  const audit = createAudit({ store: memoryStore(), storeTimeout: '10s' })
  const principal = (user: string | undefined) => (user === undefined ? undefined : { id: user })
  const http = createHttp({ audit, scope: () => 'acme', principal: (x) => principal(x.header('authorization')) })
  const app = Fastify({ forceCloseConnections: true })
  await app.register(keelson, { http })
  app.post(
    '/orders/:id',
    {
      ...policy({ audited: { action: 'order.create' } }),
      schema: { params: { type: 'object', properties: { id: { type: 'integer' } } } },
      async onRequest(request, reply) {
        if (request.headers.authorization === undefined) return reply.code(401).send('who?')
        return undefined
      },
    },
    async (request, reply) => reply.code(201).send(request.params),
  )
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const ask = async (path: string, user?: string): Promise<number> =>
    (await send(port, { method: 'POST', path, headers: user === undefined ? [] : [['Authorization', user]] })).status
  const told = async (): Promise<unknown[]> =>
    (await entriesOf(audit)).map(({ actor, outcome, where, data }) => [actor.id, outcome, where?.route, data['status']])

  expect([await ask('/orders/7'), await ask('/orders/x', 'ann'), await ask('/orders/7', 'ann')]).toEqual([
    401, 400, 201,
  ])
  await until('all entries', 60_000, async () => ((await told()).length === 3 ? true : undefined))
  expect((await told()).toSorted()).toEqual([
    ['ann', 'failure', '/orders/:id', 400],
    ['ann', 'success', '/orders/:id', 201],
    ['anonymous', 'failure', '/orders/:id', 401],
  ])
  await app.close()
  await audit.close()
})
