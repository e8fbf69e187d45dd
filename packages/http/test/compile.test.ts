import { PGlite } from '@electric-sql/pglite'
import { describe, expect, it } from 'vitest'
import { createHttp, type HttpOptions, type RoutePolicy } from '@keelson/http'

const db = new PGlite()
const notAsked = (): Promise<never> => Promise.reject(new Error('not asked'))
const idempotency = { run: notAsked, transaction: notAsked }
const all: HttpOptions = { db, idempotency, scope: () => 'm1' }

describe('a policy is refused when it is compiled', () => {
  it.each<[string, unknown, HttpOptions, RegExp]>([
    ['an unknown rule', { idempotant: {} }, all, /unknown option "idempotant"; did you mean "idempotent"\?/],
    ['a rule of a later version', { witnessed: {} }, all, /unknown option "witnessed"/],
    ['no object', 'transactional', all, /options must be an object \(got 'transactional'\)/],
    [
      'transactional without db',
      { transactional: true },
      { idempotency },
      /"transactional" needs createHttp\(\{ db \}\)/,
    ],
    ['transactional that is no boolean', { transactional: 1 }, all, /"transactional" must be true or false \(got 1\)/],
    [
      'idempotent alone without a core',
      { idempotent: {} },
      { scope: () => 'm1' },
      /needs createHttp\(\{ idempotency \}\)/,
    ],
    [
      'a core without transaction()',
      { idempotent: {}, transactional: true },
      { ...all, idempotency: { run: notAsked } },
      /"idempotent" with "transactional" needs .* postgresStore/,
    ],
    [
      'a core on a store without transactions',
      { idempotent: {}, transactional: true },
      { ...all, idempotency: { ...idempotency, transactional: false } },
      /"idempotent" with "transactional" needs .* postgresStore/,
    ],
    ['a preset', { idempotent: { preset: 'stripe' } }, all, /"preset" must be 'stripeV1' \(got 'stripe'\)/],
    [
      'a preset with transactional',
      { idempotent: { preset: 'stripeV1' }, transactional: true },
      all,
      /"preset" is not for a transactional route/,
    ],
    [
      'no core',
      { idempotent: {}, transactional: true },
      { db, scope: () => 'm1' },
      /needs createHttp\(\{ idempotency \}\)/,
    ],
    ['no scope', { idempotent: {}, transactional: true }, { db, idempotency }, /"scope" is required.*write 'public'/],
    [
      'a bad scope',
      { idempotent: { scope: '' }, transactional: true },
      all,
      /"scope" must be a scope of 1 to 128 bytes/,
    ],
    [
      'an unknown member',
      { idempotent: { ttl: '1h' }, transactional: true },
      all,
      /policy: idempotent: unknown option "ttl"/,
    ],
    ['a bad header', { idempotent: { header: 'a b' }, transactional: true }, all, /"header" must be .* \(got 'a b'\)/],
    [
      'a bad duration',
      { idempotent: { retain: '1y' }, transactional: true },
      all,
      /"retain" must be a Duration .* \(got '1y'\)/,
    ],
    ['a bad wait', { idempotent: { wait: -1 }, transactional: true }, all, /"wait" must be a Duration .* \(got -1\)/],
    [
      'a bad fingerprint',
      { idempotent: { fingerprint: 'md5' }, transactional: true },
      all,
      /'raw', 'json' or a function \(got 'md5'\)/,
    ],
    [
      'a bad operation',
      { idempotent: { operation: 'a\n' }, transactional: true },
      all,
      /"operation" must be 1 to 512 characters/,
    ],
    [
      'header and key',
      { idempotent: { header: 'x-k', key: () => 'k' }, transactional: true },
      all,
      /"header" or "key", not both/,
    ],
  ])('%s', (_, policy, options, message) => {
    const compile = (): unknown => createHttp(options).compile(policy as RoutePolicy)
    expect(compile).toThrow(expect.objectContaining({ name: 'HttpError', code: 'OPTION_INVALID' }))
    expect(compile).toThrow(message)
  })

  it('and is kept when it is right', () => {
    const policy = { idempotent: { required: true, retain: '7d', wait: 0 }, transactional: true } as const
    const route = createHttp(all).compile(policy)
    expect(route.policy).toBe(policy)
    expect(route.transact).toBeTypeOf('function')
    expect(createHttp(all).compile({})).not.toHaveProperty('transact')
    const { run } = idempotency
    expect(createHttp({ ...all, idempotency: { run } }).compile({ idempotent: {} })).not.toHaveProperty('transact')
  })
})

describe('createHttp refuses', () => {
  it.each<[string, unknown, RegExp]>([
    ['an unknown option', { idempotence: idempotency }, /unknown option "idempotence"/],
    ['a client as db', { db: { connect: () => {}, query: () => {} } }, /createHttp: .*pass a Pool/],
    ['a wrong core', { idempotency: {} }, /"idempotency" must be an object with run\(\)/],
    [
      'a pattern without anchors',
      { correlation: { accept: /[a-z]+/ } },
      /"correlation.accept" must be a RegExp from \^ to \$/,
    ],
    [
      'a pattern with an escaped end',
      { correlation: { accept: /^[a-z]+\$/ } },
      /"correlation.accept" must be a RegExp/,
    ],
    ['a pattern with a memory', { correlation: { accept: /^[a-z]+$/g } }, /"correlation.accept" must be a RegExp/],
    ['a pattern by lines', { correlation: { accept: /^[a-z]+$/m } }, /"correlation.accept" must be a RegExp/],
    ['a pattern as text', { correlation: { accept: '^a$' } }, /"correlation.accept" must be a RegExp/],
    ['a header’s name', { correlation: { header: 'x:y' } }, /"correlation.header" must be/],
    [
      'problems',
      { problems: { details: 'sometimes' } },
      /"problems.details" must be 'development' or 'never' or 'always'/,
    ],
    ['a size', { maxRawBody: 0 }, /"maxRawBody" must be an integer from 1/],
    ['another size', { maxStoredBytes: -1 }, /"maxStoredBytes" must be an integer from 0/],
    ['retries', { transaction: { retries: -1 } }, /"transaction.retries" must be an integer/],
  ])('%s', (_, options, message) => {
    const create = (): unknown => createHttp(options as HttpOptions)
    expect(create).toThrow(expect.objectContaining({ name: 'HttpError', code: 'OPTION_INVALID' }))
    expect(create).toThrow(message)
  })
})
