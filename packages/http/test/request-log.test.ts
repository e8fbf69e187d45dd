import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createHttp, problem, type Http, type HttpOptions } from '@keelson/http'
import { createIdempotency, memoryStore } from '@keelson/idempotency'
import { virtualClock } from '@keelson/kernel/testing'
import { exchange, recordingLogger, type Given } from './support.ts'

function logged(options: HttpOptions = {}) {
  const logger = recordingLogger()
  return { http: createHttp({ logger, ...options }), lines: logger.lines, logger }
}

/** A request that begins and is answered. */
function answer(http: Http, given: Given = {}, status = 200) {
  const x = exchange(given)
  const ctx = http.begin(x)
  x.end(status)
  return { x, ctx }
}

describe('a logger that throws', () => {
  const failing = () => {
    throw new Error('the disk is full')
  }
  const http = createHttp({
    logger: { debug: failing, info: failing, warn: failing, error: failing },
    idempotency: createIdempotency({ store: memoryStore() }),
    scope: () => 'm1',
  })

  it('changes nothing of a request, its end or its error', () => {
    const x = exchange()
    expect(http.begin(x).correlationId).toBeDefined()
    expect(() => x.end(200)).not.toThrow()
    expect(http.problem(new Error('no'), x).status).toBe(500)
  })

  it('changes nothing of a key whose answer is not kept', async () => {
    const x = exchange({ headers: [['Idempotency-Key', 'k']] })
    http.begin(x)
    expect(await http.compile({ idempotent: {} }).late(x)).toBeUndefined()
    const headers = [['Content-Encoding', 'gzip']] as const
    expect(
      await x.answered({ kind: 'whole', before: [], response: { status: 200, headers, body: new Uint8Array(1) } }),
    ).toBe(undefined)
    const again = exchange({ headers: [['Idempotency-Key', 'k']] })
    http.begin(again)
    expect((await http.compile({ idempotent: {} }).late(again))?.status).toBe(409)
  })
})

describe('the request log', () => {
  it('has one line when a request begins and one when it is over', async () => {
    const clock = virtualClock()
    const { http, lines } = logged({ clock, scope: () => 'm1', principal: () => ({ id: 'ann' }) })
    const x = exchange({ path: '/orders/17', route: '/orders/:id', query: 'card=4242' })
    const { correlationId } = http.begin(x)
    await clock.advance(12)
    x.end(201)
    expect(lines).toEqual([
      { level: 'debug', message: 'request began', fields: { method: 'POST', path: '/orders/17', correlationId } },
      {
        level: 'info',
        message: 'request ended',
        fields: {
          method: 'POST',
          route: '/orders/:id',
          path: '/orders/17',
          status: 201,
          ms: 12,
          bytes: 100,
          correlationId,
          principal: 'ann',
          scope: undefined,
          replayed: false,
          aborted: false,
          counters: { queries: 0, queryMs: 0, cacheHits: 0, cacheMisses: 0, calls: 0, callMs: 0 },
        },
      },
    ])
  })

  it('knows scope and principal of the route, whatever becomes of them later', async () => {
    let user: { id: string } | undefined = { id: 'ann' }
    const { http, lines } = logged({ scope: () => 'm1', principal: () => user })
    const x = exchange()
    http.begin(x)
    http.compile({}).context(x)
    user = undefined
    x.end(200)
    expect(lines[1]?.fields).toMatchObject({ scope: 'm1', principal: 'ann' })
  })

  it('has its lines for one whose principal cannot be read', () => {
    const broken = (): never => {
      throw new Error('no session')
    }
    const { http, lines } = logged({ principal: broken })
    answer(http)
    expect(lines.map(({ message }) => message)).toEqual(['request began', 'request ended'])
  })

  it('says who left', () => {
    const { http, lines } = logged()
    const x = exchange()
    http.begin(x)
    x.leave()
    expect(lines[1]?.fields).toMatchObject({ aborted: true })
  })

  it('says which answer is a replay', async () => {
    const idempotency = createIdempotency({ store: memoryStore() })
    const { http, lines } = logged({ idempotency, scope: () => 'm1' })
    const route = http.compile({ idempotent: {} })
    for (const _ of ['first', 'again']) {
      const x = exchange({ headers: [['Idempotency-Key', 'k1']] })
      http.begin(x)
      await route.early(x)
      if ((await route.late(x)) === undefined)
        await x.answered({ kind: 'whole', before: [], response: { status: 200, headers: [], body: Buffer.from('ok') } })
      x.end(200)
    }
    const ends = lines.filter(({ message }) => message === 'request ended')
    expect(ends.map(({ fields }) => fields['replayed'])).toEqual([false, true])
    await idempotency.close()
  })

  it('has the levels that were asked for, or no lines', () => {
    const quiet = logged({ requestLog: false })
    answer(quiet.http)
    expect(quiet.lines).toEqual([])
    const loud = logged({ requestLog: { start: 'info', end: 'warn' } })
    answer(loud.http)
    expect(loud.lines.map(({ level }) => level)).toEqual(['info', 'warn'])
    expect(() => createHttp({ requestLog: { end: 'loud' as 'info' } })).toThrow(/"requestLog.end" must be/)
    expect(() => createHttp({ requestLog: true as never })).toThrow(/"requestLog" must be false or an object/)
  })

  it('has exactly two lines for each of many requests that end in any order', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(20), { maxLength: 30 }), (order) => {
        const { http, lines } = logged()
        const begun = order.map(() => {
          const x = exchange()
          return { x, id: http.begin(x).correlationId }
        })
        for (const at of order) begun[at % begun.length]!.x.end(200)
        for (const { x } of begun) x.end(204)
        for (const { id } of begun) expect(lines.filter(({ fields }) => fields['correlationId'] === id)).toHaveLength(2)
        expect(lines).toHaveLength(2 * begun.length)
      }),
    )
  })

  it('has one more line with the stack for a thrown error, in production too', () => {
    const { http, logger, lines } = logged({ problems: { details: 'never' } })
    const x = exchange({ route: '/orders/:id' })
    const { correlationId } = http.begin(x)
    const error = new Error('boom')
    const { status, body } = http.problem(error, x)
    x.end(status)
    expect(logger.errors).toEqual([
      { err: error, code: 'internal-error', status: 500, method: 'POST', route: '/orders/:id', correlationId },
    ])
    expect(lines).toHaveLength(3)
    expect(Buffer.from(body).toString()).not.toMatch(/boom|request-log/)
  })

  it('has no error line for what was refused on purpose', () => {
    const { http, logger } = logged()
    http.problem(problem(409, 'sold-out'), exchange())
    expect(logger.errors).toEqual([])
  })
})

it('X-Response-Time is what the head of the answer took', async () => {
  const clock = virtualClock()
  const http = createHttp({ clock })
  const x = exchange()
  http.begin(x)
  await clock.advance(250)
  x.headLeaves(200, [])
  await clock.advance(250)
  x.end(200)
  expect(x.answerHeaders['x-response-time']).toBe('250.000ms')
})
