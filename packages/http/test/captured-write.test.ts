import { describe, expect, it } from 'vitest'
import { createHttp, isHttpProblem, type Captured, type Http, type HttpOptions, type RoutePolicy } from '@keelson/http'
import { createIdempotency, memoryStore, type Idempotency, type IdempotencyOptions } from '@keelson/idempotency'
import { context, type KeelsonContext } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { exchange, headerOf, problemOf, recordingLogger, type Given, type TestExchange } from './support.ts'

type Rule = NonNullable<RoutePolicy['idempotent']>

/** One application: a store, a core and its http. */
function world(options: Partial<IdempotencyOptions> & { http?: HttpOptions } = {}) {
  const { http: httpOptions, ...core } = options
  const clock = virtualClock()
  const store = core.store ?? memoryStore({ clock })
  const logger = recordingLogger()
  const idempotency = createIdempotency({ clock, ...core, store })
  const http = createHttp({ idempotency, clock, logger, scope: () => 'm1', ...httpOptions })
  return { clock, store, logger, idempotency, http }
}

/** A request up to its handler: answered without it, or an exchange that waits for the handler's answer. */
async function ask(http: Http, given: Given & { key?: string } = {}, rule: Rule = {}): Promise<TestExchange> {
  const { key = 'k1' } = given
  const x = exchange({ body: '{}', ...given, headers: [...(given.headers ?? []), ['Idempotency-Key', key]] })
  http.begin(x)
  const answer = await http.compile({ idempotent: rule }).late(x)
  if (answer !== undefined) await x.send(answer)
  expect(x.isCaptured).toBe(answer === undefined)
  return x
}

const whole = (status: number, body = 'body', headers: readonly (readonly [string, string])[] = []): Captured => ({
  kind: 'whole',
  before: [],
  response: { status, headers, body: Buffer.from(body) },
})
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const codeOf = (x: TestExchange): unknown => [x.sent[0]?.status, x.sent[0] && problemOf(x.sent[0])['code']]

describe('a handler of any style under a key', () => {
  it('runs once: status, kept headers and bytes are given again', async () => {
    const { http } = world()
    const first = await ask(http)
    const headers = [
      ['Content-Type', 'application/x'],
      ['Link', '</a>'],
      ['Set-Cookie', 's=1'],
      ['X-B', '1'],
      ['Content-Length', '4'],
      ['link', '</b>'],
      ['Idempotent-Replayed', 'true'],
    ] as const
    expect(
      await first.answered({
        kind: 'whole',
        before: [],
        response: { status: 201, headers, body: Buffer.from([0, 255, 13, 10]) },
      }),
    ).toBeUndefined()
    const again = await ask(http)
    expect(again.sent).toEqual([
      {
        status: 201,
        headers: [
          ['Content-Type', 'application/x'],
          ['Link', '</a>'],
          ['X-B', '1'],
          ['link', '</b>'],
          ['Idempotent-Replayed', 'true'],
        ],
        body: new Uint8Array([0, 255, 13, 10]),
      },
    ])
  })

  it.each([200, 204, 303, 304, 400, 404, 410, 418, 422])('%d is remembered', async (status) => {
    const { http } = world()
    await (await ask(http)).answered(whole(status))
    const again = await ask(http)
    expect([again.sent[0]?.status, headerOf(again.sent[0]!, 'idempotent-replayed')]).toEqual([status, 'true'])
  })

  it.each([150, 401, 403, 408, 409, 425, 429, 500, 503])(
    '%d is not, and a repeat is a clean first run',
    async (status) => {
      const { http } = world()
      expect(await (await ask(http)).answered(whole(status))).toBeUndefined()
      expect((await ask(http)).isCaptured).toBe(true)
    },
  )

  it.each([
    [401, 'runs again'],
    [403, 'runs again'],
    [408, 'runs again'],
    [409, 'runs again'],
    [425, 'runs again'],
    [429, 'runs again'],
    [500, 'outcome-unknown'],
    [503, 'outcome-unknown'],
  ])('%d at most once: %s', async (status, then) => {
    const { http } = world({ guarantee: 'at-most-once' })
    await (await ask(http)).answered(whole(status))
    const again = await ask(http)
    if (again.isCaptured) expect(then).toBe('runs again')
    else expect(codeOf(again)).toEqual([409, then])
  })

  it('5xx is remembered by the preset stripeV1', async () => {
    const { http } = world()
    const rule = { preset: 'stripeV1' } as const
    await (await ask(http, {}, rule)).answered(whole(500, 'broken'))
    expect((await ask(http, {}, rule)).sent[0]).toMatchObject({ status: 500, body: bytes('broken') })
    await (await ask(http, { key: 'k2' }, rule)).answered(whole(429))
    expect((await ask(http, { key: 'k2' }, rule)).isCaptured).toBe(true)
  })

  it.each(['too-large', 'stream'] as const)('a part (%s) is told once, and its key never runs again', async (why) => {
    const { http } = world()
    expect(await (await ask(http)).answered({ kind: 'part', status: 200, headers: [], why })).toBeUndefined()
    expect(codeOf(await ask(http))).toEqual([409, 'answer-not-retained'])
  })

  it('a part of an answer that is not remembered leaves the key free', async () => {
    const { http } = world()
    await (await ask(http)).answered({ kind: 'part', status: 500, headers: [], why: 'too-large' })
    expect((await ask(http)).isCaptured).toBe(true)
  })

  it('an answer that was compressed before it came here is not stored, with one warning', async () => {
    const { http, logger } = world()
    for (const key of ['k1', 'k2']) {
      await (await ask(http, { key })).answered(whole(200, 'zipped', [['content-encoding', 'gzip']]))
      expect(codeOf(await ask(http, { key }))).toEqual([409, 'answer-not-retained'])
    }
    expect(logger.warnings).toEqual([expect.stringContaining('mount compression before it')])
    await (await ask(http, { key: 'k3' })).answered(whole(200, 'plain', [['Content-Encoding', 'identity']]))
    expect((await ask(http, { key: 'k3' })).sent[0]?.status).toBe(200)
  })

  it('an answer that was broken off leaves the key free, or unknown at most once', async () => {
    for (const [guarantee, captured] of [
      ['at-least-once', true],
      ['at-most-once', false],
    ] as const) {
      const { http } = world({ guarantee })
      await (await ask(http)).answered({ kind: 'abandoned' })
      expect((await ask(http)).isCaptured).toBe(captured)
    }
  })
})

