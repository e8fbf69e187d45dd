import type { Case } from '@keelson/kernel/conformance'
import type { Answer } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, route } from '../stage.ts'

const UUID_V7 = /^[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/
const TRACEPARENT = /^00-[\da-f]{32}-[\da-f]{16}-[\da-f]{2}$/
const MINE = 'my-request-0001'
const idsOf = (answer: Answer): readonly string[] => answer.all('x-correlation-id')

/** Ids of requests. */
export const idCases: readonly Case<HttpSubject>[] = [
  httpCase('every answer has its ids, whatever answers', async ({ serve, key, equal, ok, supports }) => {
    const policy = { idempotent: { required: true } }
    const throws = [route('throw'), route('throw-4xx')].filter(({ kind }) => supports(kind))
    const routes = [route('json', { policy }), route('no-content'), route('head'), ...throws]
    const site = await serve(routes)
    const mine = key()
    const headers = [['X-Correlation-ID', MINE] as const]
    const answers = [
      await site.call(routes[0]!, mine, { headers }),
      await site.call(routes[0]!, mine, { headers }),
      await site.call(routes[0]!, undefined, { headers }),
      await site.call(routes[1]!, undefined, { headers }),
      await site.call(routes[2]!, undefined, { headers }),
      await site.send({ path: '/nowhere', headers }),
      await site.call(routes[0]!, key(), {
        headers: [...headers, ['Content-Type', 'application/json']],
        body: '{"broken":',
      }),
      ...(await Promise.all(throws.map((one) => site.call(one, undefined, { headers })))),
    ]
    const statuses = answers.map(({ status }) => status)
    equal(statuses, [201, 201, 400, 204, 200, 404, 400, ...throws.map(({ kind }) => (kind === 'throw' ? 500 : 418))])
    for (const answer of answers) {
      equal(idsOf(answer), [MINE], `of ${answer.status}`)
      equal(answer.all('traceparent').length, 1, `of ${answer.status}`)
      ok(TRACEPARENT.test(answer.header('traceparent')!))
    }
  }),

  httpCase('an id that nobody should believe is replaced', async ({ serve, equal, ok }) => {
    const site = await serve([route('json')])
    for (const lines of [
      [],
      ['short'],
      ['with space in it'],
      ['<script>alert(1)</script>'],
      ['x'.repeat(129)],
      [MINE, MINE],
    ]) {
      const headers = lines.map((line) => ['X-Correlation-ID', line] as const)
      const [id, ...more] = idsOf(await site.send({ method: 'POST', path: '/json', headers }))
      ok(UUID_V7.test(id!), `${lines.join(' and ')} became ${id}`)
      equal(more, [])
    }
  }),

  httpCase('a valid trace is continued under a new parent, any other is begun', async ({ serve, equal, ok }) => {
    const site = await serve([route('json')])
    const trace = '0af7651916cd43dd8448eb211c80319c'
    const traced = async (given: readonly string[]): Promise<string[]> => {
      const headers = given.map((line) => ['traceparent', line] as const)
      const answer = await site.send({ method: 'POST', path: '/json', headers })
      ok(TRACEPARENT.test(answer.header('traceparent')!))
      return answer.header('traceparent')!.split('-')
    }
    const [, continued, parent, flags] = await traced([`00-${trace}-b7ad6b7169203331-01`])
    equal([continued, flags], [trace, '01'])
    ok(parent !== 'b7ad6b7169203331')
    for (const bad of [
      [],
      ['nonsense'],
      [`00-${'0'.repeat(32)}-b7ad6b7169203331-01`],
      [`00-${trace}-${'0'.repeat(16)}-01`],
    ]) {
      const [, begun] = await traced(bad)
      ok(begun !== trace && begun !== '0'.repeat(32))
    }
  }),
]
