import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { IdempotencyError } from '@keelson/idempotency'
import { KeelsonError, KernelError } from '@keelson/kernel'
import { createHttp, HttpError, problem, type HttpOptions } from '@keelson/http'
import { STATUS } from '../src/status-table.ts'
import { exchange, headerOf, problemOf, recordingLogger } from './support.ts'

const rendered = (error: unknown, problems?: HttpOptions['problems']) => {
  const response = createHttp(problems === undefined ? {} : { problems }).problem(error, exchange())
  return { response, members: problemOf(response), retryAfter: headerOf(response, 'retry-after') }
}

describe('a problem of Keelson', () => {
  const mistakes = ['OPTION_INVALID', 'SCOPE_INVALID', 'TX_ENDED', 'toString'].map((code) => [code, 500] as const)
  it.each([...Object.entries(STATUS), ...mistakes])('%s has the status %d and keeps its code', (code, status) => {
    const error = new KeelsonError(code, 'what happened to db-7.internal', { retryable: false })
    error.name satisfies string
    const { response, members } = rendered(Object.assign(error, { name: 'IdempotencyError' }))
    const dashed = code.toLowerCase().replaceAll('_', '-')
    expect(response.status).toBe(status)
    expect(headerOf(response, 'content-type')).toBe('application/problem+json')
    expect(members).toMatchObject({ type: `urn:keelson:problem:${dashed}`, code: dashed, status, instance: '/orders' })
    expect(members['title']).toBe(dashed.charAt(0).toUpperCase() + dashed.slice(1).replaceAll('-', ' '))
    expect(members['detail']).toBe(status < 500 ? 'what happened to db-7.internal' : undefined)
    expect(members).not.toHaveProperty('stack')
  })

  it('says whether and when to retry', () => {
    const inUse = rendered(new IdempotencyError('KEY_IN_USE', 'held', { retryAfter: 1_200 }))
    expect([inUse.response.status, inUse.retryAfter, inUse.members['retryable']]).toEqual([409, '2', true])
    expect(rendered(new IdempotencyError('KEY_IN_USE', 'held', { retryAfter: 1 })).retryAfter).toBe('1')
    expect(rendered(new KernelError('STORE_UNAVAILABLE', 'gone')).retryAfter).toBe('1')
    expect(rendered(new HttpError('CLOSED', 'over')).members['retryable']).toBe(true)
    expect(headerOf(rendered(new HttpError('SCOPE_INVALID', 'none')).response, 'x-retry')).toBe('no')
    expect(headerOf(rendered(new KernelError('STORE_UNAVAILABLE', 'gone')).response, 'x-retry')).toBeUndefined()
    expect(headerOf(rendered(new IdempotencyError('KEY_REUSED', 'other')).response, 'x-retry')).toBeUndefined()
  })

  it('lets an unknown COMMIT be retried only under a key', () => {
    const under = rendered(new IdempotencyError('COMMIT_UNKNOWN', 'lost'))
    expect([under.response.status, under.retryAfter, under.members['retryable']]).toEqual([503, '1', true])
    const without = rendered(new KernelError('COMMIT_UNKNOWN', 'lost')).response
    expect([without.status, headerOf(without, 'x-retry')]).toEqual([500, 'no'])
  })

  it('of a code that this version does not know is a 500 with its code', () => {
    expect(rendered(new KeelsonError('FROM_TOMORROW', 'x')).members).toMatchObject({
      status: 500,
      code: 'from-tomorrow',
    })
    expect(rendered(new KeelsonError('constructor', 'x')).members).toMatchObject({ status: 500 })
  })
})

describe('a problem that a handler throws', () => {
  it('keeps its status, code, detail and members', () => {
    const { response, members } = rendered(
      problem(409, 'out-of-stock', {
        detail: 'two are left',
        title: 'Sold out',
        retryAfter: '90s',
        extra: { left: 2, status: 200, errors: [{ pointer: '#/n', detail: 'at most 2' }] },
      }),
    )
    expect(response.status).toBe(409)
    expect(headerOf(response, 'retry-after')).toBe('90')
    expect(members).toMatchObject({
      type: 'urn:keelson:problem:out-of-stock',
      title: 'Sold out',
      detail: 'two are left',
      left: 2,
    })
    expect(members).toMatchObject({ status: 409, retryable: false, errors: [{ pointer: '#/n', detail: 'at most 2' }] })
  })

  it('answers even when its members are no JSON', () => {
    expect(rendered(problem(400, 'odd', { extra: { n: 1n } })).members).toMatchObject({ code: 'odd' })
  })

  it.each([200, 399, 600, 404.5, Number.NaN])('cannot have the status %d', (status) => {
    expect(() => problem(status, 'x')).toThrow(/OPTION_INVALID|"status" must be an integer from 400 to 599/)
  })
})

describe('a driver’s error', () => {
  it.each([
    ['23505', 409, 'conflict'],
    ['23503', 409, 'conflict'],
    ['23P01', 409, 'conflict'],
    ['23502', 400, 'input-invalid'],
    ['23514', 400, 'input-invalid'],
    ['22P02', 400, 'input-invalid'],
    ['40001', 503, 'store-unavailable'],
    ['40P01', 503, 'store-unavailable'],
    ['53300', 503, 'store-unavailable'],
    ['08006', 503, 'store-unavailable'],
    ['57P01', 503, 'store-unavailable'],
    ['57P03', 503, 'store-unavailable'],
    ['25006', 503, 'store-unavailable'],
    ['53100', 503, 'store-unavailable'],
    ['57014', 504, 'deadline-exceeded'],
    ['42P01', 500, 'internal-error'],
    ['EPIPE', 500, 'internal-error'],
  ])('%s is %d %s, without a constraint’s name', (code, status, problemCode) => {
    const { members, retryAfter } = rendered(Object.assign(new Error('violates "orders_pkey"'), { code }))
    expect(members).toMatchObject({ status, code: problemCode })
    expect(JSON.stringify(members)).not.toContain('orders_pkey')
    expect(retryAfter).toBe(status === 503 ? '1' : undefined)
  })
})

