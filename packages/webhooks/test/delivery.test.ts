import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { standard } from '@keelson/webhooks/verify'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'

describe.each(Object.entries(backends))('deliveries over %s', (_, open) => {
  test('an event reaches the endpoints that listen, signed so that every verifier accepts it', async () => {
    const { webhooks, receiver } = await stage(open)
    const made = await webhooks.endpoints.create({ scope, url: `${receiver.url}/hook?a=1`, types: ['order.*'] })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/other`, types: ['invoice.**'] })
    await webhooks.start()
    const { id, duplicate } = await webhooks.send('order.created', { n: 1 }, { scope })
    const request = await receiver.next()
    expect(duplicate).toBe(false)
    expect(request).toMatchObject({ method: 'POST', path: '/hook?a=1' })
    expect(request.headers).toMatchObject({ 'content-type': 'application/json', 'webhook-id': id })
    const sent = request.json()
    expect(sent).toEqual({ type: 'order.created', timestamp: expect.any(String), data: { n: 1 } })
    const verified = standard({ secrets: [made.secret] }).verify({ body: request.body, headers: request.headers })
    expect(verified).toMatchObject({ id, secret: 0 })
    const headers = request.headers as Record<string, string>
    expect(new Webhook(made.secret).verify(Buffer.from(request.body).toString(), headers)).toEqual(sent)

    const [delivery] = await eventually('success', async () => {
      const { items } = await webhooks.deliveries.list({ scope, status: 'succeeded' })
      return items.length > 0 && items
    })
    expect(delivery).toMatchObject({ event: id, endpoint: made.id, attempts: 1, reason: null, held: null, scope })
    expect(await webhooks.deliveries.get({ scope, id: delivery!.id })).toEqual(delivery)
    const attempts = await webhooks.deliveries.attempts({ scope, id: delivery!.id })
    expect(attempts.items).toMatchObject([
      { number: 1, outcome: 'success', status: 204, remoteAddress: '127.0.0.1', response: '', error: null },
    ])
    expect(await webhooks.events.get({ scope, id })).toMatchObject({
      id,
      scope,
      type: 'order.created',
      data: { n: 1 },
      deliveries: [delivery],
    })
    expect(receiver.received).toHaveLength(1)
  })

  test('what failed comes again with equal bytes and the same id, until it is taken or given up', async () => {
    const { webhooks, receiver } = await stage(open)
    receiver.answer({ status: 500, body: 'no' })
    const { id: endpoint } = await webhooks.endpoints.create({ scope, url: `${receiver.url}/never` })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/third` })
    receiver.answer(200, { path: '/third' })
    receiver.answer(503, { path: '/third', times: 1 })
    receiver.answer({ reset: 'head' }, { path: '/third', times: 1 })
    await webhooks.start()
    const dead: unknown[] = []
    webhooks.on('delivery.dead', (notice) => dead.push(notice))
    const { id } = await webhooks.send('order.created', { text: 'ünïcode \u2028 \ud83d\ude00' }, { scope })
    const requests = await receiver.waitFor(7)
    const bodies = new Set(requests.map(({ body }) => Buffer.from(body).toString('hex')))
    expect(bodies.size).toBe(1)
    expect(new Set(requests.map(({ headers }) => headers['webhook-id']))).toEqual(new Set([id]))
    const [delivery] = await eventually('the end', async () => {
      const { items } = await webhooks.deliveries.list({ scope, endpoint, status: 'dead' })
      return items.length > 0 && items
    })
    expect(delivery).toMatchObject({ status: 'dead', reason: 'exhausted', attempts: 4, nextAttemptAt: null })
    expect(delivery!.finishedAt).toBeInstanceOf(Date)
    const { items } = await webhooks.deliveries.attempts({ scope, id: delivery!.id })
    expect(items.map(({ number, outcome, status, response }) => [number, outcome, status, response])).toEqual(
      [1, 2, 3, 4].map((number) => [number, 'status', 500, 'no']),
    )
    expect(dead).toEqual([
      {
        name: 'delivery.dead',
        scope,
        endpoint,
        delivery: delivery!.id,
        event: id,
        type: 'order.created',
        reason: 'exhausted',
      },
    ])
  })

  test('a redirect is not followed, 410 disables, a refused address is dead at once', async () => {
    const { webhooks, receiver, log } = await stage(open, {
      network: {
        allow: ['127.0.0.1/32'],
        httpsOnly: false,
        // A name that turns out to lead inside when it is dialled.
        resolve: async () => [{ address: '10.0.0.1', family: 4 }],
      },
    })
    receiver.answer({ status: 307, headers: { location: `${receiver.url}/elsewhere` } }, { path: '/moved' })
    receiver.answer(410, { path: '/gone' })
    const moved = await webhooks.endpoints.create({ scope, url: `${receiver.url}/moved` })
    const gone = await webhooks.endpoints.create({ scope, url: `${receiver.url}/gone` })
    const inside = await webhooks.endpoints.create({ scope, url: 'http://inside.example/' })
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope })
    const ended = await eventually('both ends', async () => {
      const { items } = await webhooks.deliveries.list({ scope, status: 'dead' })
      return items.length === 3 && new Map(items.map((item) => [item.endpoint, item]))
    })
    expect(ended.get(moved.id)).toMatchObject({ reason: 'exhausted', attempts: 4 })
    expect(ended.get(gone.id)).toMatchObject({ reason: 'gone', attempts: 1 })
    expect(ended.get(inside.id)).toMatchObject({ reason: 'refused', attempts: 1 })
    expect(receiver.received.some(({ path }) => path === '/elsewhere')).toBe(false)
    expect(await webhooks.endpoints.get({ scope, id: gone.id })).toMatchObject({
      state: 'disabled',
      disabledReason: 'gone',
    })
    expect(log.filter(({ message }) => message === 'webhooks.endpoint_disabled')).toHaveLength(1)
    const { items } = await webhooks.deliveries.attempts({ scope, id: ended.get(inside.id)!.id })
    expect(items[0]).toMatchObject({ outcome: 'refused', status: null, remoteAddress: null, response: null })
  })

  test('nothing is spent while an endpoint is held, and all goes out in the end', async () => {
    const { webhooks, receiver, open: another } = await stage(open)
    const { id } = await webhooks.endpoints.create({ scope, url: receiver.url })
    const ref = { scope, id }
    expect(await webhooks.endpoints.pause(ref)).toMatchObject({ state: 'paused', revision: 2 })
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope })
    const held = await eventually('a delivery', async () => (await webhooks.deliveries.list({ scope })).items[0])
    expect(held).toMatchObject({ status: 'pending', held: 'paused', attempts: 0 })
    await webhooks.endpoints.disable({ ...ref, reason: 'unpaid' })
    expect(await webhooks.endpoints.get(ref)).toMatchObject({ state: 'disabled', disabledReason: 'unpaid' })
    expect((await webhooks.deliveries.get({ scope, id: held.id })).held).toBe('disabled')
    await webhooks.pause()
    await webhooks.pause({ scope })
    await webhooks.endpoints.enable(ref)
    await webhooks.close()
    const next = another()
    await next.start()
    await next.resume()
    await next.send('order.paid', 2, { scope })
    await eventually('two deliveries', async () => (await next.deliveries.list({ scope })).items.length === 2)
    expect(receiver.received).toEqual([])
    await next.resume({ scope })
    await receiver.waitFor(2)
    await eventually('both', async () => {
      const { items } = await next.deliveries.list({ scope, status: 'succeeded' })
      return items.length === 2 && items.every(({ attempts }) => attempts === 1)
    })
  })
})
