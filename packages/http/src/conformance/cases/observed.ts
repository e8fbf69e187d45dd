import type { Database } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import { watchDatabase } from '../../watch-database.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, linesOf, route } from '../stage.ts'

/** What operators see of requests. */
export const observedCases: readonly Case<HttpSubject>[] = [
  httpCase('each request is one line at its start and one at its end, whatever answers', async (stage) => {
    const { supports, serve, key, tenant, equal, until } = stage
    const json = route('json', { path: '/items/:id', policy: { idempotent: {} } })
    const throws = route('throw')
    const site = await serve([json, throws])
    const mine = key()
    const ann = [['Authorization', 'Bearer ann'] as const]
    const asked = [
      await site.call(json, mine, { path: '/items/1?secret=not-for-logs', headers: ann }),
      await site.call(json, mine, { path: '/items/1?secret=not-for-logs', headers: ann }),
      await site.call(json, 'a,b', { path: '/items/2' }),
      await site.send({ path: '/nowhere' }),
      ...(supports('throw') ? [await site.call(throws, undefined)] : []),
    ]
    await until('the end of each request', () => linesOf(site.log, 'ended').length >= asked.length)
    const [began, ended] = [linesOf(site.log, 'began'), linesOf(site.log, 'ended')]
    const ids = asked.map((answer) => answer.header('x-correlation-id'))
    equal(
      began.map(({ fields }) => fields['correlationId']),
      ids,
    )
    equal(new Set(ended.map(({ fields }) => fields['correlationId'])), new Set(ids))
    equal([began.length, ended.length], [asked.length, asked.length])
    const seen = ids.map((id) => {
      const { fields } = ended.find((line) => line.fields['correlationId'] === id)!
      const { method, route, path, status, principal, scope, replayed, aborted } = fields
      return [method, route, path, status, principal, scope, replayed, aborted]
    })
    const first = ['POST', '/items/:id', '/items/1', 201, 'ann', tenant]
    equal(seen, [
      [...first, false, false],
      [...first, true, false],
      ['POST', '/items/:id', '/items/2', 400, undefined, undefined, false, false],
      ['GET', '(none)', '/nowhere', 404, undefined, undefined, false, false],
      ...(supports('throw') ? [['POST', '/throw', '/throw', 500, undefined, undefined, false, false]] : []),
    ])
    equal(
      site.log.some((line) => JSON.stringify(line.fields).includes('not-for-logs')),
      false,
      'a query in a line',
    )
  }),

  httpCase('a client that leaves is a line that says so', async ({ serve, equal, until }) => {
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const json = route('json', {
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([json])
    const connection = site.openCall(json, undefined)
    await entered.promise
    connection.leave()
    await until('the end', () => linesOf(site.log, 'ended').length > 0)
    go.resolve()
    equal(
      linesOf(site.log, 'ended').map(({ fields }) => fields['aborted']),
      [true],
    )
  }),

  httpCase('what a request asks of a database is counted, in it alone', async ({ serve, equal, together, until }) => {
    const db: Database = watchDatabase<Database>({
      query: async () => {
        await new Promise((resolve) => setImmediate(resolve))
        return { rows: [] }
      },
      transaction: (work) => work(db),
    })
    const routes = [0, 1, 7].map((queries) =>
      route('json', {
        path: `/queries-${queries}`,
        policy: {},
        async onEnter() {
          for (let i = 0; i < queries; i++) await db.query('select 1')
        },
      }),
    )
    const site = await serve(routes)
    await together(30, (i) => site.call(routes[i % 3]!, undefined))
    await until('the end of each request', () => linesOf(site.log, 'ended').length === 30)
    for (const { fields } of linesOf(site.log, 'ended')) {
      const { queries } = fields['counters'] as { queries: number }
      equal(`/queries-${queries}`, fields['path'])
    }
  }),

  httpCase('every answer says how long it took', async ({ serve, key, equal, ok }) => {
    const json = route('json', { policy: { idempotent: {} } })
    const site = await serve([json])
    const mine = key()
    const answers = [await site.call(json, mine), await site.call(json, mine), await site.send({ path: '/nowhere' })]
    for (const answer of answers) {
      const [took = '', ...more] = answer.all('x-response-time')
      ok(/^\d+\.\d{3}ms$/.test(took), `of ${answer.status}: '${took}'`)
      equal(more, [])
    }
  }),

  httpCase('an adapter names itself, and what it serves', async ({ serve, equal, ok }) => {
    const policy = { deadline: '10m' } as const
    const json = route('json', { path: '/items/:id', policy })
    const site = await serve([json])
    await site.call(json, undefined, { path: '/items/1' })
    const { adapter, routes } = await site.http.inspect()
    ok(typeof adapter === 'string' && adapter.length > 0, 'http.adapter(name) was called')
    const at = new Set(routes.flatMap((one) => one.at))
    equal(at, new Set(['POST /items/:id']))
  }),
]
