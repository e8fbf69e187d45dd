import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createCache } from '@keelson/cache'
import { createIdempotency, memoryStore as memoryKeys } from '@keelson/idempotency'
import { context } from '@keelson/kernel'
import { createLimiter } from '@keelson/resilience/limiter'
import {
  createHttp,
  created,
  noContent,
  ok,
  problem,
  reply,
  type Captured,
  type Exchange,
  type Http,
  type HttpOptions,
  type RoutePolicy,
  type StoredResponse,
  type Work,
} from '@keelson/http'
import { auditOn, AuditError, createAudit, entriesOf, memoryStore, type Audit, type EntryInput } from './audit.ts'
import { databases, type TestDatabase } from './databases.ts'
import { exchange, problemOf, recordingLogger, type Given, type TestExchange } from './support.ts'

const rule = { action: 'order.create' }
const user = (x: Exchange): string | undefined => x.header('authorization')
const as = (name: string): Given => ({ headers: [['authorization', name]] })
const whole = (status: number, headers: StoredResponse['headers'] = []): Captured => ({
  kind: 'whole',
  response: { status, headers, body: Buffer.from('secret body') },
  before: [],
})

let logger: ReturnType<typeof recordingLogger>
beforeEach(() => void (logger = recordingLogger()))

const lost = (http: Http): unknown =>
  http
    .metrics()
    .find(({ name }) => name === 'keelson_http_not_audited_total')
    ?.samples.map(({ labels, value }) => [labels['why'], value])

