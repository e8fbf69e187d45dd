import { createLimiter, memoryStore, type Limiter, type LimiterOptions } from '@keelson/resilience/limiter'
import type { Case } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import type { RateRule } from '../../policy.ts'
import { created } from '../../replies.ts'
import type { Answer, Given } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, route } from '../stage.ts'

type Quotas = LimiterOptions['quotas']

/** Its time stands still: what is taken stays taken. */
const limiterOf = (quotas: Quotas, more: Partial<LimiterOptions> = {}): Limiter =>
  createLimiter({ name: 'suite', quotas, clock: virtualClock(), ...more })
const perMinute = (limit: number, name = 'minute'): Quotas => ({ name, limit, per: '1m' })
const as = (user: string): Given => ({ headers: [['Authorization', `Bearer ${user}`]] })
const from = (address: string): Given => ({ headers: [['X-Forwarded-For', address]] })
const names = ['ratelimit-policy', 'ratelimit', 'x-ratelimit-limit', 'x-ratelimit-remaining'] as const
/** Lines that stand twice are two. Units of one instant are counted a little apart. */
const told = (answer: Answer): string[] =>
  names.map((name) => answer.all(name).join(' and ').replaceAll('t=61', 't=60').replaceAll('t=3601', 't=3600'))
const left = (answer: Answer): string | undefined => answer.header('x-ratelimit-remaining')

