import { PGlite } from '@electric-sql/pglite'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createIdempotency, memoryStore, reply, type Call } from '@keelson/idempotency'
import { postgresStore } from '@keelson/idempotency/postgres'
import { redisStore } from '@keelson/idempotency/redis'
import { openOrders, type Orders } from './orders.ts'

let orders: Orders
beforeAll(async () => {
  orders = await openOrders(new PGlite(), 'bad_input')
})
afterAll(() => orders.close())

const good: Call = { scope: 'm1', op: 'POST /orders', key: 'k1', input: { a: 1 } }
const ran = vi.fn(async () => {})
const cycle: { self?: unknown } = {}
cycle.self = cycle

const cases: [string, object, string, RegExp][] = [
  ['no scope', { scope: undefined }, 'SCOPE_INVALID', /write 'public' to share/],
  ['an empty scope', { scope: '' }, 'SCOPE_INVALID', /"scope" must be 1 to 128 bytes/],
  ['a scope of 129 bytes in 65 characters', { scope: `${'é'.repeat(64)}x` }, 'SCOPE_INVALID', /got 65 characters/],
  ['a scope with a control character', { scope: 'a\u0000b' }, 'SCOPE_INVALID', /control/],
  ['a scope that is a number', { scope: 7 }, 'SCOPE_INVALID', /got number/],
  ['a scope with a lone surrogate', { scope: '\ud800' }, 'SCOPE_INVALID', /"scope"/],
  ['no op', { op: undefined }, 'OP_INVALID', /"op" must be 1 to 512/],
  ['an op of 513 characters', { op: 'x'.repeat(513) }, 'OP_INVALID', /got 513/],
  ['an op with a line break', { op: 'POST /a\n' }, 'OP_INVALID', /control/],
  ['no key', { key: undefined }, 'KEY_INVALID', /"key" must be 1 to 255/],
  ['an empty key', { key: '' }, 'KEY_INVALID', /got 0 characters/],
  ['a key of 256 characters', { key: 'x'.repeat(256) }, 'KEY_INVALID', /got 256/],
  ['a key with DEL', { key: 'a\u007f' }, 'KEY_INVALID', /control/],
  ['a key with a C1 control', { key: 'a\u0085' }, 'KEY_INVALID', /control/],
  ['a key with a lone surrogate', { key: 'a\udc00' }, 'KEY_INVALID', /"key"/],
  ['a key that is null', { key: null }, 'KEY_INVALID', /got null/],
  ['an empty principal', { by: '' }, 'INPUT_INVALID', /"by"/],
  ['a subject of 129 characters', { subject: 'x'.repeat(129) }, 'INPUT_INVALID', /"subject" must be 1 to 128/],
  ['input and fingerprint', { fingerprint: { alg: 'raw', digest: new Uint8Array(32) } }, 'INPUT_INVALID', /not both/],
  [
    'a short fingerprint',
    { input: undefined, fingerprint: { alg: 'raw', digest: new Uint8Array(31) } },
    'FINGERPRINT_INVALID',
    /32 bytes/,
  ],
  [
    'an unknown alg',
    { input: undefined, fingerprint: { alg: 'md5', digest: new Uint8Array(32) } },
    'FINGERPRINT_INVALID',
    /'raw'/,
  ],
  [
    'a function in the input',
    { input: { a: [1, { f: () => {} }] } },
    'INPUT_NOT_HASHABLE',
    /"input\.a\[1\]\.f" is not JSON: a function/,
  ],
  ['a BigInt', { input: { n: 1n } }, 'INPUT_NOT_HASHABLE', /"input\.n" is not JSON: a bigint/],
  ['NaN', { input: [NaN] }, 'INPUT_NOT_HASHABLE', /"input\[0\]" is not JSON: NaN/],
  ['Infinity', { input: { n: -Infinity } }, 'INPUT_NOT_HASHABLE', /-Infinity/],
  ['a Date', { input: { at: new Date() } }, 'INPUT_NOT_HASHABLE', /"input\.at" is not JSON: Date/],
  ['a Map', { input: new Map() }, 'INPUT_NOT_HASHABLE', /"input" is not JSON: Map/],
  ['bytes', { input: { b: new Uint8Array(2) } }, 'INPUT_NOT_HASHABLE', /Uint8Array/],
  ['a cycle', { input: cycle }, 'INPUT_NOT_HASHABLE', /cycle/],
  ['a symbol', { input: { s: Symbol('x') } }, 'INPUT_NOT_HASHABLE', /symbol/],
  ['a lone surrogate in the input', { input: ['\ud800'] }, 'INPUT_NOT_HASHABLE', /surrogate/],
  ['undefined in an array', { input: [undefined] }, 'INPUT_NOT_HASHABLE', /"input\[0\]"/],
  ['a wait that is no duration', { wait: '5 s' }, 'OPTION_INVALID', /"wait" must be a Duration/],
  ['a retain of nothing', { retain: 0 }, 'OPTION_INVALID', /"retain" must be .* at least 1/],
  ['a retain beyond every clock', { retain: '200000000d' }, 'OPTION_INVALID', /"retain" must be .* at most 3650d/],
  ['bestEffort that is no boolean', { bestEffort: 'no' }, 'OPTION_INVALID', /"bestEffort" must be true or false/],
  ['retries that are no number', { retries: 'many' }, 'OPTION_INVALID', /"retries" must be an integer/],
  ['a negative retain', { retain: -1 }, 'OPTION_INVALID', /"retain"/],
  ['a lease that ends at once', { lease: '1ms' }, 'OPTION_INVALID', /"lease" must be .*at least 100ms/],
  ['an unknown guarantee', { guarantee: 'exactly-once' }, 'OPTION_INVALID', /"guarantee" must be 'at-least-once' or/],
  ['a negative limit of its answer', { maxStoredBytes: -1 }, 'OPTION_INVALID', /"maxStoredBytes" must be an integer/],
  [
    'a controller for its signal',
    { signal: new AbortController() },
    'INPUT_INVALID',
    /"signal" must be an AbortSignal/,
  ],
  ['a signal that is null', { signal: null }, 'INPUT_INVALID', /"signal" must be an AbortSignal or a function/],
  ['a codec that only writes', { codec: { encode() {} } }, 'OPTION_INVALID', /"codec" must be .*decode\(\)/],
]

