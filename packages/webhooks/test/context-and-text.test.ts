import { describe, expect, test } from 'vitest'
import { context } from '@keelson/kernel'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })

describe.each(over)('odd texts over %s', (_, open) => {
  test.each(['two\r\nlines', 'nul \0', 'ünï €', '\ud800', 'x'.repeat(5_000)])(
    'the odd correlation id %# keeps no event',
    async (correlationId) => {
      const { webhooks, receiver } = await stage(open)
      await webhooks.endpoints.create({ scope, url: receiver.url })
      await webhooks.start()
      const { id } = await context.run({ correlationId }, async () => webhooks.send('order.created', 1, { scope }))
      const { headers } = await receiver.next()
      expect(headers['webhook-id']).toBe(id)
      expect(headers['x-correlation-id']).toBeUndefined()
      expect((await webhooks.events.get({ scope, id })).correlationId).toBe(
        correlationId === 'ünï €' ? correlationId : undefined,
      )
    },
  )

  test('answers may be anything: NUL, no UTF-8, without end', async () => {
    const keep = {
      network: { allow: ['127.0.0.1/32'], httpsOnly: false, maxResponseBytes: 4_096, keepResponseBytes: 64 },
    }
    const { webhooks, receiver } = await stage(open, keep)
    receiver.answer({ status: 200, body: Buffer.from([0, 0xff, 0xfe, 0x41, 0xc3]) }, { path: '/bytes' })
    receiver.answer({ status: 200, body: 'é'.repeat(100_000), hang: 'body' }, { path: '/endless' })
    const [bytes, endless] = await Promise.all(
      ['/bytes', '/endless'].map(async (path) => webhooks.endpoints.create({ scope, url: receiver.url + path })),
    )
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope })
    const responses = await eventually('both', async () => {
      const { items } = await webhooks.deliveries.list({ scope, status: 'succeeded' })
      return items.length === 2 && items
    })
    for (const { id, endpoint } of responses) {
      const [attempt] = (await webhooks.deliveries.attempts({ scope, id })).items
      if (endpoint === bytes!.id) expect(attempt!.response).toBe('\ufffd\ufffd\ufffdA\ufffd')
      if (endpoint === endless!.id) expect(attempt!.response).toBe('é'.repeat(32))
    }
  })

  test('names of the language are names like others', async () => {
    const { webhooks, receiver } = await stage(open)
    const metadata = JSON.parse('{"__proto__":"a","constructor":"b"}') as Record<string, string>
    const filter = JSON.parse('{"__proto__.x":[1]}') as Record<string, number[]>
    const made = await webhooks.endpoints.create({
      scope,
      url: receiver.url,
      types: ['__proto__.constructor'],
      metadata,
      filter,
    })
    expect(Object.entries((await webhooks.endpoints.get({ scope, id: made.id })).metadata)).toEqual([
      ['__proto__', 'a'],
      ['constructor', 'b'],
    ])
    await webhooks.start()
    await webhooks.send('__proto__.constructor', { x: 1 }, { scope })
    const o = { scope, key: '__proto__', channel: 'constructor', subject: 'toString', id: 'hasOwnProperty' }
    await webhooks.send('__proto__.constructor', JSON.parse('{"__proto__":{"x":1}}'), o)
    const request = await receiver.next()
    expect(request.headers['webhook-id']).toBe('hasOwnProperty')
    expect(Buffer.from(request.body).toString()).toContain('"data":{"__proto__":{"x":1}}')
    await eventually(
      'success',
      async () => (await webhooks.deliveries.list({ scope, status: 'succeeded' })).items.length === 1,
    )
    expect((await webhooks.eraseSubject(scope, 'toString')).events).toBe(1)
  })

  test('ids that are no ids are not found, or refused, but never an error of the store', async () => {
    const { webhooks } = await stage(open)
    for (const id of ['nul \0', '\ud800', "'; drop table", '*', '{}', 'fn:', 'fn:__proto__', 'x'.repeat(256)]) {
      const calls = [
        webhooks.endpoints.get({ scope, id }),
        webhooks.endpoints.pause({ scope, id }),
        webhooks.events.get({ scope, id }),
        webhooks.deliveries.get({ scope, id }),
        webhooks.deliveries.retry({ scope, id }),
        webhooks.deliveries.attempts({ scope, id }),
        webhooks.deliveries.redriveStatus({ scope, id }),
      ]
      for (const call of await Promise.allSettled(calls)) {
        expect(call, JSON.stringify(id)).toMatchObject({
          status: 'rejected',
          reason: { code: /[\0\ud800]/.test(id) ? 'INPUT_INVALID' : 'NOT_FOUND' },
        })
      }
      expect(await webhooks.signingKeys.resolve(id)).toBeNull()
    }
  })
})
