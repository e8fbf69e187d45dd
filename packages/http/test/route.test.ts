import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { context } from '@keelson/kernel'
import {
  createHttp,
  created,
  isHttpProblem,
  problem,
  reply,
  type Http,
  type HttpOptions,
  type RoutePolicy,
  type Work,
} from '@keelson/http'
import { databases, note, type TestDatabase } from './databases.ts'
import { exchange, headerOf, problemOf, type Given } from './support.ts'

const insert: Work = async (tx) => {
  const { rows } = await tx.query("insert into orders (sku) values ('a') returning id")
  return created(rows[0], [note('created')])
}
const answering =
  (status: number): Work =>
  async (tx) => {
    await tx.query("insert into orders (sku) values ('a')")
    return reply(status, { status }, [note(`answered ${status}`)])
  }

describe.each(databases)('a transactional route on $name', ({ open }) => {
  let database: TestDatabase
  let before: { orders: number; noted: number; records: number }
  let keys = 0

  beforeAll(async () => void (database = await open()))
  afterAll(() => database.close())
  beforeEach(async () => void (before = await database.counts()))

  const left = async (): Promise<{ orders: number; noted: number; records: number }> => {
    const { orders, noted, records } = await database.counts()
    return { orders: orders - before.orders, noted: noted - before.noted, records: records - before.records }
  }
  const httpWith = (options: HttpOptions = {}): Http =>
    createHttp({ db: database.db, idempotency: database.idempotency, scope: () => 'm1', ...options })
  const newKey = (): string => `key-${++keys}`

  /** One request through a route, as an adapter does it. */
  async function send(
    given: Given & { key?: string },
    work: Work,
    policy: RoutePolicy['idempotent'] = {},
    http = httpWith(),
  ) {
    const route = http.compile({ idempotent: policy, transactional: true })
    const keyed = given.key === undefined ? [] : [['Idempotency-Key', given.key] as const]
    const x = exchange({
      body: '{"sku":"a"}',
      ...given,
      headers: [...(given.headers ?? [['content-type', 'application/json']]), ...keyed],
    })
    http.begin(x)
    return (await route.late(x)) ?? (await route.transact!(x, work))
  }

  describe.each([
    ['without a key', false],
    ['under a key', true],
  ])('%s', (_, keyed) => {
    const given = (): { key?: string } => (keyed ? { key: newKey() } : {})

    it.each([200, 201, 204, 303])('%d commits rows, effects and answer', async (status) => {
      const work: Work = async (tx) => {
        await tx.query("insert into orders (sku) values ('a')")
        return reply(status, undefined, [note('yes')])
      }
      expect((await send(given(), work)).status).toBe(status)
      expect(await left()).toEqual({ orders: 1, noted: 1, records: keyed ? 1 : 0 })
    })

    it.each([400, 402, 404, 410, 422])('%d takes the rows back and commits effects and answer', async (status) => {
      expect((await send(given(), answering(status))).status).toBe(status)
      expect(await left()).toEqual({ orders: 0, noted: 1, records: keyed ? 1 : 0 })
    })

    it.each([401, 403, 408, 409, 425, 429, 500, 503])('%d leaves nothing', async (status) => {
      expect((await send(given(), answering(status))).status).toBe(status)
      expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
    })

    it('a 4xx after a failed statement takes the rows back too', async () => {
      const work: Work = async (tx) => {
        await tx.query("insert into orders (sku, ref) values ('a', 'taken')")
        const taken = await tx
          .query("insert into orders (sku, ref) values ('b', 'taken')")
          .catch((error: Error) => error)
        return reply(422, { taken: taken instanceof Error }, [note('refused')])
      }
      expect(Buffer.from((await send(given(), work)).body).toString()).toBe('{"taken":true}')
      expect(await left()).toEqual({ orders: 0, noted: 1, records: keyed ? 1 : 0 })
    })

    it('a throw leaves nothing and is the caller’s error', async () => {
      const boom = new Error('boom')
      const work: Work = async (tx) => {
        await tx.query("insert into orders (sku) values ('a')")
        throw boom
      }
      await expect(send(given(), work)).rejects.toBe(boom)
      await expect(send(given(), () => Promise.reject(problem(404, 'none')))).rejects.toSatisfy(isHttpProblem)
      expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
    })

    it('an effect that cannot commit with the rows leaves nothing', async () => {
      const work: Work = async (tx) => {
        await tx.query("insert into orders (sku) values ('a')")
        return created({}, [{ kind: 'test.mail', perform: async () => {} }])
      }
      await expect(send(given(), work)).rejects.toMatchObject({ code: 'EFFECT_NOT_TRANSACTIONAL' })
      expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
    })

    it('a plain value is 200, a stream is refused before the commit', async () => {
      const answer = await send(given(), () => ({ id: 7 }))
      expect([answer.status, Buffer.from(answer.body).toString()]).toEqual([200, '{"id":7}'])
      await expect(send(given(), () => new ReadableStream())).rejects.toMatchObject({ code: 'REPLY_INVALID' })
    })

    it('runs inside the context with tenant and principal, with an operation that ends', async () => {
      let seen: unknown
      let signal: AbortSignal | undefined
      const http = httpWith({ principal: () => ({ id: 'ann' }) })
      const work: Work = async (tx, op) => {
        await tx.query('select 1')
        seen = { ...context.get(), operation: { scope: op.scope, op: op.op, id: op.operationId.length } }
        signal = op.signal
        expect(signal.aborted).toBe(false)
        return undefined
      }
      await send({ ...given(), headers: [['x-correlation-id', 'order-17']] }, work, {}, http)
      expect(seen).toMatchObject({
        correlationId: 'order-17',
        tenant: 'm1',
        principal: { id: 'ann' },
        operation: { scope: 'm1', op: 'POST /orders', id: 36 },
      })
      expect(signal?.aborted).toBe(true)
    })

    it('runs hooks after the commit, not after a rollback', async () => {
      const heard: number[] = []
      const work =
        (status: number): Work =>
        async () =>
          reply(status, {}, [{ ...note('x'), afterCommit: async () => void heard.push((await left()).noted) }])
      await send(given(), work(200))
      await send(given(), work(500))
      expect(heard).toEqual([1])
    })
  })

  it('restarts after a serialization failure as often as it may', async () => {
    let runs = 0
    const work: Work = () => {
      if (++runs < 3) throw Object.assign(new Error('serialize'), { code: '40001' })
      return 'done'
    }
    for (const key of [undefined, newKey()]) {
      runs = 0
      expect((await send(key === undefined ? {} : { key }, work)).status).toBe(200)
      expect(runs).toBe(3)
      runs = 0
      const once = httpWith({ transaction: { retries: 1 } })
      await expect(send(key === undefined ? {} : { key: newKey() }, work, {}, once)).rejects.toMatchObject({
        code: '40001',
      })
      expect(runs).toBe(2)
    }
  })

  it('replays status, headers and bytes, and never runs again', async () => {
    const key = newKey()
    const headers = [
      ['Link', '</a>'],
      ['Set-Cookie', 'session=1'],
      ['X-B', '1'],
      ['link', '</b>'],
      ['Retry-After', '3'],
    ] as const
    const first = await send({ key }, () => reply(201, new Uint8Array([0, 255, 10, 13]), [], headers))
    const again = await send({ key }, insert)
    expect(first.headers).toEqual([['Content-Type', 'application/octet-stream'], ...headers])
    expect(again.status).toBe(201)
    expect(Buffer.from(again.body)).toEqual(Buffer.from(first.body))
    expect(again.headers).toEqual([
      ['Content-Type', 'application/octet-stream'],
      ['Link', '</a>'],
      ['X-B', '1'],
      ['link', '</b>'],
      ['Idempotent-Replayed', 'true'],
    ])
    expect(await left()).toMatchObject({ orders: 0 })
  })

  it('replays a remembered 4xx; 409 and 5xx are clean runs', async () => {
    for (const [status, runsAgain] of [
      [422, false],
      [409, true],
      [503, true],
    ] as const) {
      const key = newKey()
      await send({ key }, answering(status))
      const again = await send({ key }, insert)
      expect([again.status, headerOf(again, 'idempotent-replayed')]).toEqual(
        runsAgain ? [201, undefined] : [status, 'true'],
      )
    }
  })

  it.each<[string, Given, boolean]>([
    ['the same request', {}, true],
    ['another body', { body: '{"sku":"b"}' }, false],
    ['another spacing', { body: '{ "sku": "a" }' }, false],
    ['another query', { query: 'a=1' }, false],
    ['another content type', { headers: [['content-type', 'application/merge-patch+json']] }, false],
  ])('under a used key: %s', async (_, other, isSame) => {
    const key = newKey()
    await send({ key }, insert)
    const again = await send({ key, ...other }, insert)
    expect(again.status).toBe(isSame ? 201 : 422)
    if (!isSame) expect(problemOf(again)).toMatchObject({ code: 'key-reused', retryable: false })
    expect(await left()).toEqual({ orders: 1, noted: 1, records: 1 })
  })

  it('takes the same JSON for the same request where the rule says so', async () => {
    const key = newKey()
    const rule = { fingerprint: 'json' } as const
    await send({ key, body: '{"sku":"a","n":1}' }, insert, rule)
    expect((await send({ key, body: '{ "n": 1.0, "sku": "a" }' }, insert, rule)).status).toBe(201)
    expect((await send({ key, body: '{"sku":"a","n":2}' }, insert, rule)).status).toBe(422)
    expect(await left()).toMatchObject({ orders: 1 })
  })

  it('answers 400 to JSON without a canonical form', async () => {
    const answer = await send({ key: newKey(), body: '{"a":"\\ud800"}' }, insert, { fingerprint: 'json' })
    expect([answer.status, problemOf(answer)['code']]).toEqual([400, 'input-invalid'])
    expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
  })

  it('matches by the bytes that a function answers', async () => {
    const key = newKey()
    const rule = { fingerprint: () => Buffer.from('constant') }
    await send({ key }, insert, rule)
    expect(headerOf(await send({ key, body: 'other', query: 'q=1' }, insert, rule), 'idempotent-replayed')).toBe('true')
    const wrong = { fingerprint: () => 'text' as unknown as Uint8Array }
    await expect(send({ key: newKey() }, insert, wrong)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })

  it.each<[string, Given, Given, boolean]>([
    ['two users', { raw: 'ann' }, { raw: 'bob' }, false],
    ['one user', { raw: 'ann' }, { raw: 'ann' }, true],
    ['a user and nobody', { raw: 'ann' }, {}, false],
    ['two paths', { path: '/orders/1' }, { path: '/orders/2' }, false],
    ['two methods', { method: 'POST' }, { method: 'PATCH' }, false],
    ['one path with a control character', { path: '/a\u0085' }, { path: '/a\u0085' }, true],
    ['two long paths', { path: `/${'a'.repeat(600)}1` }, { path: `/${'a'.repeat(600)}2` }, false],
    ['one long path', { path: `/${'a'.repeat(600)}1` }, { path: `/${'a'.repeat(600)}1` }, true],
  ])('one key of %s', async (_, one, other, meet) => {
    const http = httpWith({ principal: (x) => (x.raw === undefined ? undefined : { id: x.raw as string }) })
    const key = newKey()
    await send({ key, ...one }, insert, {}, http)
    const again = await send({ key, ...other }, insert, {}, http)
    expect(headerOf(again, 'idempotent-replayed')).toBe(meet ? 'true' : undefined)
    expect(await left()).toMatchObject({ orders: meet ? 1 : 2 })
  })

  it('shares a key between users where the rule says so, and an operation between paths', async () => {
    const http = httpWith({ principal: (x) => ({ id: x.raw as string }) })
    const key = newKey()
    const rule = { share: true, operation: 'book' }
    await send({ key, raw: 'ann', path: '/a' }, insert, rule, http)
    expect(headerOf(await send({ key, raw: 'bob', path: '/b' }, insert, rule, http), 'idempotent-replayed')).toBe(
      'true',
    )
  })

  it('keeps scopes apart: of the rule first, then of http', async () => {
    const key = newKey()
    await send({ key }, insert)
    expect(headerOf(await send({ key }, insert, { scope: 'm2' }), 'idempotent-replayed')).toBeUndefined()
    expect(headerOf(await send({ key }, insert, { scope: () => 'm1' }), 'idempotent-replayed')).toBe('true')
    expect(await left()).toMatchObject({ orders: 2 })
  })

  it('refuses a request under a key without a scope, or with a principal without an id', async () => {
    const noScope = send({ key: newKey() }, insert, { scope: () => undefined })
    await expect(noScope).rejects.toMatchObject({ name: 'HttpError', code: 'SCOPE_INVALID' })
    const http = httpWith({ principal: () => ({ id: 7 }) as never })
    await expect(send({ key: newKey() }, insert, {}, http)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    expect(await left()).toEqual({ orders: 0, noted: 0, records: 0 })
  })

  it('a missing key is 400 where it is required', async () => {
    const answer = await send({}, insert, { required: true })
    expect([answer.status, problemOf(answer)['code']]).toEqual([400, 'key-missing'])
    expect((await send({}, insert)).status).toBe(201)
    expect(await left()).toEqual({ orders: 1, noted: 1, records: 0 })
  })

  it('reads the key from another header, or as the application does', async () => {
    for (const rule of [{ header: 'X-Request-Key' }, { key: async () => 'schlüssel, mit Leerraum' }]) {
      const given = { headers: [['x-request-key', 'k1']] as const }
      await send(given, insert, { ...rule, operation: JSON.stringify(rule) })
      const again = await send(given, insert, { ...rule, operation: JSON.stringify(rule) })
      expect(headerOf(again, 'idempotent-replayed')).toBe('true')
    }
    for (const bad of ['', 'a\nb', 'k'.repeat(256), '\ud800']) {
      expect(problemOf(await send({}, insert, { key: () => bad }))).toMatchObject({
        status: 400,
        code: 'key-malformed',
      })
    }
    expect((await send({}, insert, { key: () => undefined })).status).toBe(201)
    await expect(send({}, insert, { key: () => 7 as never })).rejects.toMatchObject({ code: 'KEY_INVALID' })
  })

  it('tells a duplicate in flight to come back later', async () => {
    const key = newKey()
    const held = Promise.withResolvers<void>()
    const entered = Promise.withResolvers<void>()
    const slow: Work = async (tx, op) => {
      entered.resolve()
      await held.promise
      return insert(tx, op)
    }
    const first = send({ key }, slow)
    await entered.promise
    const inUse = await send({ key }, insert, { wait: 0 })
    expect([inUse.status, problemOf(inUse)['code'], headerOf(inUse, 'retry-after')]).toEqual([409, 'key-in-use', '1'])
    expect(problemOf(await send({ key, body: 'other' }, insert))).toMatchObject({ status: 422, code: 'key-reused' })
    const waiting = send({ key }, insert)
    held.resolve()
    expect(headerOf(await first, 'idempotent-replayed')).toBeUndefined()
    expect(headerOf(await waiting, 'idempotent-replayed')).toBe('true')
    expect(await left()).toEqual({ orders: 1, noted: 1, records: 1 })
  })

  it('hands the durations of its rule to the core, and the signal of the client', async () => {
    let call: object = {}
    const { run, transaction } = database.idempotency
    const http = httpWith({ idempotency: { run, transaction: (given, work) => transaction((call = given), work) } })
    await send({ key: newKey() }, insert, { retain: '7d', wait: '100ms' }, http)
    expect(call).toMatchObject({ retain: 604_800_000, wait: 100, retries: 2, signal: expect.any(Function) })
  })

  it('gives a large answer once, then says that it was not kept', async () => {
    const http = httpWith({ idempotency: database.idempotencyWith({ maxStoredBytes: 100 }) })
    const key = newKey()
    const first = await send({ key }, () => 'x'.repeat(1_000), {}, http)
    expect([first.status, first.body.length]).toEqual([200, 1_000])
    expect(problemOf(await send({ key }, insert, {}, http))).toMatchObject({ status: 409, code: 'answer-not-retained' })
  })

  it('answers 503 once it was closed', async () => {
    const http = httpWith()
    await http.close()
    expect(problemOf(await send({ key: newKey() }, insert, {}, http))).toMatchObject({ status: 503, code: 'closed' })
  })

  it('says what to do when the request was not seen from its beginning', async () => {
    const route = httpWith().compile({ transactional: true })
    await expect(route.late(exchange())).rejects.toMatchObject({ code: 'RAW_BODY_UNAVAILABLE' })
    await expect(route.transact!(exchange(), insert)).rejects.toMatchObject({ code: 'RAW_BODY_UNAVAILABLE' })
  })
})

describe('a store that cannot be reached', () => {
  it('is 503 with Retry-After, under a key and without', async () => {
    const { default: pg } = await import('pg')
    const { createIdempotency } = await import('@keelson/idempotency')
    const { postgresStore } = await import('@keelson/idempotency/postgres')
    const db = new pg.Pool({ host: '127.0.0.1', port: 1 })
    const idempotency = createIdempotency({ store: postgresStore(db) })
    const http = createHttp({ db, idempotency, scope: () => 'm1' })
    const route = http.compile({ idempotent: {}, transactional: true })
    const x = exchange({ headers: [['idempotency-key', 'k']] })
    http.begin(x)
    const answer = await route.transact!(x, insert)
    expect([answer.status, problemOf(answer)['code'], headerOf(answer, 'retry-after')]).toEqual([
      503,
      'store-unavailable',
      '1',
    ])
    expect(Buffer.from(answer.body).toString()).not.toContain('127.0.0.1')
    const bare = exchange()
    http.begin(bare)
    const error: unknown = await route.transact!(bare, insert).catch((thrown: unknown) => thrown)
    expect(http.problem(error, bare)).toMatchObject({ status: 503 })
    await idempotency.close()
    await db.end()
  })
})