test.each(cases)('%s: clear error, nothing run, nothing stored', async (_, change, code, message) => {
  const before = await orders.count()
  const call = { ...good, ...change } as Call
  const failing = orders.idempotency.transaction(call, orders.place)
  await expect(failing).rejects.toMatchObject({
    name: 'IdempotencyError',
    code,
    message: expect.stringMatching(message),
  })
  await expect(orders.idempotency.run(call, ran)).rejects.toMatchObject({ code })
  expect(orders.runs()).toBe(0)
  expect(ran).not.toHaveBeenCalled()
  expect(await orders.count()).toEqual(before)
})

test('a call, a work or a ref that is none says so', async () => {
  const { idempotency } = orders
  for (const given of [null, undefined, 7]) {
    await expect(idempotency.run(given as never, ran)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(idempotency.find(given as never)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(idempotency.forget(given as never)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(idempotency.run(good, given as never)).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: 'the work must be a function',
    })
    await expect(idempotency.consume(good, given as never)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(idempotency.transaction(good, given as never)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  }
  const named = { op: 'x', scope: () => 'm1', key: () => 'k' }
  for (const wrong of [undefined, { ...named, key: undefined }, { ...named, scope: 'm1' }, { ...named, kay: 1 }]) {
    expect(() => idempotency.wrap(ran, wrong as never)).toThrowError(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    )
  }
})

test('no error says the key', async () => {
  const secret = `secret\u0000`
  await expect(orders.idempotency.transaction({ ...good, key: secret }, orders.place)).rejects.not.toThrow(/secret/)
})

test.each([
  ['no store', {}, /"store" is required/],
  ['a store that is none', { store: {} }, /"store" must be an object with begin\(\), settle\(\)/],
  ['an unknown option', { leese: 1 }, /unknown option "leese"; did you mean "lease"/],
  ['an unreadable lease', { lease: '5 s' }, /"lease" must be a Duration such as 250, '250ms', '5s'.* \(got '5 s'\)/],
  ['a lease of nothing', { lease: 0 }, /"lease" must be .*at least 100ms/],
  ['storeTimeout over a minute', { storeTimeout: '2m' }, /"storeTimeout" must be .*at most 1m/],
  ['a lease beyond Postgres', { lease: '30d' }, /"lease" must be .*at most 24d/],
  ['half a byte', { maxStoredBytes: 0.5 }, /"maxStoredBytes" must be an integer/],
  ['an unknown guarantee', { guarantee: 'exactly-once' }, /"guarantee" must be 'at-least-once' or 'at-most-once'/],
  ['onStoreDown without a choice', { onStoreDown: true }, /"onStoreDown" must be 'refuse' or 'run-unprotected'/],
  ['a logger without methods', { logger: {} }, /"logger" must be an object with debug\(\)/],
  ['waiters below zero', { maxWaiters: { perKey: -1 } }, /"maxWaiters/],
])('createIdempotency with %s says so', (name, options, message) => {
  const store = postgresStore(orders.db)
  const given = name === 'no store' ? options : { store, ...options }
  expect(() => createIdempotency(given as never)).toThrowError(
    expect.objectContaining({
      name: 'IdempotencyError',
      code: 'OPTION_INVALID',
      message: expect.stringMatching(message),
    }),
  )
})

test.each([['drop table'], ['Keelson'], [''], ['x'.repeat(64)], [7]])('a schema named %j is refused', (schema) => {
  expect(() => postgresStore(orders.db, { schema: schema as string })).toThrowError(
    expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(/"schema"/) }),
  )
})

test.each([
  [{ prefix: 'a b' }, /"prefix"/],
  [{ prefix: '{tag}' }, /"prefix"/],
  [{ replicas: -1 }, /"replicas" must be an integer from 0/],
  [{ replicaTimeout: 0 }, /"replicaTimeout"/],
  [{ replica: 1 }, /unknown option "replica"; did you mean "replicas"/],
])('redisStore refuses %j', (options, message) => {
  const port = { client: 'custom', command() {}, pipeline() {}, script() {}, subscribe() {} } as never
  expect(() => redisStore(port, options as never)).toThrowError(
    expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(message) }),
  )
})