describe('an error of a schema', () => {
  it('is 400 with a pointer to each fault', () => {
    const { members } = rendered(Object.assign(new Error('[]'), { issues: [{ message: 'too heavy', path: ['kg'] }] }))
    expect(members).toMatchObject({ status: 400, code: 'input-invalid', retryable: false })
    expect(members['errors']).toEqual([{ pointer: '/kg', detail: 'too heavy' }])
  })
})

describe('any other error', () => {
  it.each([
    ['status', { status: 404 }, 404, 'not-found'],
    ['statusCode', { statusCode: 413 }, 413, 'payload-too-large'],
    ['getStatus', { getStatus: () => 422 }, 422, 'unprocessable-entity'],
    ['a status of 5xx', { status: 503 }, 500, 'internal-error'],
    ['a status of 2xx', { status: 200 }, 500, 'internal-error'],
    ['a status that is text', { status: '404' }, 500, 'internal-error'],
  ])('with %s', (_, said, status, code) => {
    expect(rendered(Object.assign(new Error('secret'), said)).members).toMatchObject({ status, code })
  })

  it('shows its message only when it says that it may', () => {
    const error = { status: 400, message: 'Unexpected token' }
    expect(rendered({ ...error, expose: true }).members['detail']).toBe('Unexpected token')
    expect(rendered(error).members).not.toHaveProperty('detail')
  })

  it("is what Nest's HttpException says, with the messages of a pipe as errors", () => {
    const thrown = (status: number, response: unknown): Error =>
      Object.assign(new Error('Http Exception'), { getStatus: () => status, getResponse: () => response })
    expect(rendered(thrown(404, { statusCode: 404, message: 'no such parcel' })).members).toMatchObject({
      status: 404,
      detail: 'no such parcel',
    })
    expect(rendered(thrown(422, { message: ['kg must be positive'] })).members).toMatchObject({
      status: 422,
      code: 'input-invalid',
      errors: [{ pointer: '', detail: 'kg must be positive' }],
    })
    expect(rendered(thrown(503, { message: ['secret'] })).members).toMatchObject({ code: 'internal-error' })
  })

  it.each([
    new Error('secret'),
    'secret',
    7,
    null,
    { secret: 'secret' },
    Object.create(null) as object,
    Symbol('secret'),
  ])('is a 500 without a word of it: %#', (thrown) => {
    const { response, members } = rendered(thrown)
    expect(members).toMatchObject({ status: 500, code: 'internal-error', retryable: true })
    expect(Buffer.from(response.body).toString()).not.toContain('secret')
  })

  it('that throws while it is read is a 500 too', () => {
    const hostile = new Proxy(
      {},
      {
        has: () => {
          throw new Error('no')
        },
      },
    )
    expect(rendered(hostile).response.status).toBe(500)
  })

  it('is answered whatever is thrown', () => {
    fc.assert(
      fc.property(fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }), (thrown) => {
        const { response, members } = rendered(thrown, { details: 'always' })
        expect(response.status).toBe(members['status'])
      }),
    )
  })

  it('shows message and stack to developers only', () => {
    expect(rendered(new Error('secret'), { details: 'always' }).members).toMatchObject({
      detail: 'secret',
      stack: expect.stringContaining('problem.test.ts'),
    })
    const before = process.env['NODE_ENV']
    for (const [nodeEnv, details, isShown] of [
      ['development', 'development', true],
      ['production', 'development', false],
      ['', 'development', false],
      ['development', 'never', false],
    ] as const) {
      process.env['NODE_ENV'] = nodeEnv
      expect('stack' in rendered(new Error('secret'), { details }).members).toBe(isShown)
    }
    process.env['NODE_ENV'] = before
  })

  it('is mapped first by the application', () => {
    class SoldOut extends Error {}
    const map = (error: unknown) => (error instanceof SoldOut ? problem(410, 'sold-out') : undefined)
    expect(rendered(new SoldOut(), { map, typeBase: 'https://errors.example/' }).members).toMatchObject({
      type: 'https://errors.example/sold-out',
      status: 410,
    })
    expect(rendered(new Error('x'), { map }).response.status).toBe(500)
    const failing = () => {
      throw new Error('in map')
    }
    expect(rendered(problem(418, 'teapot'), { map: failing }).response.status).toBe(418)
  })
})

describe('the error line', () => {
  it('is one for each thrown 5xx, with error, code, route and correlation id; none for a 4xx or a 404', () => {
    const logger = recordingLogger()
    const http = createHttp({ logger })
    const x = exchange({ headers: [['x-correlation-id', 'order-17']] })
    http.begin(x)
    const error = new Error('boom')
    http.problem(error, x)
    http.problem(problem(404, 'none'), x)
    http.problem(undefined, x)
    expect(logger.errors).toEqual([
      { err: error, code: 'internal-error', status: 500, method: 'POST', route: '/orders', correlationId: 'order-17' },
    ])
  })

  it('comes for any error after the head of the answer', () => {
    const logger = recordingLogger()
    createHttp({ logger }).problem(problem(404, 'none'), { ...exchange(), headersSent: true })
    expect(logger.errors).toHaveLength(1)
  })
})