/** Who may ask how often. */
export const limitCases: readonly Case<HttpSubject>[] = [
  httpCase('each answer of a limited route says what is left, until it is 429', async (stage) => {
    const { serve, tenant, equal, ok } = stage
    const api = limiterOf([
      { name: 'hour', limit: 100, per: '1h' },
      { name: 'minute', limit: 2, per: '1m' },
    ])
    const json = route('json', { policy: { rateLimit: { limiter: 'api' } } })
    const site = await serve([json], { http: { limiters: { api } } })
    const beforeMs = Date.now()
    const first = await site.call(json, undefined, as('ann'))
    const afterMs = Date.now()
    const policies = '"minute";q=2;w=60, "hour";q=100;w=3600'
    equal([first.status, ...told(first)], [201, policies, '"minute";r=1;t=60, "hour";r=99;t=3600', '2', '1'])
    const reset = Number(first.header('x-ratelimit-reset')) * 1_000 - 60_000
    ok(reset >= beforeMs && reset <= afterMs + 1_000, `reset in a minute: ${first.header('x-ratelimit-reset')}`)
    equal(left(await site.call(json, undefined, as('ann'))), '0')

    const refused = await site.call(json, undefined, as('ann'))
    equal([refused.status, ...told(refused)], [429, policies, '"minute";r=0;t=60, "hour";r=98;t=3600', '2', '0'])
    equal([refused.header('retry-after'), refused.header('content-type')], ['60', 'application/problem+json'])
    const { code, retryable, correlationId, 'violated-policies': violated } = refused.json()
    equal([code, retryable, violated], ['rate-limited', true, ['minute']])
    equal(correlationId, refused.header('x-correlation-id'))

    const others = [
      as('bob'),
      { headers: [['Authorization', 'Bearer ann'] as const, ['X-Tenant', `${tenant}-2`] as const] },
    ]
    for (const other of others) equal((await site.call(json, undefined, other)).status, 201)
    equal(json.runs, 4)
  }),

  httpCase(
    'errors, refusals, replays and events of a limited route say what is left, and nothing stores it',
    async (stage) => {
      const { serve, key, equal, supports } = stage
      const rateLimit = { limiter: 'api' }
      const json = route('json', { policy: { rateLimit, idempotent: { required: true } } })
      const broken = route('throw', { policy: { rateLimit } })
      const events = route('sse', { policy: { rateLimit } })
      const site = await serve([json, broken, ...(supports('sse') ? [events] : [])], {
        http: { limiters: { api: limiterOf(perMinute(100)) } },
      })
      const mine = key()
      const answers = [
        await site.call(json, mine),
        await site.call(json, mine),
        await site.call(json, undefined),
        await site.call(broken, undefined),
        ...(supports('sse') ? [await site.call(events, undefined)] : []),
      ]
      equal(
        answers.map(({ status }) => status),
        [201, 201, 400, 500, 200].slice(0, answers.length),
      )
      equal(
        answers.map((answer) => told(answer)[1]),
        answers.map((_, i) => `"minute";r=${99 - i};t=60`),
      )
      for (const answer of answers) for (const name of names) equal(answer.all(name).length, 1, name)
      equal(answers[1]!.header('idempotent-replayed'), 'true')
    },
  ),

  httpCase('answers out of the cache, and a 304, say what is left for who has asked', async ({ serve, equal }) => {
    const text = route('text', {
      method: 'GET',
      policy: { rateLimit: { limiter: 'api' }, cached: { ttl: '10m', per: 'scope' } },
    })
    const site = await serve([text], { http: { limiters: { api: limiterOf(perMinute(10)) } } })
    const first = await site.call(text, undefined, as('ann'))
    const tag = ['If-None-Match', first.header('etag') ?? ''] as const
    const asked = [
      await site.call(text, undefined, as('ann')),
      await site.call(text, undefined, { headers: [...as('ann').headers!, tag] }),
      await site.call(text, undefined, { ...as('ann'), method: 'HEAD' }),
      await site.call(text, undefined, as('bob')),
    ]
    equal(
      [first, ...asked].map((answer) => [answer.status, left(answer), answer.all('ratelimit').length]),
      [
        [200, '9', 1],
        [200, '8', 1],
        [304, '7', 1],
        [200, '6', 1],
        [200, '9', 1],
      ],
    )
    equal(text.runs, 1)
  }),

  httpCase('an address is limited before authentication, whoever asks, and once a request', async (stage) => {
    const { serve, equal } = stage
    const json = route('json', { policy: { rateLimit: { limiter: 'door', by: 'address' } } })
    const site = await serve([json], { http: { limiters: { door: limiterOf(perMinute(2)) } } })
    const answers = []
    for (const user of ['nobody', 'ann', 'nobody']) answers.push(await site.call(json, undefined, as(user)))
    equal(
      answers.map((answer) => [answer.status, left(answer)]),
      [
        [401, '1'],
        [201, '0'],
        [429, '0'],
      ],
    )
    equal(json.runs, 1)
  }),

  httpCase('an address is a whole one of v4, however it is written, and 56 bits of v6', async ({ serve, equal }) => {
    const json = route('json', { policy: { rateLimit: { limiter: 'door', by: 'address' } } })
    const site = await serve([json], {
      http: { limiters: { door: limiterOf(perMinute(2)) }, trustProxy: ['127.0.0.0/8'] },
    })
    const statuses = async (...addresses: string[]): Promise<number[]> => {
      const all = []
      for (const address of addresses) all.push((await site.call(json, undefined, from(address))).status)
      return all
    }
    equal(await statuses('203.0.113.9', '::ffff:203.0.113.9', '::FFFF:CB00:7109'), [201, 201, 429])
    equal(await statuses('203.0.113.8'), [201])
    equal(await statuses('2001:db8:0:ab00::1', '2001:0DB8:0:ABFF:1:2:3:4', '2001:db8::abcd:0:0:0:1'), [201, 201, 429])
    equal(await statuses('2001:db8:0:ac00::1', '2001:db8:1:ab00::1'), [201, 201])
    equal((await site.call(json, undefined)).status, 201)
  }),

  httpCase('all rules must admit: a refusal gives back what the others took', async ({ serve, tenant, equal }) => {
    const rateLimit: RateRule[] = [
      { limiter: 'door', by: 'address' },
      { limiter: 'user', cost: 2 },
      { limiter: 'order', by: (x) => x.path },
    ]
    const limiters = { door: limiterOf(perMinute(9)), user: limiterOf(perMinute(8)), order: limiterOf(perMinute(1)) }
    const json = route('json', { policy: { rateLimit } })
    const site = await serve([json], { http: { limiters } })
    const first = await site.call(json, undefined, as('ann'))
    equal(told(first)[1], '"order.minute";r=0;t=60, "door.minute";r=8;t=60, "user.minute";r=6;t=60')
    for (let i = 0; i < 5; i++) {
      const refused = await site.call(json, undefined, as('ann'))
      equal([refused.status, refused.json()['violated-policies'], left(refused)], [429, ['order.minute'], '0'])
    }
    await limiters.order.reset({ scope: tenant, key: '/json' })
    const last = await site.call(json, undefined, as('ann'))
    equal(told(last)[1], '"order.minute";r=0;t=60, "door.minute";r=7;t=60, "user.minute";r=4;t=60')
  }),

  httpCase('a request of nobody is limited by its address', async ({ serve, equal }) => {
    const json = route('json', { policy: { rateLimit: { limiter: 'api' } } })
    const site = await serve([json], {
      http: { limiters: { api: limiterOf(perMinute(1)) }, trustProxy: ['127.0.0.0/8'] },
    })
    const statuses = []
    for (const address of ['203.0.113.9', '203.0.113.9', '203.0.113.8'])
      statuses.push((await site.call(json, undefined, from(address))).status)
    equal(statuses, [201, 429, 201])
    equal((await site.call(json, undefined, as('ann'))).status, 201)
  }),

  httpCase('while the limiter’s store is away no header guesses, and who may not guess says 503', async (stage) => {
    const { serve, equal } = stage
    const away = async (): Promise<never> => Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }))
    const store = { ...memoryStore(), take: away, peek: away, refund: away }
    const json = route('json', { policy: { rateLimit: { limiter: 'local' } } })
    const strict = route('text', { policy: { rateLimit: { limiter: 'strict' } } })
    const site = await serve([json, strict], {
      http: {
        limiters: {
          local: limiterOf(perMinute(1), { store }),
          strict: limiterOf(perMinute(1), { store, onStoreFailure: 'deny' }),
        },
      },
    })
    const answers = []
    for (const one of [json, json, strict]) answers.push(await site.call(one, undefined, as('ann')))
    equal(
      answers.map((answer) => [answer.status, answer.header('retry-after')]),
      [
        [201, undefined],
        [429, '60'],
        [503, '1'],
      ],
    )
    equal(answers[2]!.json()['code'], 'store-unavailable')
    for (const answer of answers) equal(told(answer), ['', '', '', ''])
    equal([json.runs, strict.runs], [1, 0])
  }),

  httpCase(
    'a transactional route is limited too, before its transaction',
    async ({ serve, subject, key, equal }) => {
      const work = route('work', {
        policy: { transactional: true, idempotent: {}, rateLimit: { limiter: 'api' } },
        work: async (tx) => created((await tx.query('select 7 as id')).rows[0]),
      })
      const { db } = subject.database!
      const site = await serve([work], {
        http: { db, limiters: { api: limiterOf(perMinute(1)) } },
        core: { store: subject.database!.store },
      })
      const statuses = []
      for (const user of ['ann', 'ann', 'bob']) statuses.push((await site.call(work, key(), as(user))).status)
      equal(statuses, [201, 429, 201])
      equal(work.runs, 2)
    },
    'database',
  ),
]
