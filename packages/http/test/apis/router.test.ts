import { describe, expect, test } from 'vitest'
import { context } from '@keelson/kernel'
import { createHttp, problem, type FetchHandler } from '@keelson/http'
import { json } from '../../src/apis/answer.ts'
import type { Authorize } from '../../src/apis/authorize.ts'
import { apiOf, type ApiRoutes } from '../../src/apis/router.ts'
import { recordingLogger } from '../support.ts'
import { call } from './call.ts'

function api<P extends string>(routes: ApiRoutes<P>, authorize: Authorize = 'public'): FetchHandler {
  return apiOf(routes, { authorize, problem: (error) => createHttp().problem(error) })
}

const user = { id: 'u1', roles: ['operator'] }

describe('routes', () => {
  const routes = api({
    '/': { GET: () => json({ at: 'root' }) },
    '/endpoints': {
      GET: ({ searchParams }) => json({ after: searchParams.get('after') }),
      POST: async ({ request }) => json(await request.json(), 201),
    },
    '/endpoints/:id': { GET: ({ params }) => json(params), DELETE: ({ params }) => json({ deleted: params.id }) },
    '/endpoints/:id/attempts/:attempt': { GET: ({ params }) => json(params) },
    '/endpoints/new': { GET: () => json({ at: 'new' }) },
  })

  test.each([
    ['/', { at: 'root' }],
    ['/endpoints', { after: null }],
    ['/endpoints/', { after: null }],
    ['/endpoints?after=e7', { after: 'e7' }],
    ['/endpoints/e1', { id: 'e1' }],
    ['/endpoints/a%20b%2Fc%C3%A9', { id: 'a b/cé' }],
    ['/endpoints/e1/attempts/2/', { id: 'e1', attempt: '2' }],
    ['/endpoints/new', { at: 'new' }],
    ['/endpoints/__proto__', { id: '__proto__' }],
  ])('%s is answered', async (path, body) => {
    expect(await call(routes, path)).toMatchObject({ status: 200, body })
  })

  test.each(['/no', '/endpoints/e1/attempts', '/endpoints//attempts/1', '//', '/endpoints/%E0%A4%A', '/Endpoints'])(
    '%s is a problem 404',
    async (path) => {
      const { status, headers, body } = await call(routes, path)
      expect(status).toBe(404)
      expect(headers.get('Content-Type')).toBe('application/problem+json')
      expect(body).toMatchObject({ status: 404, code: 'not-found' })
    },
  )

  test('a body is read, and its status is the handler’s', async () => {
    const posted = await call(routes, '/endpoints', { method: 'POST', body: '{"url":"https://a.example"}' })
    expect(posted).toMatchObject({ status: 201, body: { url: 'https://a.example' } })
  })

  test.each([
    ['PUT', '/endpoints', 'GET, HEAD, POST'],
    ['OPTIONS', '/endpoints', 'GET, HEAD, POST'],
    ['POST', '/endpoints/e1', 'GET, HEAD, DELETE'],
    ['toString', '/endpoints', 'GET, HEAD, POST'],
  ])('%s %s is a problem 405 with Allow: %s', async (method, path, allow) => {
    const { status, headers, body } = await call(routes, path, { method })
    expect([status, headers.get('Allow')]).toEqual([405, allow])
    expect(body).toMatchObject({ code: 'method-not-allowed', retryable: false })
  })

  test('HEAD is GET without the body', async () => {
    const get = await call(routes, '/endpoints/e1')
    const head = await call(routes, '/endpoints/e1', { method: 'HEAD' })
    expect([head.status, head.text]).toEqual([200, ''])
    expect([...head.headers]).toEqual([...get.headers])
    expect(head.headers.get('Content-Length')).toBe(String(get.text.length))
    const missing = await call(routes, '/no', { method: 'HEAD' })
    expect([missing.status, missing.text]).toEqual([404, ''])
    expect(missing.headers.get('Content-Type')).toBe('application/problem+json')
  })

  test('no answer may be stored, or read as another type', async () => {
    for (const [path, method] of [['/'], ['/no'], ['/', 'PUT']] as const) {
      const { headers } = await call(routes, path, { method: method ?? 'GET' })
      expect([headers.get('Cache-Control'), headers.get('X-Content-Type-Options')]).toEqual(['no-store', 'nosniff'])
    }
  })
})

