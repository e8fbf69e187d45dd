import { describe, expect, it, test } from 'vitest'
import { createHttp, type HttpOptions, type LimiterLike, type RateRule } from '@keelson/http'
import { createLimiter, memoryStore, type Limiter, type LimiterOptions } from '@keelson/resilience/limiter'
import { virtualClock } from '@keelson/kernel/testing'
import { exchange, headerOf, problemOf, recordingLogger, type Given, type TestExchange } from './support.ts'

const clock = virtualClock()
const limiterOf = (limit: number, more: Partial<LimiterOptions> = {}): Limiter =>
  createLimiter({ name: 'api', quotas: { name: 'minute', limit, per: '1m' }, clock, ...more })
const all: HttpOptions = { limiters: { api: limiterOf(1) }, scope: () => 'm1', principal: () => ({ id: 'ann' }) }

describe('a rate limit is refused when it is compiled', () => {
  it.each<[string, unknown, HttpOptions, RegExp]>([
    ['of no limiter', {}, all, /policy: rateLimit: "limiter" is required/],
    ['of an unknown limiter', { limiter: 'apo' }, all, /"limiter" must be one of createHttp.*: api \(got 'apo'\)/],
    ['of a name of all objects', { limiter: 'toString' }, all, /"limiter" must be one of .*: api \(got 'toString'\)/],
    ['without limiters', { limiter: 'api' }, { scope: () => 'm1' }, /"limiter" must be one of .*: none/],
    ['with another member', { limiter: 'api', per: 'user' }, all, /policy: rateLimit: unknown option "per"/],
    [
      'by nothing that is known',
      { limiter: 'api', by: 'ip' },
      all,
      /"by" must be 'address', 'principal' or a function/,
    ],
    ['with half a unit', { limiter: 'api', cost: 0.5 }, all, /"cost" must be an integer .*got 0\.5/],
    ['that gives', { limiter: 'api', cost: -1 }, all, /"cost" must be an integer/],
    ['of an empty scope', { limiter: 'api', scope: '' }, all, /"scope" must be a scope/],
    ['of nobody', { limiter: 'api' }, { ...all, principal: undefined as never }, /needs createHttp\(\{ principal \}\)/],
    ['of no scope', { limiter: 'api' }, { ...all, scope: undefined as never }, /"scope" is required here or in/],
    ['by a name', 'api', all, /"rateLimit" must be an object, or an array of at least one/],
    ['of no rules', [], all, /"rateLimit" must be an object, or an array of at least one/],
    ['of rules that are none', [undefined], all, /policy: rateLimit: "limiter" is required/],
    ['of a second rule', [{ limiter: 'api' }, { limiter: 'b' }], all, /"limiter" must be one of .*'b'/],
  ])('%s', (_, rateLimit, options, message) => {
    expect(() => createHttp(options).compile({ rateLimit: rateLimit as RateRule })).toThrow(message)
  })

  it.each([
    [{ api: {} }, /"limiters" must be limiters by names of 1 to 64/],
    [{ 'a b': limiterOf(1) }, /"limiters" must be/],
    [{ api: undefined }, /"limiters" must be/],
    ['api', /"limiters" must be/],
  ])('createHttp refuses %j', (limiters, message) => {
    expect(() => createHttp({ limiters } as never)).toThrow(message)
  })
})

/** What was answered, and the request. */
async function ask(
  http: ReturnType<typeof createHttp>,
  rateLimit: RateRule | readonly RateRule[],
  given: Given = {},
): Promise<{ x: TestExchange; answer: Awaited<ReturnType<ReturnType<typeof http.compile>['late']>> }> {
  const route = http.compile({ rateLimit })
  const x = exchange(given)
  http.begin(x)
  return { x, answer: (await route.early(x)) ?? (await route.late(x)) }
}

test('what can never fit is told so, without a time', async () => {
  const { answer, x } = await ask(createHttp({ ...all, limiters: { api: limiterOf(3) } }), { limiter: 'api', cost: 4 })
  expect([answer?.status, headerOf(answer!, 'retry-after')]).toEqual([429, undefined])
  expect(problemOf(answer!)).toMatchObject({
    code: 'rate-limited',
    retryable: false,
    detail: 'It costs more than there can ever be.',
    'violated-policies': ['minute'],
  })
  x.headLeaves(429, [])
  expect(x.answerHeaders['x-ratelimit-remaining']).toBe('3')
})

test('a cost of 0 takes nothing, and is refused when nothing is left', async () => {
  const http = createHttp({ ...all, limiters: { api: limiterOf(1) } })
  const statuses = []
  for (const cost of [0, 0, 1, 0]) statuses.push((await ask(http, { limiter: 'api', cost })).answer?.status)
  expect(statuses).toEqual([undefined, undefined, undefined, 429])
})

test('a rule at two places of a request counts once, two rules twice', async () => {
  const api = limiterOf(10)
  const http = createHttp({ ...all, limiters: { api } })
  const leftOf = async (policies: { rateLimit: RateRule }[]): Promise<unknown> => {
    const x = exchange()
    http.begin(x)
    for (const route of policies.map((policy) => http.compile(policy))) {
      await route.early(x)
      await route.late(x)
    }
    x.headLeaves(200, [])
    return x.answerHeaders['x-ratelimit-remaining']
  }
  for (const by of ['address', 'principal'] as const) {
    const rateLimit: RateRule = { limiter: 'api', by }
    expect(await leftOf([{ rateLimit }, { rateLimit }])).toBe('9')
    expect(await leftOf([{ rateLimit }, { rateLimit: { ...rateLimit } }])).toBe('7')
  }
})