test('what is no client of Redis, and a memory store without room, are refused', () => {
  expect(() => redisStore(new Map() as never)).toThrowError(expect.objectContaining({ code: 'OPTION_INVALID' }))
  expect(() => memoryStore({ maxRecords: 0 })).toThrowError(expect.objectContaining({ code: 'OPTION_INVALID' }))
})

test('what an operator asks is checked as a call is', async () => {
  const { idempotency } = orders
  const ref = { scope: 'm1', op: 'x', key: '' }
  for (const asked of [idempotency.find(ref), idempotency.forget(ref), idempotency.resolve(ref, 'retry')]) {
    await expect(asked).rejects.toMatchObject({ code: 'KEY_INVALID' })
  }
  const named = { ...ref, key: 'k' }
  await expect(idempotency.resolve(named, 'again' as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  await expect(idempotency.resolve(named, { codec: 1 } as never)).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  for (const nothing of [undefined, {}, new Map([['value', 1]])]) {
    await expect(idempotency.resolve(named, nothing as never)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      message: "resolve: give 'retry' or { value }",
    })
  }
  const text = { encode: String as never, decode: String }
  for (const noBytes of [{ value: 1n }, { value: () => {} }, { value: 1, codec: text }]) {
    await expect(idempotency.resolve(named, noBytes)).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: 'resolve: "value" has no bytes in its codec',
    })
  }
  await expect(idempotency.resolve({ id: 'k' }, 'retry')).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  await expect(idempotency.stuck({ limit: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  await expect(idempotency.stop({ drain: 'x' as never })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  await expect(idempotency.runOnce({ budget: -1 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
})

test.each([
  ['a name that is none', '', 1, /"name" must be a text/],
  ['a function', 'a', () => {}, /"data" must be JSON/],
  ['a BigInt', 'a', 1n, /"data" must be JSON/],
  ['too much', 'a', 'x'.repeat(300_000), /at most 262144 bytes \(got 3000/],
])('a checkpoint of %s is refused', async (_, name, data, message) => {
  const { idempotency } = orders
  const saving = idempotency.run({ ...good, key: 'checkpoint' }, (x) => x.save(name, data))
  await expect(saving).rejects.toMatchObject({ code: 'INPUT_INVALID', message: expect.stringMatching(message) })
})

test('a store without transactions has no transaction()', async () => {
  const idempotency = createIdempotency({ store: memoryStore() })
  await expect((idempotency as typeof orders.idempotency).transaction(good, orders.place)).rejects.toMatchObject({
    code: 'STORE_NOT_TRANSACTIONAL',
  })
})

test('a reply that cannot be sent leaves nothing', async () => {
  const before = await orders.count()
  const streaming = orders.idempotency.transaction(good, async (tx) => {
    await orders.insert(tx, 'gone')
    return reply(200, new ReadableStream())
  })
  await expect(streaming).rejects.toMatchObject({ code: 'REPLY_INVALID' })
  expect(await orders.count()).toEqual(before)
})
