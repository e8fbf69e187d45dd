import { randomBytes } from 'node:crypto'
import { createIdempotency, type TransactionalIdempotency } from '@keelson/idempotency'
import type { Effect } from '@keelson/kernel'
import type { Case } from '@keelson/kernel/conformance'
import { problem } from '../../problem.ts'
import { created, noContent } from '../../replies.ts'
import { reply } from '@keelson/kernel'
import type { Given } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { look } from '../sample.ts'
import { httpCase, route, type Site, type Stage, type TestRoute } from '../stage.ts'

type Work = NonNullable<TestRoute['work']>

/** A database with two tables of this case alone. */
interface Books {
  serve(work: Work, idempotent?: object): Promise<{ site: Site; route: TestRoute }>
  /** How many rows the handlers wrote, and how many their effects. */
  rows(): Promise<{ orders: number; notes: number }>
  insert: Work
  note(text: string): Effect
}

const json = (body: unknown, headers: Given['headers'] = []): Given => ({
  headers: [['Content-Type', 'application/json'], ...headers],
  body: JSON.stringify(body),
})

/** Routes whose rows, effects and answer are one commit. */
export const transactionCases: readonly Case<HttpSubject>[] = [
  booksCase('a transactional answer leaves when its rows are there, and is given again', async (books, stage) => {
    const { key, equal, tenant } = stage
    const seen: unknown[] = []
    const { site, route } = await books.serve(async (tx, op, body) => {
      seen.push([op.op, op.scope, body, look()])
      await books.insert(tx, op, body)
      return created(
        { id: 7 },
        [books.note('made')],
        [
          ['X-Twice', '1'],
          ['X-Twice', '2'],
          ['Set-Cookie', 'once=1'],
        ],
      )
    })
    const mine = key()
    const given = json({ sku: 'tea' }, [
      ['X-Correlation-ID', 'my-request-0001'],
      ['Authorization', 'Bearer ann'],
    ])
    const connection = site.openCall(route, mine, given)
    await connection.until(({ body }) => body.length > 0)
    equal(await books.rows(), { orders: 1, notes: 1 })
    const [first, again] = [await connection.whole(), await site.call(route, mine, given)]
    equal(
      [first.status, first.json(), again.status, again.body.toString()],
      [201, { id: 7 }, 201, first.body.toString()],
    )
    equal([first.header('idempotent-replayed'), again.header('idempotent-replayed')], [undefined, 'true'])
    equal(
      [first.all('x-twice').join(), again.all('x-twice').join()].map((one) => one.replaceAll(' ', '')),
      ['1,2', '1,2'],
    )
    equal([first.all('set-cookie'), again.all('set-cookie')], [['once=1'], []])
    equal(await books.rows(), { orders: 1, notes: 1 })
    equal(seen, [['POST /work', tenant, { sku: 'tea' }, ['my-request-0001', tenant, 'ann']]])
  }),

  booksCase('a value that is no reply is 200, and nothing is 204', async (books, { key, equal }) => {
    const { site, route } = await books.serve((_tx, _op, body) =>
      (body as { none?: boolean }).none === true ? noContent() : { fine: true },
    )
    const value = await site.call(route, key(), json({}))
    equal([value.status, value.json()], [200, { fine: true }])
    const none = await site.call(route, key(), json({ none: true }))
    equal([none.status, none.body.length, none.header('content-type')], [204, 0, undefined])
  }),

  booksCase('a refusal takes the rows back, keeps its effects, and is remembered', async (books, { key, equal }) => {
    let runs = 0
    const { site, route } = await books.serve(async (tx, op, body) => {
      runs++
      await books.insert(tx, op, body)
      return reply(422, { sold: 'out' }, [books.note('refused')])
    })
    const mine = key()
    const [first, again] = [await site.call(route, mine, json({})), await site.call(route, mine, json({}))]
    equal([first.status, again.status, again.header('idempotent-replayed'), runs], [422, 422, 'true', 1])
    equal(again.body.toString(), first.body.toString())
    equal(await books.rows(), { orders: 0, notes: 1 })
  }),

  booksCase('a throw leaves nothing, and the retry is a clean run', async (books, { key, equal }) => {
    const failures = [new Error('boom'), problem(409, 'changed'), problem(503, 'busy'), undefined]
    let runs = 0
    const { site, route } = await books.serve(async (tx, op, body) => {
      await books.insert(tx, op, body)
      const failure = failures[runs++]
      if (failure !== undefined) throw failure
      return created({ id: 7 }, [books.note('made')])
    })
    const mine = key()
    for (const status of [500, 409, 503]) {
      const answer = await site.call(route, mine, json({}))
      equal([answer.status, answer.header('content-type')], [status, 'application/problem+json'])
      equal(await books.rows(), { orders: 0, notes: 0 })
    }
    equal((await site.call(route, mine, json({}))).status, 201)
    equal(await books.rows(), { orders: 1, notes: 1 })
  }),

  booksCase('of ten at once one writes, and everybody gets its answer', async (books, { key, equal, together }) => {
    const { site, route } = await books.serve(async (tx, op, body) => {
      await books.insert(tx, op, body)
      return created({ op: op.operationId })
    })
    const mine = key()
    const answers = await together(10, () => site.call(route, mine, json({})))
    equal(new Set(answers.map(({ status, body }) => `${status} ${body.toString()}`)).size, 1)
    equal(await books.rows(), { orders: 1, notes: 0 })
  }),

  booksCase('without a key each request is one write', async (books, { equal }) => {
    const { site, route } = await books.serve(async (tx, op, body) => {
      await books.insert(tx, op, body)
      return created({}, [books.note('made')])
    }, {})
    for (let i = 0; i < 2; i++) equal((await site.call(route, undefined, json({}))).status, 201)
    equal(await books.rows(), { orders: 2, notes: 2 })
  }),

  booksCase('the key of a transaction is read as any other', async (books, { key, equal }) => {
    const { site, route } = await books.serve((tx, op, body) => books.insert(tx, op, body), { required: true })
    const codes = [
      await site.call(route, undefined, json({})),
      await site.call(route, 'a,b', json({})),
      await site.call(route, key(), json({}, [['Idempotency-Key', 'second']])),
    ].map((answer) => answer.json()['code'])
    equal(codes, ['key-missing', 'key-malformed', 'key-malformed'])
    equal(await books.rows(), { orders: 0, notes: 0 })
    const mine = key()
    const who = (user: string): Given => json({}, [['Authorization', `Bearer ${user}`]])
    for (const user of ['ann', 'bob', 'ann']) equal((await site.call(route, mine, who(user))).status, 200)
    equal(await books.rows(), { orders: 2, notes: 0 })
  }),

  booksCase('a client that leaves finds its answer when it comes again', async (books, stage) => {
    const { key, equal, until } = stage
    const entered = Promise.withResolvers<void>()
    const go = Promise.withResolvers<void>()
    const { site, route } = await books.serve(async (tx, op, body) => {
      await books.insert(tx, op, body)
      entered.resolve()
      await go.promise
      return created({ id: 7 })
    })
    const mine = key()
    const connection = site.openCall(route, mine, json({}))
    await entered.promise
    connection.leave()
    go.resolve()
    await until('the row is there', async () => (await books.rows()).orders === 1)
    const again = await site.call(route, mine, json({}))
    equal([again.status, again.json(), again.header('idempotent-replayed')], [201, { id: 7 }, 'true'])
  }),
]

