import { once } from 'node:events'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { createExpress, type KeelsonExpress } from '@keelson/express'
import { createHttp, type FetchHandler } from '@keelson/http'
import { context } from '@keelson/kernel'
import type { ErrorRequestHandler, Express } from 'express'
import { recordingLogger } from '../../http/test/support.ts'
import { frameworks, post, send, serve, type Served } from './support.ts'

describe.each(frameworks)('on $framework', ({ express }) => {
  let served: Served | undefined
  let logger: ReturnType<typeof recordingLogger>
  afterEach(async () => {
    await served?.close()
    served = undefined
  })

  async function start(build: (app: Express, k: KeelsonExpress) => void): Promise<number> {
    logger = recordingLogger()
    const k = createExpress(createHttp({ logger }))
    const app = express()
    app.use(k.context(), express.json())
    build(app, k)
    app.use(k.errors())
    served = await serve(app)
    return served.port
  }

  describe('an API that is mounted', () => {
    const echo: FetchHandler = async (request, info) => {
      const { pathname, search } = new URL(request.url)
      const headers = new Headers()
      headers.append('Set-Cookie', 'a=1')
      headers.append('Set-Cookie', 'b=2')
      const id = context.get()?.correlationId
      return Response.json({ pathname, search, body: await request.text(), ...info, id }, { status: 203, headers })
    }

    it.each([
      ['/ops', '/', ''],
      ['/ops/', '/', ''],
      ['/ops?a=1', '/', '?a=1'],
      ['/ops/status/x?a=1', '/status/x', '?a=1'],
    ])('sees of %s only %s, inside the request’s context', async (path, pathname, search) => {
      const port = await start((app, k) => void app.use('/ops', k.mount(echo)))
      const answer = await send(port, { path })
      const id = answer.header('x-correlation-id')
      expect(answer.json()).toEqual({ pathname, search, body: '', remoteAddress: '127.0.0.1', id })
      expect(answer.status).toBe(203)
      expect(answer.lines.filter(([name]) => name.toLowerCase() === 'set-cookie')).toHaveLength(2)
    })

    it('stands at the root of a router behind a parameter, that place itself too', async () => {
      const port = await start((app, k) => void app.use('/:tenant', express.Router().use('/', k.mount(echo))))
      const seen = []
      for (const path of ['/m1', '/m1/', '/m1/a', '/m1/a/b']) seen.push((await send(port, { path })).json()['pathname'])
      expect(seen).toEqual(['/', '/', '/a', '/a/b'])
    })

    it('gets the bytes of a body that a parser has read', async () => {
      const port = await start((app, k) => void app.use('/ops', k.mount(echo)))
      const answer = await post(port, undefined, { sku: 'ä' }, { path: '/ops/entries' })
      expect(answer.json()['body']).toBe('{"sku":"ä"}')
    })

    it.each([
      ['at once', () => Promise.reject(new Error('a bug'))],
      ['in its body', async () => new Response(new ReadableStream({ pull: () => Promise.reject(new Error('a bug')) }))],
    ])('that throws %s is a problem and one line, whatever handles errors of the application', async (_, api) => {
      const told: unknown[] = []
      const port = await start((app, k) => {
        app.use('/ops', k.mount(api))
        app.use(((error, _req, res, _next) => (told.push(error), void res.end())) as ErrorRequestHandler)
      })
      const answer = await send(port, { path: '/ops' })
      expect([answer.status, answer.json()['code'], told]).toEqual([500, 'internal-error', []])
      expect(logger.errors).toMatchObject([{ route: '(mounted)', err: { message: 'a bug' } }])
    })
  })

  it('drains: the answer under way says goodbye, then nobody is served', async () => {
    const begun = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const k = createExpress(createHttp())
    const app = express()
    app.use(k.context())
    app.get('/', async (_req, res) => {
      begun.resolve()
      await go.promise
      res.send('whole')
    })
    served = await serve(app)
    const part = k.shutdown(served.server)
    const socket = connect(served.port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: t\r\n\r\n')
    let text = ''
    socket.on('data', (chunk) => (text += String(chunk)))
    await begun.promise
    const drained = part.drain(new AbortController().signal)
    go.resolve()
    await Promise.all([drained, once(socket, 'close')])
    expect(text).toMatch(/Connection: close[\s\S]*whole$/)
    const late = connect(served.port, '127.0.0.1')
    expect(await once(late, 'error')).toMatchObject([{ code: 'ECONNREFUSED' }])
  })
})
