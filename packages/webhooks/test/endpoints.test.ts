import { Webhook } from 'standardwebhooks'
import { describe, expect, test } from 'vitest'
import { generateSecret } from '@keelson/webhooks'
import { standard } from '@keelson/webhooks/verify'
import { backends } from './backends.ts'
import { eventually, stage } from './stage.ts'

const scope = 'acme'
const { memory, Redis, Postgres } = backends
const over = Object.entries({ memory: memory!, Redis: Redis!, Postgres: Postgres! })

describe.each(over)('endpoints over %s', (_, open) => {
  test('are made, read, changed and deleted, each change with a revision', async () => {
    const { webhooks } = await stage(open, { network: {}, maxEndpointsPerScope: 3 })
    const url = 'https://hooks.example/a'
    const { secret, ...made } = await webhooks.endpoints.create({
      scope,
      url,
      types: ['a.*'],
      headers: { 'X-Key': 'k' },
      description: 'nul \0',
    })
    expect(secret).toMatch(/^whsec_/)
    expect(made).toMatchObject({
      scope,
      url,
      types: ['a.*'],
      state: 'active',
      revision: 1,
      headers: { 'X-Key': 'k' },
      description: 'nul \0',
    })
    expect(made).toMatchObject({
      concurrency: 4,
      timeout: 15_000,
      signing: ['v1'],
      channels: null,
      filter: null,
      rate: null,
    })
    const ref = { scope, id: made.id }
    expect(await webhooks.endpoints.get(ref)).toEqual(made)
    const changed = await webhooks.endpoints.update({
      ...ref,
      revision: 1,
      set: { rate: { limit: 5, per: '1m' }, types: ['**'] },
    })
    expect(changed).toMatchObject({
      revision: 2,
      rate: { limit: 5, per: 60_000 },
      types: ['**'],
      url,
      headers: { 'X-Key': 'k' },
    })
    await expect(webhooks.endpoints.update({ ...ref, revision: 1, set: { types: ['b'] } })).rejects.toMatchObject({
      code: 'REVISION_CONFLICT',
      details: { revision: 2 },
    })
    // Without a revision all of them come through, one after another.
    await Promise.all(
      ['b', 'c', 'd'].map(async (type) => webhooks.endpoints.update({ ...ref, set: { types: [type] } })),
    )
    expect((await webhooks.endpoints.get(ref)).revision).toBe(5)
    await expect(webhooks.endpoints.update({ ...ref, set: { secret } as never })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })

    const others = [await webhooks.endpoints.create({ scope, url }), await webhooks.endpoints.create({ scope, url })]
    await expect(webhooks.endpoints.create({ scope, url })).rejects.toMatchObject({ code: 'LIMIT_REACHED' })
    const first = await webhooks.endpoints.list({ scope, limit: 2 })
    const second = await webhooks.endpoints.list({ scope, limit: 2, after: first.next! })
    expect([...first.items, ...second.items].map(({ id }) => id)).toEqual([made.id, ...others.map(({ id }) => id)])
    expect(second.next).toBeNull()
    for (const after of ['', 'forged', `${first.next}x`, first.next!.slice(1), 1 as never]) {
      await expect(webhooks.endpoints.list({ scope, after })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    }
    await expect(webhooks.endpoints.list({ scope: 'other', after: first.next! })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })
    for (const ref of [undefined, null, 7] as never[]) {
      await expect(webhooks.endpoints.secrets(ref)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    }
    // As a query string or a body tells them.
    const object = JSON.parse('{ "toString": 1 }') as never
    await expect(webhooks.deliveries.redrive({ scope, perSecond: object })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })
    for (const limit of [0, 201, 1.5, NaN, '5' as never, object]) {
      await expect(webhooks.endpoints.list({ scope, limit })).rejects.toThrow(
        /"limit" must be an integer from 1 to 200/,
      )
    }
    await webhooks.endpoints.delete(ref)
    await expect(webhooks.endpoints.delete(ref)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  test('that are disabled stay so when somebody pauses or resumes', async () => {
    const { webhooks } = await stage(open, { network: {} })
    const ref = { scope, id: (await webhooks.endpoints.create({ scope, url: 'https://hooks.example' })).id }
    const { revision } = await webhooks.endpoints.disable({ ...ref, reason: 'abuse' })
    const disabled = { state: 'disabled', disabledReason: 'abuse', revision }
    expect(await webhooks.endpoints.pause(ref)).toMatchObject(disabled)
    expect(await webhooks.endpoints.resume(ref)).toMatchObject(disabled)
    expect(await webhooks.endpoints.enable(ref)).toMatchObject({ state: 'active', disabledReason: null })
    expect(await webhooks.endpoints.pause(ref)).toMatchObject({ state: 'paused' })
    expect(await webhooks.endpoints.resume(ref)).toMatchObject({ state: 'active' })
  })

  test('of another scope are not found, whatever is asked', async () => {
    const { webhooks } = await stage(open, { network: {} })
    const { id } = await webhooks.endpoints.create({ scope, url: 'https://hooks.example' })
    const foreign = { scope: 'other', id }
    const calls = [
      webhooks.endpoints.get(foreign),
      webhooks.endpoints.update({ ...foreign, set: { types: ['a'] } }),
      webhooks.endpoints.delete(foreign),
      webhooks.endpoints.pause(foreign),
      webhooks.endpoints.resume(foreign),
      webhooks.endpoints.disable(foreign),
      webhooks.endpoints.enable(foreign),
      webhooks.endpoints.rotateSecret(foreign),
      webhooks.endpoints.secrets(foreign),
      webhooks.endpoints.publicKeys(foreign),
      webhooks.endpoints.ping(foreign),
    ]
    for (const call of await Promise.allSettled(calls)) {
      expect(call).toMatchObject({ status: 'rejected', reason: { code: 'NOT_FOUND' } })
    }
  })

  test('rotate their secret: both sign while they overlap, then the old one ends', async () => {
    const { webhooks, receiver } = await stage(open)
    const made = await webhooks.endpoints.create({ scope, url: receiver.url })
    const ref = { scope, id: made.id }
    await webhooks.start()
    const { secret, previousUntil } = await webhooks.endpoints.rotateSecret({ ...ref, overlap: '1h' })
    expect(previousUntil).toBeInstanceOf(Date)
    expect(await webhooks.endpoints.secrets(ref)).toEqual([
      { secret, until: null },
      { secret: made.secret, until: previousUntil },
    ])
    await webhooks.send('order.created', 1, { scope })
    const both = await receiver.next()
    const accepted = (request: typeof both, own: string) => {
      try {
        return standard({ secrets: [own] }).verify({ body: request.body, headers: request.headers }).id
      } catch {
        return undefined
      }
    }
    expect([accepted(both, secret), accepted(both, made.secret)]).toEqual([
      both.headers['webhook-id'],
      both.headers['webhook-id'],
    ])
    // The next one says when both of them end.
    const { secret: last } = await webhooks.endpoints.rotateSecret({ ...ref, overlap: '1s' })
    await eventually('the end of the old ones', async () => (await webhooks.endpoints.secrets(ref)).length === 1)
    const one = await eventually('a request of the new one alone', async () => {
      await webhooks.send('order.created', 2, { scope })
      const request = await receiver.next()
      return accepted(request, made.secret) === undefined && accepted(request, secret) === undefined && request
    })
    expect(accepted(one, last)).toBe(one.headers['webhook-id'])
    expect(await webhooks.endpoints.rotateSecret({ ...ref, overlap: 0 })).toMatchObject({ previousUntil: null })
    expect(await webhooks.endpoints.secrets(ref)).toHaveLength(1)
    for (const bad of [{ overlap: -1 }, { overlap: '31d' }, { secret: 'whsec_short' }, { unknown: 1 }]) {
      await expect(webhooks.endpoints.rotateSecret({ ...ref, ...(bad as object) })).rejects.toMatchObject({
        code: 'INPUT_INVALID',
      })
    }
  })

  test('times need not be whole ms', async () => {
    const third = 1_000 / 3
    const { webhooks, receiver } = await stage(open, {
      endpoint: { rate: { limit: 1_000, per: third }, disableAfter: 100_000.5 },
      dispatcher: { leaseMargin: 5_000.5, pollInterval: third },
    })
    const made = await webhooks.endpoints.create({ scope, url: receiver.url, timeout: 10_000.1 })
    expect(made.timeout).toBe(10_000.1)
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope })
    await receiver.next()
    const { timeout } = await webhooks.endpoints.update({ scope, id: made.id, set: { timeout: '10.0005s' } })
    expect(timeout).toBe(10_000.5)
  })

  test('change from v1 to v1a: a pair beside the secret, then alone; svix headers beside ours', async () => {
    const { webhooks, receiver } = await stage(open)
    const made = await webhooks.endpoints.create({ scope, url: receiver.url, signing: ['v1', 'svix'] })
    const ref = { scope, id: made.id }
    await webhooks.start()
    await webhooks.send('order.created', 1, { scope })
    const first = await receiver.next()
    expect(standard({ secrets: [made.secret], prefix: 'svix' }).verify(first).id).toBe(first.headers['webhook-id'])
    await expect(webhooks.endpoints.update({ ...ref, set: { signing: ['v1a'] } })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    })
    const pair = generateSecret('v1a')
    await webhooks.endpoints.rotateSecret({ ...ref, secret: pair })
    await webhooks.endpoints.update({ ...ref, set: { signing: ['v1', 'v1a'] } })
    const { keys, jwks } = await webhooks.endpoints.publicKeys(ref)
    expect(keys).toEqual([expect.stringMatching(/^whpk_/)])
    expect(jwks.keys).toHaveLength(1)
    await webhooks.send('order.created', 2, { scope })
    const second = await receiver.next()
    expect(standard({ publicKeys: keys }).verify(second).id).toBe(second.headers['webhook-id'])
    expect(() =>
      new Webhook(made.secret).verify(Buffer.from(second.body).toString(), second.headers as Record<string, string>),
    ).not.toThrow()
  })

  test('what they may not be', async () => {
    const { webhooks } = await stage(open, { network: {} })
    const url = 'https://hooks.example'
    for (const bad of [
      'http://a.example',
      'https://127.0.0.1',
      'https://u:p@a.example',
      'https://a.example/#x',
      'https://[::1]/',
      'ftp://a',
      'text',
      `https://a.example/${'x'.repeat(2_048)}`,
    ]) {
      await expect(webhooks.endpoints.create({ scope, url: bad }), bad).rejects.toMatchObject({ code: 'URL_REFUSED' })
    }
    const made = await webhooks.endpoints.create({ scope, url })
    await expect(
      webhooks.endpoints.update({ scope, id: made.id, set: { url: 'https://10.0.0.1' } }),
    ).rejects.toMatchObject({ code: 'URL_REFUSED' })
    const bad: Record<string, unknown[]> = {
      url: [undefined, 1],
      types: [[], 'a', ['a..b'], ['**.a'], Array.from({ length: 101 }, () => 'a')],
      channels: [[], [''], ['a\n'], ['x'.repeat(257)]],
      filter: [[], { a: [] }, { a: 'x' }, { '': [1] }, { a: [{}] }, { a: [NaN] }],
      headers: [
        ...[
          'Host',
          'content-type',
          'Content-Length',
          'Transfer-Encoding',
          'connection',
          'webhook-id',
          'Webhook-Signature',
          'svix-id',
          'signature',
          'Signature-Input',
          'stripe-signature',
          'X-Hub-Signature-256',
          'x-shopify-hmac-sha256',
        ].map((name) => ({ [name]: 'x' })),
        { 'x a': 'b' },
        { 'x\r\n': 'b' },
        { x: 'a\r\nb' },
        { x: 'a\0' },
        { x: '€' },
        { x: 1 },
        [],
      ],
      secret: ['whsec_', 'text', `whsec_${Buffer.alloc(65).toString('base64')}`, 'whsk_AAAA'],
      description: [1, 'x'.repeat(4_097), '\ud800'],
      metadata: [[], { a: 1 }],
      concurrency: [0, 1_001, 1.5, '4'],
      rate: [{}, { limit: 0, per: 1 }, { limit: 1, per: 0 }, { limit: 1, per: '2d' }, { limit: 1, per: 1, more: 1 }],
      timeout: [0, '61s', -1, 'soon'],
      retry: [
        {},
        { schedule: [] },
        { schedule: ['31d'] },
        { schedule: Array.from({ length: 51 }, () => 0) },
        { schedule: [0], jitter: 2 },
        { schedule: [-1] },
      ],
      breaker: [true, { failures: 0 }, { cooldown: '11m' }, { more: 1 }],
      disableAfter: [true, '1ms', 0],
      signing: [[], ['v2'], ['github'], ['v1a', 'stripe'], 'v1'],
      unknown: [1],
    }
    for (const [name, values] of Object.entries(bad)) {
      for (const value of values) {
        const call = webhooks.endpoints.create({ scope, url, [name]: value })
        await expect(call, `${name}: ${JSON.stringify(value)}`).rejects.toMatchObject({
          code: 'INPUT_INVALID',
          message: expect.stringContaining(`"${name}"`),
        })
      }
    }
    for (const badScope of [undefined, '', 'x'.repeat(129), 'a\n', 1]) {
      await expect(webhooks.endpoints.create({ scope: badScope as never, url })).rejects.toMatchObject({
        code: 'SCOPE_INVALID',
      })
    }
    for (const reason of ['', 'nul \0', 'x'.repeat(257), 1 as never]) {
      await expect(webhooks.endpoints.disable({ scope, id: made.id, reason })).rejects.toMatchObject({
        code: 'INPUT_INVALID',
      })
    }
  })

  test('a ping goes to one of them, whatever it listens to', async () => {
    const { webhooks, receiver } = await stage(open)
    const { id } = await webhooks.endpoints.create({ scope, url: `${receiver.url}/one`, types: ['none'] })
    await webhooks.endpoints.create({ scope, url: `${receiver.url}/two` })
    await webhooks.start()
    const ping = await webhooks.endpoints.ping({ scope, id })
    const request = await receiver.next()
    expect(request).toMatchObject({ path: '/one', headers: { 'webhook-id': ping.id } })
    expect(request.json()).toMatchObject({ type: 'webhooks.ping', data: { endpoint: id } })
    expect(receiver.received).toHaveLength(1)
  })
})
