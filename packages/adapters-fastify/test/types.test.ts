import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify'
import { expectTypeOf, test } from 'vitest'
import { keelson, policy, transaction, type KeelsonFastify, type KeelsonOptions } from '@keelson/fastify'
import { created, type Exchange, type Operation, type RoutePolicy } from '@keelson/http'
import type { ServerDrain } from '@keelson/http/node'
import type { KeelsonContext, Tx } from '@keelson/kernel'

declare const app: FastifyInstance

test('the plugin takes its options', () => {
  expectTypeOf(keelson).toEqualTypeOf<FastifyPluginAsync<KeelsonOptions>>()
  expectTypeOf<KeelsonOptions['problems']>().toEqualTypeOf<'keelson' | 'all' | undefined>()
})

test('requests and applications say what the plugin gives them', () => {
  expectTypeOf<FastifyRequest['keelson']['context']>().toEqualTypeOf<KeelsonContext>()
  expectTypeOf<FastifyRequest['keelson']['exchange']>().toEqualTypeOf<Exchange>()
  expectTypeOf<FastifyRequest['keelson']['tx']>().toEqualTypeOf<Tx | undefined>()
  expectTypeOf<FastifyRequest['keelson']['op']>().toEqualTypeOf<Operation | undefined>()
  expectTypeOf<FastifyInstance['keelson']>().toEqualTypeOf<KeelsonFastify>()
  expectTypeOf<FastifyInstance['keelson']['shutdown']>().returns.toEqualTypeOf<ServerDrain>()
})

test('the config of a route takes a policy', () => {
  const routes = (): void => {
    app.post('/a', { config: { keelson: { idempotent: { required: true } } } }, async () => 1)
    // @ts-expect-error: no such preset
    app.post('/b', { config: { keelson: { idempotent: { preset: 'other' } } } }, async () => 1)
    app.post('/c', policy({ idempotent: { required: true } }), async () => 1)
    // @ts-expect-error: no such rule
    app.post('/d', policy({ idempotnt: {} }), async () => 1)
    // @ts-expect-error: no such member of a rule
    app.post('/e', { ...policy({ idempotent: { requird: true } }), schema: {} }, async () => 1)
    // @ts-expect-error: no such rule
    app.route({ method: 'POST', url: '/f', ...transaction({ idempotnt: {} }, async () => 1) })
  }
  expectTypeOf(routes).toBeFunction()
})

test('a transaction knows its request, and is the rest of a route', () => {
  type Order = FastifyRequest<{ Body: { sku: string } }>
  const rest = transaction({ idempotent: {} }, async function (request: Order, tx, op) {
    expectTypeOf(request.body.sku).toBeString()
    expectTypeOf(tx).toEqualTypeOf<Tx>()
    expectTypeOf(op).toEqualTypeOf<Operation>()
    expectTypeOf(this).toEqualTypeOf<FastifyInstance>()
    return created({ sku: request.body.sku })
  })
  expectTypeOf(rest.config).toEqualTypeOf<{ keelson: RoutePolicy }>()
  const routes = (): void => {
    app.route({ method: 'POST', url: '/orders', ...rest })
    transaction({}, (request) => request.url)
    // @ts-expect-error: no request of Fastify
    transaction({}, (request: { no: 'request' }) => request.no)
  }
  expectTypeOf(routes).toBeFunction()
})
