import type { Case } from '@keelson/kernel/conformance'
import type { HttpSubject } from '../http-subject.ts'
import { secret } from '../sample.ts'
import { problem } from '../../problem.ts'
import { httpCase, route } from '../stage.ts'

const PROBLEM = 'application/problem+json'

/** Errors become problems. */
export const problemCases: readonly Case<HttpSubject>[] = [
  httpCase('a thrown error is a 500 that tells nothing, and one error line', async ({ supports, serve, equal, ok }) => {
    if (!supports('throw')) return
    const throws = route('throw')
    const site = await serve([throws], { http: { problems: { details: 'never' } } })
    const answer = await site.call(throws, undefined)
    const { code, status, instance, correlationId, retryable } = answer.json()
    equal([answer.status, answer.header('content-type')], [500, PROBLEM])
    equal([code, status, instance, retryable], ['internal-error', 500, throws.path, true])
    equal(correlationId, answer.header('x-correlation-id'))
    ok(!answer.body.toString().includes(secret) && !answer.body.toString().includes('Error'), 'no message')
    ok(!/\bat .*:\d+:\d+|stack/.test(answer.body.toString()), 'no stack')
    const errors = site.log.filter(({ level }) => level === 'error')
    equal(
      errors.map(({ fields }) => [(fields['err'] as Error).message, fields['correlationId']]),
      [[secret, correlationId]],
    )
  }),

  httpCase('a thrown problem is that problem', async ({ serve, equal }) => {
    const json = route('json', {
      onEnter() {
        throw problem(429, 'slow-down', { detail: 'not so fast', retryAfter: '3s', extra: { left: 2 } })
      },
    })
    const site = await serve([json])
    const answer = await site.call(json, undefined)
    const { code, detail, left } = answer.json()
    equal([answer.status, answer.header('content-type'), answer.header('retry-after')], [429, PROBLEM, '3'])
    equal([code, detail, left], ['slow-down', 'not so fast', 2])
    equal(
      site.log.filter(({ level }) => level === 'error'),
      [],
    )
  }),

  httpCase('the framework’s own 4xx stays one', async ({ supports, serve, equal }) => {
    if (!supports('throw-4xx')) return
    const teapot = route('throw-4xx')
    const site = await serve([teapot])
    const answer = await site.call(teapot, undefined)
    equal([answer.status, answer.header('content-type'), answer.json()['status']], [418, PROBLEM, 418])
    equal(
      site.log.filter(({ level }) => level === 'error'),
      [],
    )
  }),

  httpCase('a body that the framework cannot parse is a 400, and claims nothing', async ({ serve, key, equal }) => {
    const json = route('json', { policy: { idempotent: {} } })
    const site = await serve([json])
    const answer = await site.call(json, key(), { headers: [['Content-Type', 'application/json']], body: '{"broken":' })
    equal([answer.status, answer.header('content-type')], [400, PROBLEM])
    equal([json.runs, site.watched.begins], [0, 0])
  }),

  httpCase('what no route matches is a 404', async ({ serve, equal }) => {
    const site = await serve([route('json')])
    const answer = await site.send({ path: '/nowhere?at=all' })
    const { code, instance } = answer.json()
    equal([answer.status, answer.header('content-type'), code, instance], [404, PROBLEM, 'not-found', '/nowhere'])
  }),

  httpCase('a wrong policy stops the start', async ({ serve, ok }) => {
    const wrong = { idempotant: {} } as object
    const started = await serve([route('json', { policy: wrong })]).then(
      () => true,
      (error: { code?: unknown }) => error.code !== 'OPTION_INVALID',
    )
    ok(!started, 'it must be refused with OPTION_INVALID, before the first request')
  }),
]