describe('a repeat', () => {
  it('in flight waits for the first, or is told to come back', async () => {
    const { http, clock } = world()
    const first = await ask(http)
    const waiting = ask(http)
    expect(codeOf(await ask(http, {}, { wait: 0 }))).toEqual([409, 'key-in-use'])
    await first.answered(whole(201))
    await clock.advance(1_000)
    expect((await waiting).sent[0]?.status).toBe(201)
  })

  it('with another body is 422, in flight and after', async () => {
    const { http } = world()
    const first = await ask(http)
    expect(codeOf(await ask(http, { body: '{"a":1}' }))).toEqual([422, 'key-reused'])
    await first.answered(whole(200))
    expect(codeOf(await ask(http, { body: '{"a":1}' }))).toEqual([422, 'key-reused'])
  })

  it('is told of to scripts of other origins, where headers are exposed at all', async () => {
    const { http } = world()
    await (await ask(http)).answered(whole(200))
    const bare = await ask(http)
    bare.headLeaves(200, [['X-A', '1']])
    expect(bare.answerHeaders).not.toHaveProperty('access-control-expose-headers')
    const cors = await ask(http)
    cors.headLeaves(200, [
      ['access-control-expose-headers', 'X-A'],
      ['Access-Control-Expose-Headers', 'X-B'],
    ])
    expect(cors.answerHeaders['access-control-expose-headers']).toBe('X-A, X-B, Idempotent-Replayed')
  })

  it('with JSON that has no canonical form is 400', async () => {
    const { http } = world()
    const x = await ask(http, { body: '{"a":"\\ud800"}' }, { fingerprint: 'json' })
    expect(codeOf(x)).toEqual([400, 'input-invalid'])
  })
})

describe('without a key', () => {
  it('a handler runs unguarded, or is refused where a key is required', async () => {
    const { http } = world()
    const x = exchange()
    http.begin(x)
    expect(await http.compile({ idempotent: {} }).late(x)).toBeUndefined()
    expect(x.isCaptured).toBe(false)
    const refused = await http.compile({ idempotent: { required: true } }).late(x)
    expect(refused && problemOf(refused)).toMatchObject({ status: 400, code: 'key-missing' })
  })
})

describe('a client that leaves', () => {
  it('changes nothing for a handler that ends its answer', async () => {
    const { http, clock, logger } = world({ lease: '10s' })
    const x = await ask(http)
    x.leave()
    await clock.advance(9_000)
    await x.answered(whole(201))
    await clock.advance(60_000)
    expect((await ask(http)).sent[0]?.status).toBe(201)
    expect(logger.warnings).toEqual([])
  })

  it('frees the key a lease later, when the handler does not end its answer', async () => {
    const { http, clock, logger } = world({ lease: '10s', wait: 0 })
    const x = await ask(http)
    x.leave()
    await clock.advance(9_900)
    expect(codeOf(await ask(http))).toEqual([409, 'key-in-use'])
    await clock.advance(200)
    expect((await ask(http)).isCaptured).toBe(true)
    expect(logger.warnings).toEqual([expect.stringContaining('the client left')])
    expect(await x.answered(whole(201))).toBeUndefined()
    expect(logger.errors).toEqual([])
  })

  it('stays a client that has left when the handler was not yet running', async () => {
    const { http, clock } = world({ lease: '10s' })
    const x = exchange({ headers: [['Idempotency-Key', 'k1']] })
    x.leave()
    http.begin(x)
    await http.compile({ idempotent: {} }).late(x)
    await clock.advance(10_100)
    expect((await ask(http)).isCaptured).toBe(true)
  })
})

