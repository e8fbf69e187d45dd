import { setTimeout as sleep } from 'node:timers/promises'
import { generateSecret, sign } from '@keelson/webhooks'
import { standard } from '@keelson/webhooks/verify'
import { reply } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import type { ReceiveRule } from '../../policy.ts'
import { received } from '../../received.ts'
import type { Given } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, linesOf, MOMENT_MS, route } from '../stage.ts'

const secret = generateSecret()
const JSON_TYPE = ['Content-Type', 'application/json'] as const

/** The rule of a source whose secret is `secret`. */
const from = (source: string, more: Partial<ReceiveRule> = {}): { receive: ReceiveRule } => ({
  receive: { verifier: standard({ secrets: [secret] }), source, scope: (x) => x.header('x-tenant') ?? 'acme', ...more },
})

/** A delivery as a sender makes it. */
function delivery(
  id: string,
  body: string | Uint8Array = '{}',
  more: readonly (readonly [string, string])[] = [],
): Given {
  const signed = sign({ id, timestamp: Math.floor(Date.now() / 1_000), body: Buffer.from(body), secrets: [secret] })
  return { headers: [JSON_TYPE, ...Object.entries(signed), ...more], body }
}

/** JSON that no printer would write so, and what is none. */
const BODIES: readonly (string | Uint8Array)[] = [
  '{ "a" : 1.0 }\n',
  '{"b":1,"a":2,"a":3}',
  '{"name":"Zo\\u00eb \\/ \u{1f4e6}"}',
  '[1e2, 0.1000, -0]',
]
const OTHERS: readonly (string | Uint8Array)[] = ['a=1&b=%20', '', Uint8Array.of(0, 255, 13, 10, 200)]