test('a refusal gives back what its own policy took, and nothing of others', async () => {
  const [door, user] = [limiterOf(10, { name: 'door' }), limiterOf(1)]
  const http = createHttp({ ...all, limiters: { door, user } })
  const outer = http.compile({ rateLimit: { limiter: 'door', by: 'address' } })
  const inner = http.compile({ rateLimit: [{ limiter: 'door', by: () => 'all' }, { limiter: 'user' }] })
  for (let i = 0; i < 4; i++) {
    const x = exchange()
    http.begin(x)
    for (const route of [outer, inner]) void ((await route.early(x)) ?? (await route.late(x)))
  }
  const remaining = async (key: string): Promise<unknown> =>
    (await door.peek({ scope: 'm1', key })).quotas[0]!.remaining
  expect([await remaining('address:127.0.0.1'), await remaining('all')]).toEqual([6, 9])
})

test('a refund that fails costs only the units', async () => {
  const lossy: LimiterLike = { take: limiterOf(5).take, refund: () => Promise.reject(new Error('away')) }
  const http = createHttp({ ...all, limiters: { lossy, api: limiterOf(1) } })
  const rules: RateRule[] = [{ limiter: 'lossy' }, { limiter: 'api' }]
  const statuses = []
  for (let i = 0; i < 3; i++) statuses.push((await ask(http, rules)).answer?.status)
  expect(statuses).toEqual([undefined, 429, 429])
})

test('a scope that nobody knows before authentication is an error that says what to do', async () => {
  const logger = recordingLogger()
  const http = createHttp({ ...all, logger, scope: () => undefined })
  await expect(ask(http, { limiter: 'api', by: 'address' })).rejects.toMatchObject({
    code: 'SCOPE_INVALID',
    message: expect.stringContaining("give the rule a scope, 'public' to share"),
  })
  expect((await ask(http, { limiter: 'api', by: 'address', scope: 'public' })).answer).toBeUndefined()
})

test('a key that a client made up is no error, however long; none at all is', async () => {
  const http = createHttp({ ...all, limiters: { api: limiterOf(1) } })
  const by = (x: { header(name: string): string | undefined }): string => x.header('x-key')!
  const statusOf = async (key: string): Promise<unknown> =>
    (await ask(http, { limiter: 'api', by }, { headers: [['X-Key', key]] })).answer?.status
  const long = 'k'.repeat(5_000)
  expect([await statusOf(long), await statusOf(long), await statusOf(`${long}k`)]).toEqual([undefined, 429, undefined])
  expect([await statusOf('\ud800'), await statusOf('\ud801')]).toEqual([undefined, undefined])
  await expect(ask(http, { limiter: 'api', by })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
})

test('who is limited: a user, an address, an answer, in the scope of the rule', async () => {
  const asked: unknown[] = []
  const spy = limiterOf(100)
  const api: LimiterLike = { ...spy, take: (subject) => (asked.push(subject), spy.take(subject)) }
  let user: string | undefined = 'ann'
  const http = createHttp({ ...all, limiters: { api }, principal: () => (user === undefined ? user : { id: user }) })
  await ask(http, { limiter: 'api' })
  user = undefined
  await ask(http, { limiter: 'api', scope: (x) => `t-${x.method}`, cost: 3 }, { remoteAddress: '2001:db8::7' })
  await ask(http, { limiter: 'api', by: (x) => x.path, scope: 'public' })
  expect(asked).toEqual([
    { scope: 'm1', key: 'principal:ann', cost: 1 },
    { scope: 't-POST', key: 'address:2001:db8:0:0::/56', cost: 3 },
    { scope: 'public', key: '/orders', cost: 1 },
  ])
})

test('what the rule refuses is counted by limiter; an outage is not', async () => {
  const away = (): Promise<never> => Promise.reject(Object.assign(new Error('no'), { code: 'ECONNREFUSED' }))
  const store = { ...memoryStore(), take: away, peek: away }
  const limiters = { api: limiterOf(1), strict: limiterOf(1, { store, onStoreFailure: 'deny' }) }
  const http = createHttp({ ...all, limiters })
  const statuses = []
  for (const limiter of ['api', 'api', 'api', 'strict']) statuses.push((await ask(http, { limiter })).answer?.status)
  expect(statuses).toEqual([undefined, 429, 429, 503])
  const family = http.metrics().find(({ name }) => name === 'keelson_http_limited_total')
  expect(family?.samples).toEqual([expect.objectContaining({ labels: { limiter: 'api' }, value: 2 })])
})

test('a request that comes after the end takes nothing', async () => {
  const api = limiterOf(1)
  const http = createHttp({ ...all, limiters: { api } })
  await http.close()
  expect((await ask(http, { limiter: 'api' })).answer?.status).toBe(503)
  expect((await api.peek({ scope: 'm1', key: 'principal:ann' })).quotas[0]!.remaining).toBe(1)
})