describe('a lease that was lost', () => {
  const frozen = async (winner: Captured | undefined) => {
    const { http, store, clock } = world({ lease: '10s', wait: 0 })
    const x = await ask(http)
    // Another process takes the key over: the store's time goes on without this one.
    const other = createIdempotency({ store, clock })
    const { scope, op, key } = { scope: 'm1', op: 'POST /orders', key: 'k1' }
    const { touch } = store
    store.touch = async () => 'lost'
    await clock.advance(30_000)
    store.touch = touch
    await clock.advance(10_000)
    const second = createHttp({ idempotency: other, clock, scope: () => 'm1' })
    const y = await ask(second)
    expect(y.isCaptured).toBe(true)
    if (winner !== undefined) await y.answered(winner)
    expect(await other.find({ scope, op, key })).toMatchObject({ attempt: 2 })
    return x
  }

  it('answers what the winner stored', async () => {
    const x = await frozen(whole(201, 'the winner’s'))
    const other = await x.answered(whole(201, 'mine'))
    expect(other).toMatchObject({ status: 201, body: bytes('the winner’s') })
    expect(headerOf(other!, 'idempotent-replayed')).toBe('true')
  })

  it('is 409 while the winner runs', async () => {
    const other = await (await frozen(undefined)).answered(whole(201, 'mine'))
    expect(problemOf(other!)).toMatchObject({ status: 409, code: 'lease-lost' })
  })
})

describe('a store that is down', () => {
  const down = (): IdempotencyOptions['store'] => {
    const store = memoryStore()
    const fail = (): Promise<never> => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
    return { ...store, begin: fail, settle: fail, touch: fail, health: fail }
  }

  it('is 503 with Retry-After, and the handler does not run', async () => {
    const x = await ask(world({ store: down() }).http)
    expect(codeOf(x)).toEqual([503, 'store-unavailable'])
    expect(headerOf(x.sent[0]!, 'retry-after')).toBe('1')
  })

  it('may be run past, and the answer says so', async () => {
    const x = await ask(world({ store: down(), onStoreDown: 'run-unprotected' }).http)
    expect(x.answerHeaders['idempotency-status']).toBe('unprotected')
    expect(await x.answered(whole(201))).toBeUndefined()
  })

  it('after the handler has run costs the record, never the answer', async () => {
    const { http, store, logger } = world()
    const x = await ask(http)
    expect(x.answerHeaders).not.toHaveProperty('idempotency-status')
    store.settle = () => Promise.reject(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }))
    expect(await x.answered(whole(201))).toBeUndefined()
    expect(logger.errors).toEqual([])
  })
})

describe('a captured write', () => {
  const running = (run: Idempotency['run'], more: HttpOptions = {}) =>
    world({ http: { idempotency: { run }, ...more } })

  it('runs inside the context with tenant and principal', async () => {
    let seen: KeelsonContext | undefined
    const { idempotency } = world()
    const run: Idempotency['run'] = (call, work) => {
      seen = context.get()
      return idempotency.run(call, work)
    }
    await ask(running(run, { principal: () => ({ id: 'ann' }) }).http)
    expect(seen).toMatchObject({ tenant: 'm1', principal: { id: 'ann' } })
  })

  it('hands the rule’s durations to the core, and the signal of the client', async () => {
    let seen: object = {}
    const { idempotency } = world()
    const run: Idempotency['run'] = (call, work) => {
      seen = call
      return idempotency.run(call, work)
    }
    await ask(running(run).http, {}, { retain: '7d', wait: '100ms' })
    expect(seen).toMatchObject({ retain: 604_800_000, wait: 100, signal: expect.any(Function) })
  })

  it('that the core cannot store is told in the log, and sent', async () => {
    const broken = new Error('no such column')
    const run: Idempotency['run'] = async (_, work) => {
      await work({ fence: 1n, leaseMs: 1_000 } as never)
      throw broken
    }
    const { http, logger } = running(run)
    expect(await (await ask(http)).answered(whole(201))).toBeUndefined()
    expect(logger.errors).toEqual([expect.objectContaining({ err: broken, route: '/orders' })])
  })

  it('that the core refuses to read is its caller’s error, before the handler runs', async () => {
    await expect(ask(world().http, {}, { key: () => 7 as never })).rejects.toMatchObject({ code: 'KEY_INVALID' })
  })

  it('is one a request', async () => {
    const { http } = world()
    const x = exchange({ headers: [['Idempotency-Key', 'k1']] })
    http.begin(x)
    await http.compile({ idempotent: {} }).late(x)
    const twice: unknown = await http
      .compile({ idempotent: { operation: 'other' } })
      .late(x)
      .catch((error: unknown) => error)
    expect(twice).toMatchObject({ name: 'HttpError', code: 'CAPTURE_TWICE' })
    expect(isHttpProblem(twice)).toBe(false)
  })
})
