import type { AsyncLocalStorage } from 'node:async_hooks'
import { channel } from 'node:diagnostics_channel'
import { describe, expect, onTestFinished, test } from 'vitest'
import { z } from 'zod'
import { context } from '@keelson/kernel'
import { transact } from '@keelson/kernel/postgres'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres, PGlite } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })
const ctx = { operationId: 'op', now: 0 }
const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'

describe.each(over)('publishing over %s', (_, open) => {
  test('the same id again is a duplicate, with other data or type a conflict; the first one stays', async () => {
    const { webhooks, log } = await stage(open)
    const o = { scope, id: 'e-1' }
    expect(await webhooks.send('order.created', { a: 1 }, o)).toEqual({ id: 'e-1', duplicate: false })
    expect(await webhooks.send('order.created', { a: 1 }, o)).toEqual({ id: 'e-1', duplicate: true })
    expect(await webhooks.send('order.created', { a: 1 }, { ...o, scope: 'other' })).toMatchObject({ duplicate: false })
    await expect(webhooks.send('order.created', { a: 2 }, o)).rejects.toMatchObject({ code: 'EVENT_CONFLICT' })
    await expect(webhooks.send('order.paid', { a: 1 }, o)).rejects.toMatchObject({ code: 'EVENT_CONFLICT' })
    expect((await webhooks.events.get(o)).data).toEqual({ a: 1 })
    expect(log.filter(({ message }) => message === 'webhooks.event_conflict')).toMatchObject([
      { event: 'e-1', scope },
      { event: 'e-1' },
    ])
    const many = await webhooks.sendMany([1, 2, 1].map((n) => ({ type: 'a', data: n, scope, id: `m-${n}` })))
    expect(many.map(({ duplicate }) => duplicate)).toEqual([false, false, true])
    expect(await webhooks.sendMany([])).toEqual([])
  })

  test('input is refused with its name, and nothing is written', async () => {
    const { webhooks } = await stage(open)
    const cases: [Record<string, unknown>, string, RegExp][] = [
      [{ scope: '' }, 'SCOPE_INVALID', /"scope"/],
      [{ id: 'a b' }, 'INPUT_INVALID', /"id".*got 'a b'/],
      [{ id: '' }, 'INPUT_INVALID', /"id"/],
      [{ id: 'x'.repeat(129) }, 'INPUT_INVALID', /"id"/],
      [{ key: '' }, 'INPUT_INVALID', /"key"/],
      [{ channel: 'x'.repeat(257) }, 'INPUT_INVALID', /"channel"/],
      [{ subject: 'a\n' }, 'INPUT_INVALID', /"subject"/],
      [{ notBefore: new Date(NaN) }, 'INPUT_INVALID', /"notBefore"/],
      [{ notBefore: 5 }, 'INPUT_INVALID', /"notBefore"/],
      [{ more: 1 }, 'INPUT_INVALID', /unknown member "more"/],
      [{ endpoint: 'ep_1' }, 'INPUT_INVALID', /unknown member "endpoint"/],
    ]
    for (const [wrong, code, message] of cases) {
      const call = webhooks.send('order.created', 1, { scope, ...wrong })
      await expect(call).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    }
    for (const type of ['', 'a..b', 'a.*', 1, undefined, 'x'.repeat(129)]) {
      await expect(webhooks.send(type as never, 1, { scope })).rejects.toThrow(/"type" must be/)
    }
    for (const events of [
      undefined,
      1,
      [null],
      [1],
      Array.from({ length: 1_001 }, () => ({ type: 'a', data: 1, scope })),
    ]) {
      await expect(webhooks.sendMany(events as never)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    }
    await expect(webhooks.send('a', 1, undefined as never)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(webhooks.sendMany([], { more: 1 } as never)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(
      webhooks.sendMany([
        { type: 'a', data: 1, scope, id: 'good' },
        { type: 'a', data: 1n, scope },
      ]),
    ).rejects.toMatchObject({ code: 'PAYLOAD_NOT_JSON' })
    await expect(webhooks.events.get({ scope, id: 'good' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('a catalogue refuses other types, its own events excepted', async () => {
    const { webhooks } = await stage(open, {
      events: { 'order.created': { schema: z.object({ n: z.number() }), version: 2 } },
    })
    for (const type of ['order.paid', 'constructor', '__proto__', 'toString']) {
      await expect(webhooks.send(type, 1, { scope })).rejects.toMatchObject({ code: 'UNKNOWN_EVENT_TYPE' })
      expect(() => webhooks.event(type, 1, { scope })).toThrow(expect.objectContaining({ code: 'UNKNOWN_EVENT_TYPE' }))
    }
    await expect(webhooks.send('order.created', { n: 'x' }, { scope })).rejects.toMatchObject({ code: 'SCHEMA_FAILED' })
    const { id } = await webhooks.send('order.created', { n: 1 }, { scope })
    expect(await webhooks.events.get({ scope, id })).toMatchObject({ version: 2, data: { n: 1 } })
  })

  test('one key goes in order, whatever fails; notBefore waits', async () => {
    const { webhooks, receiver } = await stage(open)
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/later`, types: ['later'] })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/order`, types: ['order.changed'] })
    receiver.answer(500, { path: '/order', times: 2 })
    await webhooks.start()
    const early = Date.now()
    await webhooks.send('later', 0, { scope, notBefore: new Date(early + 700) })
    await webhooks.sendMany([1, 2, 3, 4].map((data) => ({ type: 'order.changed', data, scope, key: 'o-1' })))
    // On a slow day the later one overtakes some of the others.
    const requests = await receiver.waitFor(7)
    const of = (path: string) => requests.filter((request) => request.path === path)
    expect(of('/order').map((request) => (request.json() as { data: number }).data)).toEqual([1, 1, 1, 2, 3, 4])
    expect(of('/later')).toHaveLength(1)
    expect(of('/later')[0]!.at.getTime()).toBeGreaterThanOrEqual(early + 700)
  })

  test('a subject is exported, and erased with what is open', async () => {
    const { webhooks, receiver } = await stage(open)
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.endpoints.pause({ scope, id: (await webhooks.endpoints.list({ scope })).items[0]!.id })
    await webhooks.start()
    const sent = await webhooks.sendMany(
      Array.from({ length: 5 }, (__, n) => ({ type: 'a', data: n, scope, subject: 'u1' })),
    )
    const { id: other } = await webhooks.send('a', 'other', { scope, subject: 'u2' })
    await eventually('six deliveries', async () => (await webhooks.deliveries.list({ scope })).items.length === 6)
    const exported: number[] = []
    for await (const { data } of webhooks.exportSubject(scope, 'u1')) exported.push(data as number)
    expect(exported).toEqual([0, 1, 2, 3, 4])
    expect(await webhooks.eraseSubject(scope, 'u1')).toEqual({ events: 5, cancelled: 5 })
    const { data, deliveries } = await webhooks.events.get({ scope, id: sent[0]!.id })
    expect(data).toBeNull()
    expect(deliveries).toMatchObject([{ status: 'cancelled', reason: 'erased' }])
    expect((await webhooks.events.get({ scope, id: other })).data).toBe('other')
    await expect(webhooks.deliveries.retry({ scope, id: deliveries[0]!.id })).rejects.toMatchObject({
      code: 'NOT_FOUND',
    })
  })
})

describe.each(Object.entries({ Postgres: Postgres!, PGlite: PGlite! }))(
  'events in transactions over %s',
  (name, open) => {
    test('commit with the rows or leave nothing; many are one statement; their context is kept', async () => {
      const { webhooks, receiver, backend } = await stage(open)
      const db = backend.db!
      await webhooks.endpoints.create({ scope, url: receiver.url })
      await webhooks.start()
      const make = () => [1, 2, 3].map((n) => webhooks.event('order.created', n, { scope, id: `${name}-${n}` }))
      const lost = transact(db, async () => {
        throw Object.assign(new Error('rolled back'), { effects: make() })
      })
      await expect(lost).rejects.toThrow('rolled back')
      await expect(webhooks.events.get({ scope, id: `${name}-1` })).rejects.toMatchObject({ code: 'NOT_FOUND' })
      const effects = make()
      expect(effects[0]!.statements!(ctx)).toHaveLength(1)
      expect(effects[0]!.combine!(effects.slice(1), ctx)).toHaveLength(1)
      await context.run({ correlationId: 'c-9', traceparent }, async () =>
        transact(db, async () => ({ value: 1, effects })),
      )
      const requests = await receiver.waitFor(3)
      expect(requests.map(({ headers }) => headers['webhook-id']).toSorted()).toEqual(effects.map(({ id }) => id))
      for (const { headers } of requests) expect(headers).toMatchObject({ 'x-correlation-id': 'c-9', traceparent })
      const trace = await webhooks.trace!('c-9')
      expect(trace.filter(({ kind }) => kind === 'webhook.event')).toHaveLength(3)
      // Somebody's id again: the first one stays, and the transaction commits.
      await transact(db, async () => ({
        value: 1,
        effects: [webhooks.event('order.created', 'other', { scope, id: `${name}-1` })],
      }))
      expect((await webhooks.events.get({ scope, id: `${name}-1` })).data).toBe(1)
    })

    test('an attempt that a tracer makes a span sends the ids of that', async () => {
      const { webhooks, receiver, backend } = await stage(open)
      const storage = (globalThis as never as Record<symbol, AsyncLocalStorage<object>>)[Symbol.for('keelson.context')]!
      const span = '00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01'
      const start = channel('tracing:keelson:webhooks:attempt:start')
      onTestFinished(() => void start.unbindStore(storage))
      start.bindStore(storage, () => ({ ...storage.getStore(), traceparent: span }))
      await webhooks.endpoints.create({ scope, url: receiver.url })
      await webhooks.start()
      await context.run({ traceparent }, async () =>
        transact(backend.db!, async () => ({ value: 1, effects: [webhooks.event('order.created', 1, { scope })] })),
      )
      const [request] = await receiver.waitFor(1)
      expect(request!.headers).toMatchObject({ traceparent: span })
    })

    test('send in a transaction is written there', async () => {
      const { webhooks, backend } = await stage(open)
      await transact(backend.db!, async (tx) => {
        expect(await webhooks.send('a', 1, { scope, id: 'in', tx })).toEqual({ id: 'in', duplicate: false })
        expect(await webhooks.sendMany([{ type: 'a', data: 2, scope, id: 'in' }], { tx })).toEqual([
          { id: 'in', duplicate: true },
        ])
        return { value: 1 }
      })
      expect((await webhooks.events.get({ scope, id: 'in' })).data).toBe(1)
    })

    test('a tx that is none is refused, and nothing is sent', async () => {
      const { webhooks } = await stage(open)
      for (const tx of [null, {}, 'tx'] as never[]) {
        const wrong = { code: 'INPUT_INVALID', message: expect.stringMatching(/"tx" must be an open transaction/) }
        await expect(webhooks.send('a', 1, { scope, id: 'none', tx })).rejects.toMatchObject(wrong)
        await expect(webhooks.sendMany([], { tx })).rejects.toMatchObject(wrong)
      }
      await expect(webhooks.events.get({ scope, id: 'none' })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    })
  },
)

describe.each(Object.entries({ memory: memory!, Redis: Redis! }))('without transactions: %s', (_, open) => {
  test('an event is performed, and tx is refused', async () => {
    const { webhooks, receiver } = await stage(open)
    await webhooks.endpoints.create({ scope, url: receiver.url })
    await webhooks.start()
    const effect = webhooks.event('a', 1, { scope })
    expect(effect.statements).toBeUndefined()
    await effect.perform!({ ...ctx, correlationId: 'c-1' })
    expect((await receiver.next()).headers).toMatchObject({ 'webhook-id': effect.id, 'x-correlation-id': 'c-1' })
    const tx = { query: async () => ({ rows: [] }) }
    await expect(webhooks.send('a', 1, { scope, tx })).rejects.toMatchObject({ code: 'STORE_NOT_TRANSACTIONAL' })
  })
})
