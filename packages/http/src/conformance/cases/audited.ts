import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { createAudit, generateKey, type Audit, type Entry } from '@keelson/audit'
import { postgresStore } from '@keelson/audit/postgres'
import { reply } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import { migrate } from '@keelson/kernel/postgres'
import { createLimiter } from '@keelson/resilience/limiter'
import { auditApi } from '../../apis/audit-api.ts'
import { problem } from '../../problem.ts'
import type { Given } from '../client.ts'
import type { HttpSubject, Kind } from '../http-subject.ts'
import { httpCase, MOMENT_MS, route, type Site, type TestRoute } from '../stage.ts'

const rule = { action: 'order.create' }
const as = (user: string, ...more: NonNullable<Given['headers']>): Given => ({
  headers: [['Authorization', `Bearer ${user}`], ...more],
})
const audited = (kind: Kind, more: Parameters<typeof route>[1] = {}): TestRoute =>
  route(kind, { policy: { audited: rule }, ...more })

/** All that the log has taken, in its order. */
async function entriesOf(audit: Audit): Promise<readonly Entry[]> {
  await audit.flush()
  return (await audit.query({ scope: '*', order: 'asc', action: 'order.*' })).entries
}

/** How each ended. */
async function endsOf(audit: Audit): Promise<unknown[]> {
  return (await entriesOf(audit)).map(({ outcome, data }) => [outcome, data['status'] ?? null])
}

