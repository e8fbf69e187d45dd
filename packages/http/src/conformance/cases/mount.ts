import { createPipeline } from '@keelson/resilience'
import { createHealth } from '@keelson/resilience/health'
import type { Case } from '@keelson/kernel/conformance'
import { virtualClock } from '@keelson/kernel/testing'
import { healthApi, type HealthReport } from '../../apis/health-api.ts'
import type { FetchHandler } from '../../fetch-handler.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, route, type Site, type Stage } from '../stage.ts'

/** An API that is mounted: `Request` in, `Response` out. */
export const mountCases: readonly Case<HttpSubject>[] = [
  mountCase('an API sees the request behind its mount point', async ({ equal }, mounted) => {
    const site = await mounted(async (request, info) => {
      const { pathname, search } = new URL(request.url)
      return Response.json({
        method: request.method,
        path: pathname + search,
        own: request.headers.get('x-own'),
        type: request.headers.get('content-type'),
        address: info?.remoteAddress,
        body: await request.text(),
      })
    })
    const sent = await site.send({
      method: 'PUT',
      path: '/api/items/a%20b?q=1',
      headers: [
        ['X-Own', 'yes'],
        ['Content-Type', 'application/json'],
      ],
      body: '{ "a" : 1 }',
    })
    const { address, ...seen } = sent.json()
    equal(seen, { method: 'PUT', path: '/items/a%20b?q=1', own: 'yes', type: 'application/json', body: '{ "a" : 1 }' })
    equal(/^(::ffff:)?127\.0\.0\.1$/.test(String(address)), true)
    const roots = [await site.send({ path: '/api' }), await site.send({ path: '/api/' })]
    equal(
      roots.map((one) => one.json()['path']),
      ['/', '/'],
    )
  }),

  mountCase('its answer passes: status, repeated cookies, bytes, and nothing for HEAD', async ({ equal }, mounted) => {
    const bytes = new Uint8Array([0, 255, 13, 10, 200])
    const site = await mounted(async (request) => {
      const headers = new Headers({ 'Content-Type': 'application/octet-stream', 'X-Own': 'yes' })
      headers.append('Set-Cookie', 'a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT')
      headers.append('Set-Cookie', 'b=2')
      if (new URL(request.url).pathname === '/none')
        return new Response(null, { status: 204, headers: { 'X-Own': 'yes' } })
      return new Response(request.method === 'HEAD' ? null : bytes, { status: 418, headers })
    })
    const answer = await site.send({ path: '/api/some' })
    equal([answer.status, answer.header('x-own'), [...answer.body]], [418, 'yes', [...bytes]])
    equal(answer.header('content-type'), 'application/octet-stream')
    equal(answer.all('set-cookie'), ['a=1; Expires=Wed, 21 Oct 2026 07:28:00 GMT', 'b=2'])
    equal(answer.all('x-correlation-id').length, 1)
    const head = await site.send({ method: 'HEAD', path: '/api/some' })
    equal([head.status, head.header('x-own'), head.body.length], [418, 'yes', 0])
    const none = await site.send({ path: '/api/none' })
    equal([none.status, none.header('x-own'), none.body.length], [204, 'yes', 0])
  }),

  mountCase('bodies stream both ways: each side hears the other’s pieces as they come', async ({ equal }, mounted) => {
    const site = await mounted(async (request) => {
      const reader = request.body!.getReader()
      const encoder = new TextEncoder()
      return new Response(
        new ReadableStream({
          async pull(controller) {
            const { done, value } = await reader.read()
            if (done) return controller.close()
            controller.enqueue(encoder.encode(`heard ${Buffer.from(value).toString()}\n`))
          },
        }),
        { headers: { 'Content-Type': 'text/event-stream' } },
      )
    })
    const connection = site.open({ method: 'POST', path: '/api/echo', length: 6 })
    connection.socket.write('one')
    await connection.until(({ body }) => body.toString() === 'heard one\n')
    connection.socket.write('two')
    equal((await connection.whole()).body.toString(), 'heard one\nheard two\n')
  }),

  mountCase('a client that leaves cancels its stream and aborts its request', async ({ until }, mounted) => {
    const seen = { isAborted: false, isCancelled: false }
    const site = await mounted(async (request) => {
      request.signal.addEventListener('abort', () => (seen.isAborted = true))
      return new Response(
        new ReadableStream({
          start: (controller) => controller.enqueue(new TextEncoder().encode('first')),
          cancel: () => void (seen.isCancelled = true),
        }),
      )
    })
    const connection = site.open({ path: '/api/endless' })
    await connection.until(({ body }) => body.toString() === 'first')
    connection.leave()
    await until('the stream is cancelled', () => seen.isCancelled)
    await until('the request is aborted', () => seen.isAborted)
  }),

  mountCase('a stream that fails breaks its answer off', async ({ ok, equal }, mounted) => {
    const broken = Promise.withResolvers<void>()
    const site = await mounted(async () => {
      return new Response(
        new ReadableStream({
          async start(controller) {
            controller.enqueue(new TextEncoder().encode('first'))
            await broken.promise
            controller.error(new Error('the source broke'))
          },
        }),
      )
    })
    const connection = site.open({ path: '/api/broken' })
    await connection.until(({ body }) => body.toString() === 'first')
    broken.resolve()
    equal((await connection.whole()).body.toString(), 'first')
    ok(!connection.isComplete(), 'a broken answer must not look complete')
    equal(site.log.filter(({ level }) => level === 'error').length, 1, 'error lines')
  }),

  mountCase('a client that leaves in the middle of its body fails the read', async ({ until }, mounted) => {
    let failed = false
    const began = Promise.withResolvers<void>()
    const site = await mounted(async (request) => {
      began.resolve()
      await request.text().catch(() => (failed = true))
      return new Response('over')
    })
    const connection = site.open({ method: 'POST', path: '/api/upload', length: 1_000 })
    connection.socket.write('half')
    await began.promise
    connection.leave()
    await until('the read fails', () => failed)
  }),

  mountCase('probes answer where they are mounted', async ({ equal }, mounted) => {
    let status: 'ok' | 'down' = 'ok'
    const report = async (): Promise<HealthReport> => ({ ok: status === 'ok', status, checks: {} })
    const site = await mounted(healthApi({ health: { liveness: report, readiness: report, startup: report } }))
    const ready = await site.send({ path: '/api/ready' })
    equal([ready.status, ready.json()['status'], ready.header('cache-control')], [200, 'ok', 'no-store'])
    status = 'down'
    equal((await site.send({ path: '/api/ready' })).status, 503)
    equal((await site.send({ method: 'HEAD', path: '/api/live' })).status, 503)
    const refused = await site.send({ method: 'POST', path: '/api/live' })
    equal([refused.status, refused.all('allow').length], [405, 1])
    const none = await site.send({ path: '/api/nowhere' })
    equal([none.status, none.header('content-type')], [404, 'application/problem+json'])
  }),

  mountCase(
    'an open breaker that is critical takes the node out of traffic, alive; another degrades it',
    async (stage, mounted) => {
      const { equal } = stage
      const [ledger, search] = ['ledger', 'search'].map((name) => createPipeline({ name, breaker: true }))
      const health = createHealth({ cache: 0 })
      health.watch(ledger!, { critical: true })
      health.watch(search!)
      health.started()
      const site = await mounted(healthApi({ health }))
      const probes = async (): Promise<unknown[]> => {
        const [ready, live] = [await site.send({ path: '/api/ready' }), await site.send({ path: '/api/live' })]
        const { status, reason } = ready.json()
        return [ready.status, status, reason, live.status]
      }
      equal(await probes(), [200, 'ok', undefined, 200])
      search!.force('open')
      equal(await probes(), [200, 'degraded', 'failed: search', 200])
      ledger!.force('open')
      equal(await probes(), [503, 'down', 'failed: ledger', 200])
      ledger!.force(null)
      search!.force(null)
      equal(await probes(), [200, 'ok', undefined, 200])
    },
  ),

  mountCase('a critical breaker that has been open for its time lets traffic come again', async (stage, mounted) => {
    const { equal } = stage
    const clock = virtualClock()
    const breaker = { consecutive: 2, open: '5s', probes: 1 } as const
    const ledger = createPipeline({ name: 'ledger', clock, deadline: false, breaker })
    const call = (works: boolean): Promise<unknown> =>
      ledger.try(async () => works || Promise.reject(new Error('down')))
    const health = createHealth({ cache: 0 })
    health.watch(ledger, { critical: true })
    health.started()
    const site = await mounted(healthApi({ health }))
    const ready = async (): Promise<number> => (await site.send({ path: '/api/ready' })).status
    await call(false)
    equal(await ready(), 200)
    await call(false)
    equal(await ready(), 503)
    await clock.advance(4_999)
    equal(await ready(), 503)
    // Nobody calls it while there is no traffic: only time brings it back.
    await clock.advance(1)
    equal(await ready(), 200)
    await call(false)
    equal(await ready(), 503)
    await clock.advance(60_000)
    await call(true)
    equal([ledger.state(), await ready()], ['closed', 200])
  }),

  mountCase('an API that throws is a problem', async ({ equal }, mounted) => {
    const site = await mounted(async () => {
      throw new Error('boom')
    })
    const answer = await site.send({ path: '/api/some' })
    equal([answer.status, answer.header('content-type')], [500, 'application/problem+json'])
    equal(site.log.filter(({ level }) => level === 'error').length, 1)
  }),
]

function mountCase(
  name: string,
  run: (stage: Stage, mounted: (api: FetchHandler) => Promise<Site>) => Promise<void>,
): Case<HttpSubject> {
  return httpCase(name, async (stage) => {
    if (!stage.supports('api')) return
    await run(stage, (api) => stage.serve([route('json'), route('api', { path: '/api', api })]))
  })
}