describe('an audited route', () => {
  let audit: Audit
  beforeEach(() => void (audit = createAudit({ store: memoryStore(), storeTimeout: '10s' })))
  afterEach(() => audit.close())

  const httpWith = (options: HttpOptions = {}): Http =>
    createHttp({
      audit,
      logger,
      scope: (x) => (user(x) === undefined ? undefined : 'acme'),
      principal: (x) => (user(x) === undefined ? undefined : { id: user(x)! }),
      ...options,
    })

  /** One request up to its handler, as an adapter does it. */
  async function ask(
    policy: RoutePolicy,
    given: Given = as('ann'),
    http = httpWith(),
  ): Promise<{ x: TestExchange; answer: StoredResponse | undefined }> {
    const route = http.compile(policy)
    const x = exchange({ route: '/orders/:id', path: '/orders/7', ...given })
    http.begin(x)
    const answer = (await route.early(x)) ?? (await route.late(x))
    if (answer !== undefined) x.end(answer.status)
    return { x, answer }
  }

  it('leaves one entry before the last byte: who, from where, at which route, with which end', async () => {
    const given = { headers: [...as('ann').headers!, ['x-correlation-id', 'order-17']] as const }
    const policy = { audited: { ...rule, target: (x: Exchange) => ({ type: 'order', id: x.path.slice(8) }) } }
    const { x } = await ask(policy, given)
    expect(await entriesOf(audit)).toEqual([])
    await x.answered(whole(201))
    x.end(201)
    const [entry, ...more] = await entriesOf(audit)
    expect(more).toEqual([])
    expect(entry).toMatchObject({
      scope: 'acme',
      action: 'order.create',
      actor: { type: 'user', id: 'ann' },
      target: { type: 'order', id: '7' },
      outcome: 'success',
      where: { ip: '127.0.0.1', method: 'POST', route: '/orders/:id' },
      data: { status: 201 },
      correlationId: 'order-17',
    })
    expect(Buffer.from(entry!.bytes).toString()).not.toContain('secret')
  })

  it.each([
    ['200', whole(200), 'success'],
    ['a redirect', whole(303), 'success'],
    ['404', whole(404), 'failure'],
    ['500', whole(500), 'failure'],
    ['a long answer', { kind: 'part', status: 200, headers: [], why: 'too-large' }, 'success'],
    ['an answer that is broken off', { kind: 'abandoned' }, 'unknown'],
  ] as const satisfies readonly (readonly [string, Captured, string])[])(
    'tells of %s',
    async (_, captured, outcome) => {
      const { x } = await ask({ audited: rule })
      await x.answered(captured)
      x.end(200)
      expect((await entriesOf(audit)).map((one) => one.outcome)).toEqual([outcome])
    },
  )

  it('tells of refusals by address, deadline and limit, which leave when they are recorded', async () => {
    const limiter = createLimiter({ name: 'few', quotas: { name: 'hour', limit: 1, per: '1h' } })
    const http = httpWith({ limiters: { few: limiter } })
    const limited: RoutePolicy = { rateLimit: { limiter: 'few' } }
    const requests: [RoutePolicy, Given, number | undefined][] = [
      [{ allowIps: ['10.0.0.0/8'] }, as('ann'), 403],
      [{}, { headers: [['x-request-timeout-ms', '0'], ...as('ann').headers!] }, 504],
      [limited, as('ann'), undefined],
      [limited, as('ann'), 429],
    ]
    for (const [policy, given, status] of requests) {
      const { answer, x } = await ask({ ...policy, audited: rule }, given, http)
      expect(answer?.status).toBe(status)
      if (answer === undefined) await x.answered(whole(200))
    }
    await limiter.close()
    expect((await entriesOf(audit)).map(({ outcome, data }) => [outcome, data['status']])).toEqual([
      ['failure', 403],
      ['failure', 504],
      ['success', 200],
      ['failure', 429],
    ])
  })

  it('tells of what the framework answers in front of it, when that has left: nobody of no tenant', async () => {
    const http = httpWith()
    const route = http.compile({ audited: rule })
    const x = exchange()
    http.begin(x)
    await route.early(x)
    x.end(401)
    const [entry] = await entriesOf(audit)
    expect(entry).toMatchObject({
      scope: 'keelson',
      actor: { type: 'anonymous', id: 'anonymous' },
      outcome: 'failure',
      where: { ip: '127.0.0.1' },
      data: { status: 401 },
    })
  })

  it('tells nothing of a client that has left in front of it', async () => {
    const http = httpWith()
    const x = exchange(as('ann'))
    http.begin(x)
    await http.compile({ audited: rule }).early(x)
    x.leave()
    expect(await entriesOf(audit)).toEqual([])
  })

  it('tells of a client that leaves during the handler, when that has ended', async () => {
    const { x } = await ask({ audited: rule })
    x.leave()
    expect(await entriesOf(audit)).toEqual([])
    await x.answered(whole(201))
    expect((await entriesOf(audit)).map(({ outcome }) => outcome)).toEqual(['success'])
  })

  it('does not know what came of a 5xx behind a client that has left', async () => {
    const { x } = await ask({ audited: rule })
    x.leave()
    await x.answered(whole(500))
    expect((await entriesOf(audit)).map(({ outcome }) => outcome)).toEqual(['unknown'])
  })

  it('waits for the handler of a client that has left, also where it has told what is tried', async () => {
    const { x } = await ask({ audited: { ...rule, required: true } })
    x.leave()
    await x.answered(whole(201))
    expect((await entriesOf(audit)).map(({ outcome }) => outcome)).toEqual(['unknown', 'success'])
  })

  it('tells of an answer that nobody has captured by its end', async () => {
    const { x } = await ask({ audited: rule })
    x.end(202)
    expect((await entriesOf(audit)).map(({ data }) => data['status'])).toEqual([202])
  })

  it('tells of a handler that was never entered by the answer that went out', async () => {
    const { x } = await ask({ audited: rule })
    await x.answered({ kind: 'abandoned', hasBegun: false })
    x.end(400)
    expect((await entriesOf(audit)).map(({ outcome, data }) => [outcome, data['status']])).toEqual([['failure', 400]])
  })

  it('stands at two places of a request once', async () => {
    const http = httpWith()
    const policy = { audited: rule }
    const [early, both] = [http.compile(policy), http.compile(policy)]
    const x = exchange(as('ann'))
    http.begin(x)
    await early.early(x)
    await both.early(x)
    await both.late(x)
    await x.answered(whole(201))
    x.end(201)
    expect(await entriesOf(audit)).toHaveLength(1)
  })

  it('refuses a request whose tenant nobody knows before its handler', async () => {
    await expect(ask({ audited: rule }, {})).rejects.toMatchObject({ code: 'SCOPE_INVALID' })
  })

  it('refuses a user whom the log would not take before the handler', async () => {
    const { x } = await ask({ audited: rule }, as('4111 1111 1111 1111')).catch((error: unknown) => ({
      x: error as AuditError,
    }))
    expect(x).toMatchObject({ code: 'ENTRY_INVALID' })
  })

  it('has an entry without a target that cannot be told', async () => {
    const http = httpWith()
    const targets: RoutePolicy['audited'][] = [
      { ...rule, target: () => JSON.parse('{') as never },
      { ...rule, target: () => ({ type: 'order', id: '4111111111111111' }) },
    ]
    for (const audited of targets) {
      const { x } = await ask({ audited: audited! }, as('ann'), http)
      await x.answered(whole(200))
    }
    const entries = await entriesOf(audit)
    expect(entries.map(({ outcome, target }) => [outcome, target])).toEqual([
      ['success', undefined],
      ['success', undefined],
    ])
    expect(logger.lines.filter(({ level }) => level === 'error').map(({ message }) => message)).toEqual([
      'audited without its target',
      'audited without its target',
    ])
    expect(lost(http)).toEqual([])
  })

  it('asks a target from the answer', async () => {
    const target = (_: Exchange, r?: { headers: StoredResponse['headers'] }) =>
      r && { type: 'order', id: r.headers.find(([name]) => name === 'Location')![1] }
    const { x } = await ask({ audited: { ...rule, target } })
    await x.answered(whole(201, [['Location', '/orders/9']]))
    expect((await entriesOf(audit))[0]!.target).toEqual({ type: 'order', id: '/orders/9' })
  })

  describe('with a log that is away', () => {
    const away = (on: Audit): Pick<Audit, 'entry' | 'record'> & { isAway: boolean } => {
      const o = {
        isAway: true,
        entry: (entry: EntryInput) => on.entry(entry),
        record: async (...given: Parameters<Audit['record']>) => {
          if (o.isAway) throw new AuditError('STORE_UNAVAILABLE', 'away', { retryAfter: 700 })
          return on.record(...given)
        },
      }
      return o
    }

    it('gives the handler’s answer all the same: a line, and a number', async () => {
      const http = httpWith({ audit: away(audit) })
      const { x, answer } = await ask({ audited: rule }, as('ann'), http)
      expect(answer).toBeUndefined()
      expect(await x.answered(whole(201))).toBeUndefined()
      expect(logger.errors).toMatchObject([{ action: 'order.create', method: 'POST', route: '/orders/:id' }])
      expect(lost(http)).toEqual([['store-unavailable', 1]])
    })

    it('does not run a handler that is required to be told of', async () => {
      const log = away(audit)
      const http = httpWith({ audit: log })
      await expect(ask({ audited: { ...rule, required: true } }, as('ann'), http)).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
      })
      const answer = http.problem(new AuditError('STORE_UNAVAILABLE', 'away', { retryAfter: 700 }))
      expect([answer.status, problemOf(answer)['code']]).toEqual([503, 'store-unavailable'])
    })

    it('frees the key of what it does not run', async () => {
      const log = away(audit)
      const idempotency = createIdempotency({ store: memoryKeys(), guarantee: 'at-most-once' })
      const http = httpWith({ audit: log, idempotency })
      const policy = { idempotent: { required: true }, audited: { ...rule, required: true } }
      const given = { headers: [...as('ann').headers!, ['idempotency-key', 'k1']] as const }
      await expect(ask(policy, given, http)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' })
      log.isAway = false
      const { answer, x } = await ask(policy, given, http)
      expect(answer).toBeUndefined()
      await x.answered(whole(201))
      expect((await entriesOf(audit)).map(({ outcome }) => outcome)).toEqual(['unknown', 'success'])
    })
  })

  it('tells before the handler what is tried, and behind it what came of it', async () => {
    const { x } = await ask({ audited: { ...rule, required: true } })
    const [intent] = await entriesOf(audit)
    expect(intent).toMatchObject({ outcome: 'unknown', data: {}, actor: { id: 'ann' } })
    await x.answered(whole(201))
    const [, outcome, ...more] = await entriesOf(audit)
    expect(more).toEqual([])
    expect(outcome).toMatchObject({ outcome: 'success', data: { status: 201, intent: intent!.id } })
    expect(outcome!.correlationId).toBe(intent!.correlationId)
  })

  it('is tried in the store itself, and told of wherever it is durable', async () => {
    const asked: unknown[] = []
    const record: Audit['record'] = async (entry, how) => {
      asked.push([entry.outcome, how?.required])
      return audit.record(entry, how)
    }
    const http = httpWith({ audit: { entry: audit.entry, record } })
    const { x } = await ask({ audited: { ...rule, required: true } }, as('ann'), http)
    await x.answered(whole(201))
    expect(asked).toEqual([
      ['unknown', true],
      ['success', false],
    ])
  })

  it('is told beyond the deadline of its request', async () => {
    const { x } = await ask({ audited: rule })
    await context.run({ deadline: 0 }, () => x.answered(whole(201)))
    expect(await entriesOf(audit)).toHaveLength(1)
  })

  describe('under a key', () => {
    const policy = { idempotent: { required: true }, audited: rule }
    const keyed = (key: string, body = '{}'): Given => ({
      body,
      headers: [
        ['authorization', 'ann'],
        ['idempotency-key', key],
      ],
    })

    it('tells once of what was done once: a replay is no entry', async () => {
      const http = httpWith({ idempotency: createIdempotency({ store: memoryKeys() }) })
      const { x } = await ask(policy, keyed('k1'), http)
      await x.answered(whole(201))
      x.end(201)
      const again = await ask(policy, keyed('k1'), http)
      expect(again.answer?.status).toBe(201)
      expect(await entriesOf(audit)).toHaveLength(1)
    })

    it('tells of a key that is missing, or belongs to another request', async () => {
      const http = httpWith({ idempotency: createIdempotency({ store: memoryKeys() }) })
      expect((await ask(policy, as('ann'), http)).answer?.status).toBe(400)
      await (await ask(policy, keyed('k1'), http)).x.answered(whole(201))
      expect((await ask(policy, keyed('k1', '[]'), http)).answer?.status).toBe(422)
      expect((await entriesOf(audit)).map(({ outcome, data }) => [outcome, data['status']])).toEqual([
        ['failure', 400],
        ['success', 201],
        ['failure', 422],
      ])
    })
  })

  it('tells of a read that is answered out of the cache: somebody has seen it', async () => {
    const caches = createCache({ name: 'audited' })
    await caches.start()
    const http = httpWith({ cache: caches })
    const policy: RoutePolicy = { cached: { ttl: '10m', per: 'scope' }, audited: { action: 'order.read' } }
    const given = { ...as('ann'), method: 'GET' }
    const { x } = await ask(policy, given, http)
    await x.answered(whole(200))
    x.end(200)
    const hit = await ask(policy, { ...as('bob'), method: 'GET' }, http)
    expect(hit.answer?.status).toBe(200)
    const entries = await entriesOf(audit)
    expect(entries.map(({ actor, outcome }) => [actor.id, outcome])).toEqual([
      ['ann', 'success'],
      ['bob', 'success'],
    ])
    await caches.close()
  })

  it('stands beside invalidates and etag, with one capture', async () => {
    const caches = createCache({ name: 'audited2' })
    await caches.start()
    const http = httpWith({ cache: caches })
    const write = await ask({ invalidates: ['orders'], audited: rule }, as('ann'), http)
    await write.x.answered(whole(201))
    const read = await ask({ etag: 'weak', audited: { action: 'order.read' } }, { ...as('ann'), method: 'GET' }, http)
    await read.x.answered(whole(200))
    expect((await entriesOf(audit)).map(({ action }) => action)).toEqual(['order.create', 'order.read'])
    await caches.close()
  })

  describe('is refused when it is compiled', () => {
    const scope = (): string => 'acme'
    const strict = createAudit({ store: memoryStore(), strict: true, actions: { 'order.create': {} } })
    it.each<[string, RoutePolicy, HttpOptions, RegExp]>([
      ['without a log', { audited: rule }, { scope }, /"audited" needs createHttp\(\{ audit \}\)/],
      ['without an action', { audited: {} as never }, { audit: strict, scope }, /audited: "action" is required/],
      [
        'with a rule that it has not',
        { audited: { ...rule, actor: 'me' } as never },
        { audit: strict, scope },
        /audited: unknown option "actor"/,
      ],
      [
        'with no action',
        { audited: { action: 'order create' } },
        { audit: strict, scope },
        /audited: .*"action" must be/,
      ],
      [
        'with an action that is not in the catalogue',
        { audited: { action: 'order.delete' } },
        { audit: strict, scope },
        /audited: .*"order.delete" is not one of "actions"/,
      ],
      ['without a scope', { audited: rule }, { audit: strict }, /audited: "scope" is required here or in createHttp/],
      [
        'in a transaction, on a log that has none',
        { audited: rule, transactional: true },
        { audit: strict, scope, db: { query: async () => ({ rows: [] }), transaction: async () => ({}) } as never },
        /audited: "transactional" needs createAudit\(\) on a store such as postgresStore/,
      ],
    ])('%s', (_, policy, options, message) => {
      const compile = (): unknown => createHttp(options).compile(policy)
      expect(compile).toThrow(expect.objectContaining({ name: 'HttpError', code: 'OPTION_INVALID' }))
      expect(compile).toThrow(message)
    })
  })
})

