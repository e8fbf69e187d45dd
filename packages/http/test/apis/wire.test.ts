/** The APIs over real sockets. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { context } from '@keelson/kernel'
import { createHealth } from '@keelson/resilience/health'
import { createHttp } from '@keelson/http'
import { healthApi, opsApi } from '@keelson/http/apis'
import { nodeExchanges } from '@keelson/http/node'
import { readAnswer, send, sendRaw, serve } from '../wire.ts'

const opened = new AsyncDisposableStack()
afterAll(() => opened.disposeAsync())

test('each path of both APIs, by GET and HEAD, and what they refuse', async () => {
  const http = createHttp()
  const health = createHealth()
  health.started()
  const authorize = (request: Request) => (request.headers.has('authorization') ? { id: 'operator' } : undefined)
  const apis = {
    '/health': healthApi({ health }),
    '/ops': opsApi({ http, components: [http], health, authorize }),
  }
  const exchanges = nodeExchanges<IncomingMessage>({ target: (req) => req.url!, route: () => '(none)' }, 1_000)
  const { port, close } = await serve((req, res) => {
    const x = exchanges.of(req, res, req)
    context.run(http.begin(x), () => {
      const [prefix, api] = Object.entries(apis).find(([prefix]) => req.url!.startsWith(prefix))!
      void x.serve(http, api, req.url!.slice(prefix.length))
    })
  })
  opened.defer(close)

  const paths = ['', '/status', '/metrics', '/metrics/json', '/metrics/system', '/metrics/health']
  paths.push('/circuit-breaker/status', '/explain/c-1')
  const headers = [['Authorization', 'x']] as const
  for (const path of [...paths.map((path) => `/ops${path}`), '/health', '/health/live', '/health/ready']) {
    const get = await send(port, { path, headers })
    expect([path, get.status, get.header('cache-control')]).toEqual([path, 200, 'no-store'])
    expect(get.header('content-length')).toBe(String(get.body.length))
    const head = readAnswer(await sendRaw(port, { method: 'HEAD', path, headers }))
    expect([head.status, head.body.length, head.header('content-type')]).toEqual([200, 0, get.header('content-type')])
    const posted = await send(port, { method: 'POST', path, headers, body: '{}' })
    expect([posted.status, posted.header('allow')]).toEqual([405, 'GET, HEAD'])
  }
  const stranger = await send(port, { path: '/ops/metrics' })
  expect([stranger.status, stranger.header('content-type')]).toEqual([401, 'application/problem+json'])
  const { body } = await send(port, { path: '/ops/metrics', headers })
  expect(body.toString()).toContain('keelson_http_requests_total{method="GET",route="(mounted)",status="200"}')
})

test('on SIGTERM readiness fails first, then the server drains, then the process ends with code 0', async () => {
  const worker = join(import.meta.dirname, 'node-worker.ts')
  const child = fork(worker, { execArgv: ['--conditions=@keelson/source', '--no-warnings'] })
  opened.defer(() => void child.kill('SIGKILL'))
  const exited = once(child, 'exit')
  const [port] = (await once(child, 'message')) as [number]
  expect((await send(port, { path: '/health/ready' })).status).toBe(200)
  const slow = send(port, { path: '/slow' })
  expect(await once(child, 'message')).toEqual(['slow began', undefined])

  child.kill('SIGTERM')
  // A load balancer looks while the process goes on as before.
  const refused = await readinessOf(port)
  expect(refused.json()).toMatchObject({ status: 'down', reason: 'draining: SIGTERM' })
  expect((await send(port, { path: '/health/live' })).status).toBe(200)

  child.send('preStop is over')
  const { status, body } = await slow
  expect([status, body.toString()]).toEqual([200, 'done'])
  expect(await exited).toEqual([0, null])
})

/** The first answer that is not 200: a signal takes its time. */
async function readinessOf(port: number): Promise<Awaited<ReturnType<typeof send>>> {
  for (;;) {
    const answer = await send(port, { path: '/health/ready' })
    if (answer.status !== 200) return answer
  }
}
