import type { Case } from '@keelson/kernel/conformance'
import { problem } from '../../problem.ts'
import type { Answer } from '../client.ts'
import type { HttpSubject } from '../http-subject.ts'
import { httpCase, MOMENT_MS, route } from '../stage.ts'
import { setTimeout as sleep } from 'node:timers/promises'

const keyed = { idempotent: {} }
const isReplayed = (answer: Answer): boolean => answer.header('idempotent-replayed') === 'true'
const JSON_TYPE = ['Content-Type', 'application/json'] as const

const MALFORMED: readonly (readonly string[])[] = [
  [''],
  ['""'],
  ['two words'],
  ['a,b'],
  ['"unterminated'],
  ['quo"te'],
  ['caf\xe9'],
  ['"caf\xe9"'],
  ['x'.repeat(256)],
  ['one', 'two'],
  ['same', 'same'],
]

/** Refusals that may pass: they are told, and not remembered. */
const PASSING = [401, 403, 408, 409, 425, 429]

/** The Idempotency-Key protocol. */
export const keyCases: readonly Case<HttpSubject>[] = [
  httpCase('a missing key is refused where one is required, and nothing runs', async ({ serve, equal }) => {
    const strict = route('json', { policy: { idempotent: { required: true } } })
    const free = route('text', { policy: keyed })
    const site = await serve([strict, free])
    const refused = await site.call(strict, undefined)
    equal([refused.status, refused.json()['code']], [400, 'key-missing'])
    equal(refused.header('content-type'), 'application/problem+json')
    equal([(await site.call(free, undefined)).status, (await site.call(free, undefined)).status], [200, 200])
    equal([strict.runs, free.runs, site.watched.begins], [0, 2, 0])
  }),

  httpCase('a key that is none is refused, two lines are not one key, and nothing runs', async ({ serve, equal }) => {
    const json = route('json', { policy: keyed })
    const site = await serve([json])
    for (const lines of MALFORMED) {
      const headers = lines.map((line) => ['Idempotency-Key', line] as const)
      const refused = await site.call(json, undefined, { headers })
      equal([refused.status, refused.json()['code']], [400, 'key-malformed'], lines.join(' and '))
    }
    equal([json.runs, site.watched.begins], [0, 0])
  }),

  httpCase('a bare key and the String of the same text are one key', async ({ serve, key, equal }) => {
    const json = route('json', { policy: keyed })
    const site = await serve([json])
    const mine = key()
    await site.call(json, mine)
    equal(isReplayed(await site.call(json, `"${mine}"`)), true)
    equal(isReplayed(await site.call(json, `"${mine}";a=1`)), true)
    equal(json.runs, 1)
  }),

  httpCase('a key with another body, query or content type is refused', async ({ serve, key, equal }) => {
    const json = route('json', { policy: keyed })
    const site = await serve([json])
    const mine = key()
    const first = { headers: [JSON_TYPE], body: '{"a":1}' }
    const others = [
      { ...first, body: '{"a":2}' },
      { ...first, body: '{"a":1} ' },
      { ...first, path: `${json.path}?page=2` },
      { ...first, headers: [['Content-Type', 'application/json; charset=utf-8'] as const] },
    ]
    equal((await site.call(json, mine, first)).status, 201)
    for (const other of others) {
      const refused = await site.call(json, mine, other)
      equal([refused.status, refused.json()['code']], [422, 'key-reused'])
    }
    equal(isReplayed(await site.call(json, mine, first)), true)
    equal(json.runs, 1)
  }),

  httpCase('every byte of a long body in many parts counts', async ({ serve, key, equal }) => {
    const json = route('json', { policy: keyed })
    const site = await serve([json])
    const mine = key()
    const send = async (text: string): Promise<Answer> => {
      const bytes = Buffer.from(JSON.stringify({ text }))
      const connection = site.openCall(json, mine, { headers: [JSON_TYPE], length: bytes.length })
      for (let at = 0; at < bytes.length; at += 10_000) {
        connection.socket.write(bytes.subarray(at, at + 10_000))
        await new Promise((resolve) => setImmediate(resolve))
      }
      return connection.whole()
    }
    const long = 'x'.repeat(90_000)
    equal((await send(long)).status, 201)
    equal(isReplayed(await send(long)), true)
    equal((await send(`${long.slice(1)}y`)).status, 422)
  }),

  httpCase('of fifty at once one runs, and everybody gets its answer', async ({ serve, key, equal, together }) => {
    const json = route('json', { policy: keyed, onEnter: () => sleep(MOMENT_MS) })
    const site = await serve([json])
    const mine = key()
    const answers = await together(50, () => site.call(json, mine))
    equal(json.runs, 1)
    equal(new Set(answers.map(({ status, body }) => `${status} ${body.toString()}`)).size, 1)
    equal(answers.filter((answer) => !isReplayed(answer)).length, 1)
    equal(new Set(answers.map((answer) => answer.header('x-correlation-id'))).size, 50, 'each has an id of its own')
  }),

  httpCase(
    'a key in flight is refused after the wait, with the time to come again',
    async ({ serve, key, equal, ok }) => {
      const entered = Promise.withResolvers<void>()
      const go = Promise.withResolvers<void>()
      const json = route('json', {
        policy: { idempotent: { wait: '20ms' } },
        onEnter() {
          entered.resolve()
          return go.promise
        },
      })
      const site = await serve([json])
      const mine = key()
      const first = site.call(json, mine)
      await entered.promise
      const refused = await site.call(json, mine)
      const other = await site.call(json, mine, { headers: [JSON_TYPE], body: '{}' })
      go.resolve()
      equal([refused.status, refused.json()['code']], [409, 'key-in-use'])
      ok(Number(refused.header('retry-after')) >= 1)
      equal([other.status, other.json()['code']], [422, 'key-reused'])
      equal([(await first).status, json.runs], [201, 1])
    },
  ),

  httpCase('a refusal is remembered, but for those that may pass', async ({ serve, key, equal }) => {
    let status = 0
    const json = route('json', {
      policy: keyed,
      onEnter() {
        throw problem(status, 'refused')
      },
    })
    const site = await serve([json])
    for (const one of [400, 404, 410, 422, ...PASSING, 500, 503]) {
      status = one
      const mine = key()
      const before = json.runs
      const [first, again] = [await site.call(json, mine), await site.call(json, mine)]
      const isFree = one >= 500 || PASSING.includes(one)
      equal([first.status, again.status, first.json()['code']], [one, one, 'refused'])
      equal([one, json.runs - before, isReplayed(again)], [one, isFree ? 2 : 1, !isFree])
    }
  }),

  httpCase('a store that is down at the claim is told, and nothing runs', async ({ serve, key, equal }) => {
    const json = route('json', { policy: keyed })
    const site = await serve([json])
    site.watched.beforeBegin = refusing
    const refused = await site.call(json, key())
    equal([refused.status, refused.json()['code'], json.runs], [503, 'store-unavailable', 0])
    equal(refused.header('retry-after'), '1')
  }),

  httpCase('a handler that runs without its store says so', async ({ serve, key, equal }) => {
    const json = route('json', { policy: keyed })
    const site = await serve([json], { core: { onStoreDown: 'run-unprotected' } })
    site.watched.beforeBegin = refusing
    const ran = await site.call(json, key())
    equal([ran.status, ran.header('idempotency-status'), json.runs], [201, 'unprotected', 1])
  }),

  httpCase('a store that is lost behind the handler costs no client its answer', async ({ serve, key, equal }) => {
    const json = route('json', { policy: keyed })
    const site = await serve([json], { core: { lease: '3s' } })
    site.watched.beforeSettle = refusing
    equal((await site.call(json, key())).status, 201)
  }),

  httpCase('an answer that was overtaken gives way to the winner’s, if nothing of it has left', async (stage) => {
    const { supports, serve, key, equal } = stage
    const kinds = (['json', 'text', 'two-cookies', 'no-content'] as const).filter((kind) => supports(kind))
    const routes = kinds.map((kind) => route(kind, { policy: keyed }))
    const site = await serve(routes)
    site.watched.winner = {
      status: 418,
      headers: [
        ['Content-Type', 'text/plain'],
        ['X-Winner', 'yes'],
      ],
      body: Buffer.from('winner'),
    }
    for (const one of routes) {
      const answer = await site.call(one, key())
      equal([answer.status, answer.body.toString(), isReplayed(answer)], [418, 'winner', true], one.kind)
      equal([answer.header('content-type'), answer.header('x-winner')], ['text/plain', 'yes'])
      equal([answer.all('set-cookie'), answer.all('link')], [[], []], 'headers of an answer that nobody gets')
      equal(answer.all('x-correlation-id').length, 1)
    }
  }),

  httpCase('an answer that was overtaken after it began ends as it began', async (stage) => {
    const { supports, serve, key, equal } = stage
    if (!supports('slow-stream')) return
    const heard = Promise.withResolvers<void>()
    const slow = route('slow-stream', {
      policy: keyed,
      async *pieces() {
        yield 'one'
        yield 'two'
        await heard.promise
        yield 'three'
      },
    })
    const site = await serve([slow])
    site.watched.winner = { status: 418, headers: [], body: Buffer.from('winner') }
    const connection = site.openCall(slow, key())
    await connection.until(({ body }) => body.length > 0)
    heard.resolve()
    const { status, body } = await connection.whole()
    equal([status, body.toString(), connection.isComplete()], [200, 'onetwothree', true])
  }),

  httpCase('operations, tenants and users never meet under one key', async ({ serve, key, equal }) => {
    const one = route('json', { policy: keyed })
    const two = route('json', { path: '/items/:id', policy: keyed })
    const site = await serve([one, two])
    const mine = key()
    const calls = [
      () => site.call(one, mine),
      () => site.call(one, mine, { headers: [['x-tenant', `other-${mine}`]] }),
      () => site.call(one, mine, { headers: [['Authorization', 'Bearer ann']] }),
      () => site.call(one, mine, { headers: [['Authorization', 'Bearer bob']] }),
      () => site.call(two, mine, { path: '/items/1' }),
      () => site.call(two, mine, { path: '/items/2' }),
    ]
    for (const expected of [false, true]) {
      for (const call of calls) equal(isReplayed(await call()), expected)
    }
    equal(one.runs + two.runs, calls.length)
  }),

  httpCase('users of one tenant share keys where they are told to', async ({ serve, key, equal }) => {
    const json = route('json', { policy: { idempotent: { share: true } } })
    const site = await serve([json])
    const mine = key()
    equal(isReplayed(await site.call(json, mine, { headers: [['Authorization', 'Bearer ann']] })), false)
    equal(isReplayed(await site.call(json, mine, { headers: [['Authorization', 'Bearer bob']] })), true)
  }),
]

function refusing(): never {
  throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
}