describe.each(databases)('an audited transaction on $name', ({ open }) => {
  let database: TestDatabase
  let audit: Audit
  let before: { orders: number; noted: number; records: number }
  let told: number
  let keys = 0

  beforeAll(async () => {
    database = await open()
    const { rows } = await database.db.query('select current_schema() as schema')
    const schema = (rows[0] as { schema: string }).schema
    audit = await auditOn(database.db, schema === 'public' ? 'keelson' : schema)
  })
  afterAll(async () => {
    await audit.close()
    await database.close()
  })
  beforeEach(async () => {
    before = await database.counts()
    told = (await entriesOf(audit)).length
  })

  const entries = async () => (await entriesOf(audit)).slice(told)
  const orders = async (): Promise<number> => (await database.counts()).orders - before.orders

  async function write(work: Work, policy: RoutePolicy = {}, key?: string, body = '{}'): Promise<StoredResponse> {
    const { db, idempotency } = database
    const http = createHttp({ db, idempotency, audit, logger, scope: () => 'acme', principal: () => ({ id: 'ann' }) })
    const route = http.compile({ transactional: true, audited: rule, ...policy })
    const keyed = key === undefined ? [] : [['Idempotency-Key', key] as const]
    const x = exchange({ body, headers: [['content-type', 'application/json'], ...keyed] })
    http.begin(x)
    return (await route.late(x)) ?? (await route.transact!(x, work))
  }
  const answering =
    (make: () => unknown): Work =>
    async (tx) => {
      await tx.query("insert into orders (sku) values ('a')")
      return make()
    }

  describe.each([
    ['without a key', false],
    ['under a key', true],
  ])('%s', (_, isKeyed) => {
    const idempotent = isKeyed ? { idempotent: {} } : {}
    const key = (): string | undefined => (isKeyed ? `audited-${++keys}` : undefined)

    it.each([
      ['a value', () => ({ id: 7 }), 200, 'success', 1],
      ['201', () => created({ id: 7 }), 201, 'success', 1],
      ['204', () => noContent(), 204, 'success', 1],
      ['a refusal that is remembered', () => reply(422, { sold: 'out' }), 422, 'failure', 0],
    ] as const)('%s has its entry in the same commit', async (_, make, status, outcome, rows) => {
      expect((await write(answering(make), idempotent, key())).status).toBe(status)
      expect(await orders()).toBe(rows)
      expect(await entries()).toMatchObject([{ outcome, data: { status }, actor: { id: 'ann' }, scope: 'acme' }])
    })

    it.each([401, 403, 409, 429, 500])('%d is taken back, and told behind', async (status) => {
      expect(
        (
          await write(
            answering(() => reply(status, {})),
            idempotent,
            key(),
          )
        ).status,
      ).toBe(status)
      expect(await orders()).toBe(0)
      expect(await entries()).toMatchObject([{ outcome: 'failure', data: { status } }])
    })

    it.each([
      ['an error', () => new Error('boom'), 500],
      ['a problem', () => problem(404, 'none'), 404],
    ])('%s is taken back, and told behind', async (_, make, status) => {
      const work = answering(() => {
        throw make()
      })
      await expect(write(work, idempotent, key())).rejects.toThrow()
      expect(await orders()).toBe(0)
      expect(await entries()).toMatchObject([{ outcome: 'failure', data: { status } }])
    })

    it('an entry that cannot be made takes the write back', async () => {
      const audited = { ...rule, target: () => ({ type: 'order', id: '' }) }
      await expect(
        write(
          answering(() => ok({})),
          { ...idempotent, audited },
          key(),
        ),
      ).rejects.toMatchObject({
        code: 'ENTRY_INVALID',
      })
      expect(await orders()).toBe(0)
    })

    it('effects of the handler stay beside it', async () => {
      const own = audit.entry({ scope: 'acme', action: 'stock.take', actor: { type: 'user', id: 'ann' } })
      await write(
        answering(() => created({ id: 7 }, [own])),
        idempotent,
        key(),
      )
      expect((await entries()).map(({ action }) => action).toSorted()).toEqual(['order.create', 'stock.take'])
    })

    it('an entry of the handler about the same action takes its place', async () => {
      const own = () => audit.entry({ scope: 'acme', ...rule, actor: { type: 'user', id: 'ann' }, new: { sku: 'a' } })
      await write(
        answering(() => created({ id: 7 }, [own()])),
        idempotent,
        key(),
      )
      expect(await entries()).toMatchObject([{ outcome: 'success', changes: [{ path: '/sku', new: 'a' }] }])
      const late = answering(() => reply(409, {}, [own()]))
      await write(late, idempotent, key())
      expect((await entries()).map(({ outcome }) => outcome)).toEqual(['success', 'failure'])
    })

    it('a run that begins again has one entry', async () => {
      let runs = 0
      const work: Work = async (tx) => {
        await tx.query("insert into orders (sku) values ('a')")
        if (runs++ === 0) throw Object.assign(new Error('again'), { code: '40001' })
        return created({})
      }
      expect((await write(work, idempotent, key())).status).toBe(201)
      expect([await orders(), (await entries()).length]).toEqual([1, 1])
    })
  })

  it('a replay is no entry, a key of another request is a failure', async () => {
    const work = answering(() => created({ id: 7 }))
    for (let i = 0; i < 2; i++) expect((await write(work, { idempotent: {} }, 'again')).status).toBe(201)
    expect((await write(work, { idempotent: {} }, 'again', '[]')).status).toBe(422)
    expect((await entries()).map(({ outcome, data }) => [outcome, data['status']])).toEqual([
      ['success', 201],
      ['failure', 422],
    ])
  })
})