/** Who did what, in the audit log. */
export const auditedCases: readonly Case<HttpSubject>[] = [
  httpCase('a request leaves one entry: who, from where, at which route, and how it ended', async (stage) => {
    const { serve, tenant, equal } = stage
    const item = audited('json', {
      path: '/items/:id',
      policy: { audited: { ...rule, target: (x) => ({ type: 'item', id: x.path.slice('/items/'.length) }) } },
    })
    const site = await serve([item])
    await site.call(item, undefined, { path: '/items/7', ...as('ann', ['X-Correlation-ID', 'order-17']) })
    const entries = await entriesOf(site.audit)
    equal(
      entries.map(({ scope, actor, target, outcome, where, data, correlationId }) => [
        scope,
        actor,
        target,
        outcome,
        where,
        data,
        correlationId,
      ]),
      [
        [
          tenant,
          { type: 'user', id: 'ann' },
          { type: 'item', id: '7' },
          'success',
          { ip: '127.0.0.1', method: 'POST', route: '/items/:id' },
          { status: 201 },
          'order-17',
        ],
      ],
    )
  }),

  httpCase('every kind of answer is told by its status', async ({ supports, serve, equal }) => {
    const statuses = (
      [
        ['json', 201],
        ['text', 200],
        ['empty', 200],
        ['no-content', 204],
        ['stream', 200],
        ['web-response', 202],
        ['redirect', 303],
        ['large', 200],
        ['sse', 200],
        ['throw-4xx', 418],
        ['throw', 500],
      ] as const
    ).filter(([kind]) => supports(kind))
    const routes = statuses.map(([kind]) => audited(kind))
    const site = await serve(routes)
    for (const one of routes) await site.call(one, undefined, as('ann'))
    equal(
      await endsOf(site.audit),
      statuses.map(([, status]) => [status < 400 ? 'success' : 'failure', status]),
    )
  }),

  httpCase('what the framework’s authentication refuses is a failure', async (stage) => {
    const { serve, equal, until } = stage
    const json = audited('json')
    const site = await serve([json])
    equal((await site.call(json, undefined, as('nobody'))).status, 401)
    await until('the entry of the refusal', async () => (await endsOf(site.audit)).length === 1)
    const [entry] = await entriesOf(site.audit)
    equal([entry!.outcome, entry!.data, entry!.actor.type], ['failure', { status: 401 }, 'anonymous'])
    equal(json.runs, 0)
  }),

  httpCase('refusals of ours are failures: by address, by limit, by key', async (stage) => {
    const { serve, equal, until } = stage
    const limiter = createLimiter({ name: 'suite', quotas: { name: 'hour', limit: 1, per: '1h' } })
    const policies = [
      { allowIps: ['192.0.2.0/24'] },
      { rateLimit: { limiter: 'few', by: 'address', cost: 2 } },
      { rateLimit: { limiter: 'few', cost: 2 } },
      { idempotent: { required: true } },
    ] as const
    const routes = policies.map((policy, i) =>
      audited('json', { path: `/r${i}`, policy: { ...policy, audited: rule } }),
    )
    const site = await serve(routes, { http: { limiters: { few: limiter } } })
    for (const one of routes) await site.call(one, undefined, as('ann'))
    await limiter.close()
    await until('all entries', async () => (await endsOf(site.audit)).length === routes.length)
    equal(
      await endsOf(site.audit),
      [403, 429, 429, 400].map((status) => ['failure', status]),
    )
  }),

  httpCase('nothing of the last byte leaves before the entry is there', async (stage) => {
    const { supports, serve, equal, ok } = stage
    for (const kind of (['json', 'no-content', 'stream', 'length-then-late-end'] as const).filter((one) =>
      supports(one),
    )) {
      const plain = audited(kind)
      const keyed = audited(kind, { path: '/keyed', policy: { audited: rule, idempotent: {} } })
      const site = await serve([plain, keyed])
      const { length } = (await site.call(plain, undefined)).body
      for (const [one, key] of [
        [plain, undefined],
        [keyed, stage.key()],
      ] as const) {
        let early: Promise<boolean> | undefined
        let asked = 0
        const connection = site.openCall(one, key)
        const arrived = connection.until(({ status, body }) => status > 0 && body.length >= length)
        site.watched.beforeRecord = async () => {
          asked++
          await (early = Promise.race([arrived.then(() => true), sleep(MOMENT_MS, false)]))
        }
        await arrived
        ok(!(await early), `${kind}: the answer was there before its entry`)
        equal(asked, 1, kind)
      }
    }
  }),

  httpCase('a client that leaves is told of when its handler has ended', async ({ serve, equal, until }) => {
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const json = audited('json', {
      onEnter() {
        entered.resolve()
        return go.promise
      },
    })
    const site = await serve([json])
    const connection = site.openCall(json, undefined, as('ann'))
    await entered.promise
    connection.leave()
    await sleep(MOMENT_MS)
    equal(await endsOf(site.audit), [])
    go.resolve()
    await until('its entry', async () => (await endsOf(site.audit)).length === 1)
    const [entry] = await entriesOf(site.audit)
    // Who hangs up behind his request does not get rid of his name.
    equal([entry!.outcome, entry!.data, entry!.where!.ip], ['success', { status: 201 }, '127.0.0.1'])
  }),

  httpCase('of an answer that is broken off nobody knows what came of it', async (stage) => {
    const { supports, serve, equal, until } = stage
    if (!supports('stream')) return
    const broken = audited('stream', {
      async *pieces() {
        yield 'one'
        yield 'two'
        await sleep(1)
        throw new Error('the source broke')
      },
    })
    const site = await serve([broken])
    await site.call(broken, undefined)
    await until('its entry', async () => (await endsOf(site.audit)).length === 1)
    equal(
      (await entriesOf(site.audit)).map(({ outcome }) => outcome),
      ['unknown'],
    )
  }),

  httpCase('a replay did nothing, and is no entry', async ({ serve, key, equal }) => {
    const json = audited('json', { policy: { audited: rule, idempotent: {} } })
    const site = await serve([json])
    const mine = key()
    const answers = [await site.call(json, mine), await site.call(json, mine)]
    equal(
      answers.map((answer) => answer.header('idempotent-replayed')),
      [undefined, 'true'],
    )
    equal(await endsOf(site.audit), [['success', 201]])
  }),

  httpCase('a read out of the cache is an entry: somebody has seen it', async ({ serve, equal }) => {
    const read = audited('text', {
      method: 'GET',
      policy: { audited: { action: 'order.read' }, cached: { ttl: '10m', per: 'scope' } },
    })
    const site = await serve([read])
    for (const user of ['ann', 'bob']) await site.call(read, undefined, as(user))
    equal(read.runs, 1)
    equal(
      (await entriesOf(site.audit)).map(({ actor }) => actor.id),
      ['ann', 'bob'],
    )
  }),

  httpCase(
    'a log that is away takes no answer away, and a handler that must be told of does not run',
    async (stage) => {
      const { serve, key, equal } = stage
      const json = audited('json')
      const required = audited('json', { path: '/required', policy: { audited: { ...rule, required: true } } })
      const keyed = audited('json', {
        path: '/keyed',
        policy: { audited: { ...rule, required: true }, idempotent: { required: true } },
      })
      const site = await serve([json, required, keyed])
      const mine = key()
      site.watched.beforeRecord = () => {
        throw problem(503, 'store-unavailable', { retryAfter: 700 })
      }
      equal((await site.call(json, undefined)).status, 201)
      equal(lostOf(site), 1)
      for (const [one, under] of [
        [required, undefined],
        [keyed, mine],
      ] as const) {
        const answer = await site.call(one, under)
        equal([answer.status, answer.json()['code'], answer.header('retry-after')], [503, 'store-unavailable', '1'])
      }
      equal([json.runs, required.runs, keyed.runs], [1, 0, 0])
      site.watched.beforeRecord = () => {}
      for (const [one, under] of [
        [required, undefined],
        [keyed, mine],
      ] as const) {
        equal((await site.call(one, under)).status, 201)
      }
      const entries = await entriesOf(site.audit)
      equal(
        entries.map(({ outcome }) => outcome),
        ['unknown', 'success', 'unknown', 'success'],
      )
      equal([entries[1]!.data['intent'], entries[3]!.data['intent']], [entries[0]!.id, entries[2]!.id])
    },
  ),

  httpCase(
    'a transaction commits its entry with its rows, and what it takes back is told behind it',
    async (stage) => {
      const { subject, supports, serve, key, equal, ok } = stage
      ok(subject.database !== undefined, "a subject that has 'database' gives { db, store }")
      if (!supports('work')) return
      const { db } = subject.database!
      const schema = `suite_${randomBytes(6).toString('hex')}`
      const store = postgresStore(db, { schema })
      await migrate(db, [store])
      const audit = createAudit({ store, key: generateKey('suite.example/log').signer, storeTimeout: '10s' })
      await db.query(`create table ${schema}.suite_order (kind text not null)`)
      try {
        let outcome: () => unknown = () => ({})
        const work = audited('work', {
          policy: { transactional: true, audited: rule },
          async work(tx) {
            await tx.query(`insert into ${schema}.suite_order values ('order')`)
            return outcome()
          },
        })
        const site = await serve([work], { http: { db, audit } })
        const given: Given = { headers: [['Content-Type', 'application/json'], ...as('ann').headers!], body: '{}' }
        const ends = [
          [() => ({ id: 7 }), 200, 'success'],
          [() => reply(201, {}), 201, 'success'],
          [() => reply(422, {}), 422, 'failure'],
          [() => reply(409, {}), 409, 'failure'],
          [throwing(problem(404, 'none')), 404, 'failure'],
          [throwing(new Error('boom')), 500, 'failure'],
        ] as const
        for (const [make, status] of ends) {
          outcome = make
          equal((await site.call(work, key(), given)).status, status)
        }
        equal(
          await endsOf(audit),
          ends.map(([, status, how]) => [how, status]),
        )
        equal(
          (await entriesOf(audit)).map(({ actor }) => actor.id),
          ends.map(() => 'ann'),
        )
        const { rows } = await db.query(`select kind from ${schema}.suite_order`)
        equal(rows.length, 2)
      } finally {
        await audit.close()
        await db.query(`drop schema ${schema} cascade`)
      }
    },
    'database',
  ),

  httpCase('auditApi is mounted: entries, an export as it comes, tiles that may be kept', async (stage) => {
    const { serve, tenant, equal } = stage
    const json = audited('json')
    const recorded = await serve([json])
    for (let i = 0; i < 3; i++) await recorded.call(json, undefined, as('ann'))
    await recorded.audit.record({ scope: 'other', action: 'order.create', actor: { type: 'user', id: 'eve' } })
    const api = auditApi({ http: recorded.http, audit: recorded.audit, scope: tenant, authorize: 'public' })
    const site = await serve([route('api', { path: '/audit', api })])
    await entriesOf(recorded.audit)
    const page = (await site.send({ path: '/audit/entries?limit=2' })).json() as { items: unknown[]; next: unknown }
    equal([page.items.length, typeof page.next], [2, 'string'])
    const exported = await site.send({ path: '/audit/export?actor=user' })
    equal([exported.status, exported.header('content-type')], [200, 'application/jsonl'])
    equal(exported.body.toString().trimEnd().split('\n').length, 3)
    equal((await site.send({ path: '/audit/tile/0/000.p/4' })).body.length, 4 * 32)
    equal((await site.send({ path: '/audit/tile/entries/000.p/4' })).status, 404)
    const head = await site.send({ method: 'HEAD', path: '/audit/entries' })
    equal([head.status, head.body.length], [200, 0])
    const post = await site.send({ method: 'POST', path: '/audit/entries' })
    equal([post.status, post.header('allow')], [405, 'GET, HEAD'])
  }),
]

function throwing(error: Error): () => never {
  return () => {
    throw error
  }
}

/** Entries that the log did not take. */
function lostOf({ http }: Site): number {
  const family = http.metrics().find(({ name }) => name === 'keelson_http_not_audited_total')
  return family?.samples.reduce((sum, { value }) => sum + value, 0) ?? 0
}
