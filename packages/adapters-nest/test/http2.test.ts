import { connect } from 'node:http2'
import type { Server } from 'node:http'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import { expect, it } from 'vitest'
import { createHttp } from '@keelson/http'
import type { PlanRoute } from '@keelson/http/conformance'
import { drainServer } from '@keelson/http/node'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { KeelsonModule, mountApi } from '@keelson/nest'
import { askHttp2 } from '../../http/test/ask-http2.ts'
import { rootOf } from './nest-subject.ts'
import { nest, start } from './platforms.ts'

it(`${nest} on Fastify holds over HTTP/2, too: ids, keys, streams, problems, mounts, draining`, async () => {
  let runs = 0
  const route = (kind: PlanRoute['kind']): PlanRoute => ({
    method: 'POST',
    path: `/${kind}`,
    kind,
    policy: { idempotent: {} },
    enter: async () => void runs++,
    async *pieces() {
      yield* ['one', 'two']
    },
  })
  const kinds = ['json', 'stream', 'two-cookies', 'throw-4xx'] as const
  const http = createHttp({ idempotency: createIdempotency({ store: memoryStore() }), scope: () => 'm1' })
  const module = rootOf(kinds.map(route), KeelsonModule.forRoot({ http, problems: 'all' }))
  const adapter = (): FastifyAdapter => new FastifyAdapter({ http2: true } as never)
  const { app, url, close } = await start({ platform: 'Fastify', adapter }, module, (app) => {
    ;(app as NestFastifyApplication).useBodyParser('*')
    mountApi(app, '/api', async (request) => new Response(request.url))
  })
  const { drain } = drainServer(app.getHttpServer() as Server)
  const session = connect(url)

  for (const [i, kind] of kinds.entries()) {
    const keyed = { 'idempotency-key': 'k' }
    const [first, again] = [await askHttp2(session, `/${kind}`, keyed), await askHttp2(session, `/${kind}`, keyed)]
    expect(again.head).toMatchObject({ ':status': first.head[':status'], 'idempotent-replayed': 'true' })
    expect([first.head['idempotent-replayed'], again.body, runs]).toEqual([undefined, first.body, i + 1])
    expect(first.head['x-correlation-id']).toBeDefined()
  }
  const problem = { ':status': 400, 'content-type': 'application/problem+json' }
  expect((await askHttp2(session, '/json', { 'idempotency-key': '"' })).head).toMatchObject(problem)
  expect((await askHttp2(session, '/none')).head).toMatchObject({ ...problem, ':status': 404 })
  expect((await askHttp2(session, '/api/a')).body).toBe(`${url}/a`)

  session.close()
  await drain(new AbortController().signal)
  await close()
})
