import { context, systemClock } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import type { Given } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, route } from '../stage.ts'

const from = (address: string): Given => ({ headers: [['X-Forwarded-For', address]] })
const OFFICE = '203.0.113.9'

/** Rules that stand before authentication. */
export const earlyCases: readonly Case<HttpSubject>[] = [
  httpCase('an address that is not allowed is refused before authentication', async ({ serve, key, equal }) => {
    const json = route('json', { policy: { allowIps: ['203.0.113.0/24'], idempotent: {} } })
    const local = route('text', { policy: { allowIps: ['127.0.0.0/8'] } })
    const site = await serve([json, local])
    for (const headers of [[], [['Authorization', 'Bearer nobody']]] as const) {
      const refused = await site.call(json, key(), { headers })
      equal([refused.status, refused.json()['code']], [403, 'address-refused'])
    }
    equal((await site.call(local, undefined)).status, 200)
    equal((await site.call(local, undefined, { headers: [['Authorization', 'Bearer nobody']] })).status, 401)
    equal([json.runs, local.runs, site.watched.begins], [0, 1, 0])
  }),

  httpCase('an address is forwarded by trusted proxies only', async ({ serve, equal }) => {
    const json = route('json', { policy: { allowIps: [OFFICE] } })
    const site = await serve([json])
    equal((await site.call(json, undefined, from(OFFICE))).status, 403)
    const behind = await serve([json], { http: { trustProxy: ['127.0.0.0/8', '10.0.0.0/8'] } })
    const statuses = []
    for (const line of [OFFICE, `${OFFICE}, 10.1.2.3`, `${OFFICE}, 198.51.100.7`, 'nonsense', '']) {
      statuses.push((await behind.call(json, undefined, from(line))).status)
    }
    equal(statuses, [201, 201, 403, 403, 403])
  }),

  httpCase('a request whose time is over gets 504 before its handler', async ({ serve, key, equal }) => {
    // Each look at it is a second later.
    let nowMs = 0
    const clock = { ...systemClock, monotonic: () => (nowMs += 1_000) }
    const json = route('json', { policy: { deadline: '10ms', idempotent: {} } })
    const free = route('text', { policy: {} })
    const site = await serve([json, free], { http: { clock } })
    const late = await site.call(json, key())
    equal([late.status, late.header('content-type')], [504, 'application/problem+json'])
    equal(late.json()['code'], 'deadline-exceeded')
    equal((await site.call(free, undefined)).status, 200)
    equal((await site.call(free, undefined, { headers: [['X-Request-Timeout-Ms', '10']] })).status, 504)
    for (const bad of ['NaN', '-5', '1e308', '5, 6']) {
      equal((await site.call(free, undefined, { headers: [['X-Request-Timeout-Ms', bad]] })).status, 200, bad)
    }
    equal([json.runs, site.watched.begins], [0, 0])
  }),

  httpCase('the handler knows how much time is left: the nearer of route, http and caller', async (stage) => {
    const { serve, equal } = stage
    let leftMs = 0
    let retry: number | undefined
    const onEnter = (): void => {
      leftMs = context.remaining()
      retry = context.get()?.retryAttempt
    }
    const short = route('json', { policy: { deadline: '20m' }, onEnter })
    const long = route('text', { policy: {}, onEnter })
    const site = await serve([short, long], { http: { deadline: { default: '3h', max: '3h' } } })
    const minutes = async (asked: readonly (readonly [string, string])[], one = short): Promise<number> => {
      await site.call(one, undefined, { headers: asked })
      return Math.ceil(leftMs / 60_000)
    }
    equal(await minutes([]), 20)
    equal(await minutes([['X-Request-Timeout-Ms', '600000']]), 10)
    equal(await minutes([], long), 180)
    await minutes([['X-Retry-Attempt', '3']])
    equal(retry, 3)
  }),

  httpCase('a deprecated route says so on each answer', async ({ serve, key, equal, supports }) => {
    if (!supports('two-cookies')) return
    const old = route('two-cookies', {
      policy: {
        idempotent: {},
        deprecated: { since: '2026-01-01', sunset: '2027-01-01', link: 'https://docs.test/old', successor: '/v2' },
      },
    })
    const site = await serve([old])
    const mine = key()
    const answers = [await site.call(old, mine), await site.call(old, mine), await site.call(old, 'a,b')]
    equal(
      answers.map(({ status }) => status),
      [200, 200, 400],
    )
    for (const answer of answers) {
      equal(answer.all('deprecation'), ['@1767225600'])
      equal(answer.all('sunset'), ['Fri, 01 Jan 2027 00:00:00 GMT'])
      const links = answer.all('link').join(', ').split(', ')
      for (const link of ['<https://docs.test/old>; rel="deprecation"', '</v2>; rel="successor-version"']) {
        equal(links.filter((one) => one === link).length, 1, `${link} in ${links.join(', ')}`)
      }
    }
    const own = answers.slice(0, 2).map((answer) => answer.all('link').join(', ').includes('</b>; rel=b'))
    equal(own, [true, true])
  }),
]