describe('what goes wrong', () => {
  const failing = (error: unknown): FetchHandler => {
    const logger = recordingLogger()
    return apiOf(
      {
        '/throws': {
          GET() {
            throw error
          },
        },
        '/rejects': {
          async GET() {
            throw error
          },
        },
      },
      { authorize: 'public', problem: (thrown) => createHttp({ logger }).problem(thrown) },
    )
  }

  test.each(['/throws', '/rejects'])('%s is answered as a problem, without its message', async (path) => {
    const { status, body, text, headers } = await call(failing(new Error('secret')), path)
    expect([status, body.code]).toEqual([500, 'internal-error'])
    expect(text).not.toContain('secret')
    expect(headers.get('Cache-Control')).toBe('no-store')
    expect(await call(failing(problem(409, 'held')), path)).toMatchObject({ status: 409, body: { code: 'held' } })
    expect(await call(failing(undefined), path)).toMatchObject({ status: 500 })
  })
})

describe('authorize', () => {
  const seen: unknown[] = []
  const guarded = (authorize: Authorize): FetchHandler =>
    api({ '/': { GET: () => (seen.push(context.get()?.principal), json({})) } }, authorize)

  test('a principal is that of the context behind it', async () => {
    expect(
      (
        await call(
          guarded(async () => user),
          '/',
        )
      ).status,
    ).toBe(200)
    expect(seen.pop()).toEqual(user)
    expect((await call(guarded('public'), '/')).status).toBe(200)
    expect(seen.pop()).toBeUndefined()
  })

  test('undefined is 401, also where there is no such route or method', async () => {
    const nobody = guarded(() => undefined)
    for (const [path, method] of [['/'], ['/no'], ['/', 'PUT'], ['/', 'HEAD']] as const) {
      const { status, headers } = await call(nobody, path, { method: method ?? 'GET' })
      expect([status, headers.get('Allow'), headers.get('Cache-Control')]).toEqual([401, null, 'no-store'])
    }
    expect((await call(nobody, '/')).body).toMatchObject({ code: 'unauthorized', retryable: false })
    expect(seen).toEqual([])
  })

  test('a Response is the answer, a frozen one too', async () => {
    const challenge = new Response('who?', { status: 401, headers: { 'WWW-Authenticate': 'Basic realm="ops"' } })
    const { status, text, headers } = await call(
      guarded(() => challenge),
      '/',
    )
    expect([status, text, headers.get('WWW-Authenticate')]).toEqual([401, 'who?', 'Basic realm="ops"'])
    expect(headers.get('Cache-Control')).toBe('no-store')
    const login = await call(
      guarded(() => Response.redirect('http://localhost/login')),
      '/no',
    )
    expect([login.status, login.headers.get('Location')]).toEqual([302, 'http://localhost/login'])
    expect(seen).toEqual([])
  })

  test.each<[string, () => unknown, number]>([
    [
      'that throws',
      () => {
        throw new Error('no')
      },
      500,
    ],
    ['that rejects with a problem', () => Promise.reject(problem(403, 'forbidden')), 403],
    ['that answers true', () => true, 500],
    ['that answers a name', () => 'u1', 500],
    ['that answers a principal without an id', () => ({ roles: [] }), 500],
    ['that answers a principal with an empty id', () => ({ id: '' }), 500],
    ['that answers null', () => null, 401],
    ['that answers false', () => false, 500],
  ])('one %s lets nobody in: %j', async (_, authorize, status) => {
    expect((await call(guarded(authorize as Authorize), '/')).status).toBe(status)
    expect(seen).toEqual([])
  })
})