/** Webhooks of others, verified and handled once. */
export const receivedCases: readonly Case<HttpSubject>[] = [
  httpCase(
    'a webhook is handled when its signature is good; else it is 401, and nothing is stored or run',
    async (stage) => {
      const { serve, key, equal } = stage
      const seen: unknown[] = []
      const hook = route('json', {
        policy: from('shop'),
        onEnter: () => void seen.push([received()?.id, received()?.type, received()?.json()]),
      })
      const site = await serve([hook])
      const [id, body] = [key(), '{"type":"order.made","data":7}']
      const good = delivery(id, body)
      const without = (name: string): Given => ({ ...good, headers: good.headers!.filter(([one]) => one !== name) })
      const bad: [Given, string][] = [
        [{ ...good, body: body.replace('7', '8') }, 'no-match'],
        [{ ...good, body: `${body} ` }, 'no-match'],
        [{ ...good, headers: good.headers!.map(([name, value]) => [name, value.replace(id, key())]) }, 'no-match'],
        [{ headers: [JSON_TYPE], body }, 'missing-header'],
        [without('webhook-signature'), 'missing-header'],
        [{ ...good, headers: [...good.headers!, ['webhook-id', id]] }, 'malformed-header'],
        [
          {
            ...good,
            headers: good.headers!.map(([name, value]) => [name, name.endsWith('stamp') ? '1700000000' : value]),
          },
          'too-old',
        ],
      ]
      for (const [given, code] of bad) {
        const refused = await site.call(hook, undefined, given)
        equal(
          [refused.status, refused.json()['code'], refused.header('content-type')],
          [401, code, 'application/problem+json'],
        )
      }
      equal([hook.runs, site.watched.begins], [0, 0])
      equal((await site.call(hook, undefined, good)).status, 201)
      equal(seen, [[id, 'order.made', { type: 'order.made', data: 7 }]])
    },
  ),

  httpCase(
    'what is verified are the bytes as they came, whatever a parser makes of them',
    async ({ serve, key, equal }) => {
      const hook = route('json', { policy: from('shop') })
      const site = await serve([hook])
      for (const body of BODIES) {
        equal([body, (await site.call(hook, undefined, delivery(key(), body))).status], [body, 201])
      }
      for (const body of OTHERS) {
        const given = delivery(key(), body)
        const headers = given.headers!.map(
          ([name, value]) => [name, name === 'Content-Type' ? 'text/x-own' : value] as const,
        )
        equal([String(body), (await site.call(hook, undefined, { ...given, headers })).status], [String(body), 201])
      }
      const long = Buffer.from(JSON.stringify({ text: 'höhe'.repeat(20_000) }))
      const { headers = [] } = delivery(key(), long)
      const connection = site.openCall(hook, undefined, { headers, length: long.length })
      for (let at = 0; at < long.length; at += 9_999) {
        connection.socket.write(long.subarray(at, at + 9_999))
        await new Promise((resolve) => setImmediate(resolve))
      }
      equal((await connection.whole()).status, 201)
    },
  ),

  httpCase('a redelivery gets the first success again, also when the sender has signed it anew', async (stage) => {
    const { serve, key, equal } = stage
    const hook = route('two-cookies', { policy: from('shop') })
    const site = await serve([hook])
    const id = key()
    const first = await site.call(hook, undefined, delivery(id, '{"pending":2}'))
    // Who else asks, and with what key, does not matter.
    const more = [['Authorization', 'Bearer ann'] as const, ['X-Attempt', '2'] as const]
    const again = await site.call(hook, key(), delivery(id, '{"pending":1}', more))
    equal([again.status, again.body.toString()], [first.status, first.body.toString()])
    equal([again.header('idempotent-replayed'), again.all('set-cookie')], ['true', []])
    equal(hook.runs, 1)
  }),

  httpCase('an answer that is no success is not kept: the next delivery is handled', async ({ serve, key, equal }) => {
    const hooks = (['throw', 'throw-4xx', 'redirect'] as const).map((kind) => route(kind, { policy: from(kind) }))
    const site = await serve(hooks)
    for (const hook of hooks) {
      const id = key()
      const statuses = []
      for (let i = 0; i < 3; i++) statuses.push((await site.call(hook, undefined, delivery(id))).status)
      equal([hook.kind, new Set(statuses).size, hook.runs], [hook.kind, 1, 3])
    }
  }),

  httpCase('while one copy is at work another is told when to come again', async ({ serve, key, equal, ok }) => {
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const hook = route('json', {
      policy: from('shop'),
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([hook], { core: { wait: '20ms' } })
    const id = key()
    const first = site.openCall(hook, undefined, delivery(id))
    await entered.promise
    const busy = await site.call(hook, undefined, delivery(id))
    equal([busy.status, busy.json()['code'], busy.json()['retryable']], [409, 'key-in-use', true])
    ok(Number(busy.header('retry-after')) >= 1, 'Retry-After')
    go.resolve()
    equal([(await first.whole()).status, hook.runs], [201, 1])
  }),

  httpCase('a sender that leaves in the middle of its webhook claims nothing, and may come again', async (stage) => {
    const { serve, key, equal, until } = stage
    const hook = route('json', { policy: from('shop') })
    const site = await serve([hook])
    const body = Buffer.from(JSON.stringify({ text: 'x'.repeat(50_000) }))
    const given = delivery(key(), body)
    const parts = [0, 1, 20_000, body.length - 1]
    for (const [i, bytes] of parts.entries()) {
      const connection = site.openCall(hook, undefined, { headers: given.headers!, length: body.length })
      connection.socket.write(body.subarray(0, bytes))
      await until('the request begins', () => linesOf(site.log, 'began').length > i)
      await sleep(MOMENT_MS)
      connection.leave()
    }
    await until('the end of each request', () => linesOf(site.log, 'ended').length >= parts.length)
    equal([hook.runs, site.watched.begins], [0, 0])
    equal([(await site.call(hook, undefined, given)).status, hook.runs], [201, 1])
  }),

  httpCase('a sender that leaves changes nothing: what it has sent is handled, once', async (stage) => {
    const { serve, key, equal, until } = stage
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const hook = route('json', {
      policy: from('shop'),
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([hook])
    const given = delivery(key())
    const first = site.openCall(hook, undefined, given)
    await entered.promise
    first.leave()
    // A copy that waits for the first one, and is not waited for either.
    const second = site.openCall(hook, undefined, given)
    await until('the copy is here', () => linesOf(site.log, 'began').length >= 2)
    await sleep(MOMENT_MS)
    second.leave()
    await until('the end of both', () => linesOf(site.log, 'ended').length >= 2)
    go.resolve()
    await until('the message is done', () => site.watched.ends.includes('done'))
    const again = await site.call(hook, undefined, given)
    equal([again.status, again.header('idempotent-replayed'), hook.runs], [201, 'true', 1])
  }),

  httpCase('a sender that leaves before its webhook fails may come again', async (stage) => {
    const { supports, serve, key, equal, until } = stage
    if (!supports('throw')) return
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const hook = route('throw', {
      policy: from('shop'),
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([hook])
    const given = delivery(key())
    const first = site.openCall(hook, undefined, given)
    await entered.promise
    first.leave()
    await until('the end', () => linesOf(site.log, 'ended').length > 0)
    go.resolve()
    await until('the message is free', () => site.watched.ends.length > 0)
    equal([(await site.call(hook, undefined, given)).status, hook.runs], [500, 2])
  }),

  httpCase('whenever a sender leaves, its next delivery is a success, and the last one', async (stage) => {
    const { serve, key, equal, together } = stage
    const hook = route('json', { policy: from('shop'), onEnter: () => sleep(2) })
    const site = await serve([hook])
    await together(30, async (i) => {
      const given = delivery(key(), `{"n":${i}}`)
      const connection = site.openCall(hook, undefined, given)
      // From before the first byte is read to behind the last one of the answer.
      await sleep(i % 10)
      connection.leave()
      const statuses = []
      for (let n = 0; n < 2; n++) statuses.push((await site.call(hook, undefined, given)).status)
      equal(statuses, [201, 201])
    })
    equal(hook.runs, 30)
  }),

  httpCase('of thirty copies at once one is handled', async ({ serve, key, equal, together }) => {
    const hook = route('json', { policy: from('shop'), onEnter: () => sleep(MOMENT_MS) })
    const site = await serve([hook])
    const id = key()
    const answers = await together(30, () => site.call(hook, undefined, delivery(id)))
    equal([hook.runs, new Set(answers.map(({ status }) => status)).size, answers[0]!.status], [1, 1, 201])
  }),

  httpCase('ids of two sources, and of two tenants, never meet; paths do not matter', async (stage) => {
    const { serve, key, equal } = stage
    const [shop, bank] = [
      route('json', { policy: from('shop') }),
      route('json', { path: '/bank', policy: from('bank') }),
    ]
    const other = route('json', { path: '/shop/:id', policy: from('shop') })
    const site = await serve([shop, bank, other])
    const id = key()
    await site.call(shop, undefined, delivery(id))
    await site.call(bank, undefined, delivery(id))
    await site.call(shop, undefined, delivery(id, '{}', [['X-Tenant', 'rival']]))
    await site.call(other, undefined, { ...delivery(id), path: '/shop/1?x=1' })
    equal([shop.runs, bank.runs, other.runs], [2, 1, 0])
  }),

  httpCase('a webhook that is too long is 413, and nothing is stored or run', async ({ serve, key, equal }) => {
    const hook = route('json', { policy: from('shop') })
    const site = await serve([hook], { http: { maxRawBody: 1_000 } })
    const refused = await site.call(hook, undefined, delivery(key(), JSON.stringify({ text: 'x'.repeat(1_000) })))
    equal([refused.status, refused.json()['code']], [413, 'body-too-large'])
    equal([hook.runs, site.watched.begins], [0, 0])
    equal((await site.call(hook, undefined, delivery(key(), JSON.stringify({ text: 'x'.repeat(900) })))).status, 201)
  }),

  httpCase(
    'in a transactional route a success is kept with its rows, and a refusal leaves nothing',
    async ({ serve, subject, key, equal }) => {
      const statuses = [422, 201, 201]
      const hook = route('work', {
        policy: { ...from('shop'), transactional: true },
        work: async (tx) => reply(statuses[hook.runs - 1]!, (await tx.query('select 7 as id')).rows[0]),
      })
      const { db, store } = subject.database!
      const site = await serve([hook], { http: { db }, core: { store } })
      const id = key()
      const seen = []
      for (let i = 0; i < 3; i++) {
        const { status, body } = await site.call(hook, undefined, delivery(id))
        seen.push([status, body.toString()])
      }
      equal(seen, [
        [422, '{"id":7}'],
        [201, '{"id":7}'],
        [201, '{"id":7}'],
      ])
      equal(hook.runs, 2)
      const forged = await site.call(hook, undefined, { ...delivery(key()), body: '{"a":1}' })
      equal([forged.status, hook.runs], [401, 2])
    },
    'database',
  ),
]