function booksCase(name: string, run: (books: Books, stage: Stage) => Promise<void>): Case<HttpSubject> {
  return httpCase(
    name,
    async (stage) => {
      const { database } = stage.subject
      stage.ok(database !== undefined, "a subject that has 'database' gives { db, store }")
      if (!stage.supports('work')) return
      const { db, store } = database!
      const table = `suite_${randomBytes(6).toString('hex')}`
      const core: TransactionalIdempotency = createIdempotency({ store, storeTimeout: '10s', wait: '1m' })
      await db.query(`create table ${table} (kind text not null)`)
      const insert: Work = async (tx) => {
        await tx.query(`insert into ${table} values ('order')`)
        return {}
      }
      try {
        await run(
          {
            insert,
            note: () => ({ kind: 'suite.note', statements: () => [{ text: `insert into ${table} values ('note')` }] }),
            async serve(work, idempotent = {}) {
              const made = route('work', { work, policy: { transactional: true, idempotent } })
              return { route: made, site: await stage.serve([made], { http: { db, idempotency: core } }) }
            },
            async rows() {
              const { rows } = await db.query(`select kind from ${table}`)
              const count = (kind: string): number => rows.filter((row: { kind: string }) => row.kind === kind).length
              return { orders: count('order'), notes: count('note') }
            },
          },
          stage,
        )
      } finally {
        await core.stop({ drain: '1s' })
        await db.query(`drop table ${table}`)
      }
    },
    'database',
  )
}
