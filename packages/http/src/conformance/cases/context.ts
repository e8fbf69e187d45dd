import type { Case } from '@keelson/kernel/conformance'
import { keepAlive } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { look } from '../sample.ts'
import { httpCase, linesOf, route } from '../stage.ts'

const CONNECTIONS = 100
const REQUESTS_EACH = 100
const JSON_TYPE = ['Content-Type', 'application/json'] as const

/** Each request has its own context, all the way. */
export const contextCases: readonly Case<HttpSubject>[] = [
  httpCase('the context is there behind the body parser, in timers and in streams', async (stage) => {
    const { supports, serve, equal } = stage
    if (!supports('echo-context')) return
    const site = await serve([route('echo-context')])
    const answer = await site.send({
      method: 'POST',
      path: '/echo-context',
      headers: [JSON_TYPE, ['X-Correlation-ID', 'my-request-0001']],
      body: JSON.stringify({ text: 'x'.repeat(60_000) }),
    })
    const { body, seen } = answer.json() as { body: { text: string }; seen: unknown[][] }
    equal(body?.text?.length, 60_000, 'the framework’s own parser reads the body')
    equal(
      seen.map(([id]) => id),
      Array.from({ length: 4 }, () => 'my-request-0001'),
    )
  }),

  httpCase('a handler behind a policy knows tenant and user', async ({ supports, serve, key, tenant, equal }) => {
    if (!supports('echo-context')) return
    let entered: unknown
    const echo = route('echo-context', { policy: { idempotent: {} }, onEnter: () => void (entered = look()) })
    const site = await serve([echo])
    const answer = await site.call(echo, key(), {
      headers: [JSON_TYPE, ['X-Correlation-ID', 'my-request-0001'], ['Authorization', 'Bearer ann']],
      body: '{}',
    })
    const expected = ['my-request-0001', tenant, 'ann']
    equal(entered, expected)
    equal(
      (answer.json() as { seen: unknown[] }).seen,
      Array.from({ length: 4 }, () => expected),
    )
  }),

  httpCase('ten thousand requests that interleave never see each other’s, and are one series', async (stage) => {
    const { supports, serve, equal, together, until } = stage
    if (!supports('echo-context')) return
    const echo = route('echo-context', { path: '/items/:id' })
    const site = await serve([echo])
    const wrong = await together(CONNECTIONS, async (connection) => {
      const line = keepAlive(site.url)
      let wrong = 0
      for (let i = 0; i < REQUESTS_EACH; i++) {
        const id = `request-${connection}-${i}`
        const headers = [JSON_TYPE, ['X-Correlation-ID', id] as const]
        const answer = await line.send({ method: 'POST', path: `/items/${id}`, headers, body: `{"id":"${id}"}` })
        const { body, seen } = answer.json() as { body: { id: string }; seen: unknown[][] }
        const isMine = body.id === id && seen.length === 4 && seen.every(([one]) => one === id)
        if (!isMine || answer.header('x-correlation-id') !== id) wrong++
      }
      line.close()
      return wrong
    })
    equal(
      wrong.reduce((sum, one) => sum + one, 0),
      0,
    )
    const all = CONNECTIONS * REQUESTS_EACH
    await until('the end of each request', () => linesOf(site.log, 'ended').length >= all)
    equal([linesOf(site.log, 'began').length, linesOf(site.log, 'ended').length], [all, all], 'lines')
    const requests = site.http.metrics().find(({ name }) => name === 'keelson_http_requests_total')
    const series = requests?.samples.map(({ labels, value }) => [labels['route'], labels['status'], value])
    equal(series, [['/items/:id', '200', all]])
  }),
]
