import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { personal } from '../../src/entry/personal.ts'
import { secretNames } from '../../src/entry/secret-names.ts'
import { base, cardNumbers, failure, made, spacedCards } from './support.ts'

const auditOf = (input: object, options = {}) => made(input, options).document['audit'] as Record<string, any>

describe('names of secrets', () => {
  const isSecret = secretNames(['iban'])

  test.each([
    'password',
    'Password',
    'user_PASSWORD_hash',
    'passwd',
    'client-secret',
    'accessToken',
    'Authorization',
    'proxy-authorization',
    'set-cookie',
    'api_key',
    'X-API-Key',
    'apiKey',
    'api key',
    'private_key',
    'PrivateKeyPem',
    'cvv',
    'CVV2',
    'cvc',
    'cvc_2',
    'PIN',
    'track1',
    'Track-2',
    'ＰＡＳＳＷＯＲＤ',
    'I.B.A.N',
    'old_iban',
  ])('%s is one', (name) => {
    expect(isSecret(name)).toBe(true)
  })

  test.each(['pass', 'pinned', 'shipping', 'cvvs', 'track', 'track3', 'key', 'apikind', 'author', ''])(
    '%s is none',
    (name) => {
      expect(isSecret(name)).toBe(false)
    },
  )
})

test('what has the name of a secret is not kept, wherever it is, and not even read', () => {
  const unread = {
    get: () => {
      throw new Error('read')
    },
  }
  const audit = auditOf({
    data: {
      password: 'hunter2',
      login: { api_key: ['k1', 'k2'], user: 'ann' },
      list: [{ pin: 1234 }],
      cookie: null,
      token: undefined,
      secret: new Proxy({}, unread),
      authorization: personal('u_1', 'Bearer x'),
    },
  })
  expect(audit['data']).toEqual({
    password: '[redacted]',
    login: { api_key: '[redacted]', user: 'ann' },
    list: [{ pin: '[redacted]' }],
    cookie: '[redacted]',
    secret: '[redacted]',
    authorization: '[redacted]',
  })
  expect(audit['redacted']).toEqual([
    '/audit/data/password',
    '/audit/data/login/api_key',
    '/audit/data/list/0/pin',
    '/audit/data/cookie',
    '/audit/data/secret',
    '/audit/data/authorization',
  ])
  expect(audit).not.toHaveProperty('sealed')
})

describe('in changes', () => {
  test('a secret is told to differ, and no more', () => {
    const audit = auditOf({
      old: { password: 'a', same: { token: 'x' }, keys: { apiKey: { id: 1, value: 'k' } }, gone: 1 },
      new: {
        password: 'b',
        same: { token: 'x' },
        keys: { apiKey: { id: 1, value: 'l' } },
        added: { name: 'n', pin: 12 },
      },
    })
    expect(audit['changes']).toEqual([
      { path: '/password', changed: true },
      { path: '/keys/apiKey', changed: true },
      { path: '/gone', old: 1 },
      { path: '/added', new: { name: 'n', pin: '[redacted]' } },
    ])
    expect(audit['redacted']).toEqual(['/audit/changes/0', '/audit/changes/1', '/audit/changes/3/new/pin'])
  })

  test('beyond 8 levels, 2 kB and 200 changes values are not told', () => {
    const deep = (value: unknown, levels: number): unknown => (levels === 0 ? value : { a: deep(value, levels - 1) })
    const at = (levels: number) => `/a`.repeat(levels)
    expect(auditOf({ old: deep(1, 8), new: deep(2, 8) })['changes']).toEqual([{ path: at(8), old: 1, new: 2 }])
    expect(auditOf({ old: deep({ b: 1 }, 8), new: deep({ b: 2 }, 8) })['changes']).toEqual([
      { path: at(8), changed: true },
    ])
    expect(auditOf({ old: deep({ b: 1 }, 9), new: deep({ b: 1 }, 9) })).not.toHaveProperty('changes')

    const fits = 'x'.repeat(2_046)
    const changes = auditOf({
      old: { a: fits, b: `${fits}x` },
      new: { a: 1, b: personal('u', `${fits}x`), c: `ü${fits}`.slice(0, -1) },
    })['changes']
    expect(changes).toEqual([
      { path: '/a', old: fits, new: 1 },
      { path: '/c', changed: true },
    ])

    const many = (n: number) => Object.fromEntries(Array.from({ length: n }, (_, i) => [`k${i}`, i]))
    expect(auditOf({ old: {}, new: many(200) })['changes']).toHaveLength(200)
    const over = auditOf({ old: {}, new: many(201) })['changes']
    expect(over).toHaveLength(201)
    expect(over.slice(-2)).toEqual([
      { path: '/k199', new: 199 },
      { path: '', changed: true },
    ])
  })

  test('what is created or removed is told by its members, however large it is', () => {
    const order = { id: 'o_1', lines: Array.from({ length: 40 }, (_, n) => ({ n, text: 'x'.repeat(100) })), pin: 1 }
    const members = [
      { path: '/id', new: 'o_1' },
      { path: '/lines', changed: true },
      { path: '/pin', changed: true },
    ]
    for (const old of [undefined, null]) expect(auditOf({ old, new: order })['changes']).toEqual(members)
    expect(auditOf({ old: { a: 1 } })['changes']).toEqual([{ path: '/a', old: 1 }])
    expect(auditOf({ new: ['x'] })['changes']).toEqual([{ path: '/0', new: 'x' }])
    // Without a member nothing could be told of it.
    expect(auditOf({ new: {} })['changes']).toEqual([{ path: '', new: {} }])
    expect(auditOf({ new: 'x' })['changes']).toEqual([{ path: '', new: 'x' }])
  })

  test('what is left out leaves neither seals nor pointers', () => {
    const long = 'x'.repeat(1_500)
    const audit = auditOf({ old: {}, new: { a: { pin: 1, p: personal('u', long), q: personal('u', long) }, b: 1 } })
    expect(audit['changes']).toEqual([
      { path: '/a', changed: true },
      { path: '/b', new: 1 },
    ])
    expect(audit).not.toHaveProperty('sealed')
    expect(audit).not.toHaveProperty('redacted')
  })
})

test('own names and paths are added to the list', () => {
  const redact = {
    keys: ['ssn'],
    paths: [
      '/audit/data/a/b',
      '/audit/data/list/1',
      '/event/reason',
      '/user/name',
      '/source/ip',
      '/audit/changes/address/street',
      '/http/route',
      '/audit/correlation',
    ],
  }
  const { document, facts } = made(
    {
      actor: { ...base.actor, name: personal('u', 'Ann') },
      reason: 'because',
      where: { ip: '1.2.3.4', route: '/x' },
      data: { a: { b: { c: 1 }, d: 2 }, list: [1, 2, 3], SSN_no: 5 },
      old: { address: { street: 'x', town: 'y' } },
      new: { address: { street: 'z', town: 'w' }, more: 1 },
    },
    { redact },
    { correlationId: 'c' },
  )
  expect(document).toMatchObject({
    event: { reason: '[redacted]' },
    user: { name: '[redacted]' },
    http: { route: '[redacted]' },
    audit: {
      changes: [
        { path: '/address/street', changed: true },
        { path: '/address/town', old: 'y', new: 'w' },
        { path: '/more', new: 1 },
      ],
      data: { a: { b: '[redacted]', d: 2 }, list: [1, '[redacted]', 3], SSN_no: '[redacted]' },
      correlation: '[redacted]',
      redacted: [
        '/event/reason',
        '/user/name',
        '/source/ip',
        '/http/route',
        '/audit/changes/0',
        '/audit/data/a/b',
        '/audit/data/list/1',
        '/audit/data/SSN_no',
        '/audit/correlation',
      ],
    },
  })
  expect(facts.correlationId).toBe('[redacted]')
  // An index has addresses there.
  expect(document).not.toHaveProperty('source')
  expect(document['audit']).not.toHaveProperty('sealed')
  const added = auditOf({ new: { address: { street: 'x', town: 'y' } }, old: {} }, { redact })
  expect(added['changes']).toEqual([{ path: '/address', new: { street: '[redacted]', town: 'y' } }])
})

describe('card numbers', () => {
  test('are cut out of texts, numbers and names, and listed', () => {
    const card = '4111 1111 1111 1111'
    const { document } = made(
      {
        actor: { type: 'user', id: 'u', name: card, roles: ['a', card] },
        target: { type: 'user', id: 'u', name: `x ${card}` },
        reason: `paid with ${card}!`,
        where: { userAgent: card, session: card, requestId: card, method: card, route: `/cards/${card}` },
        old: { a: 4111111111111111, 'c/4111111111111111': 1 },
        new: { a: 4111111111111111n, b: card },
        data: {
          n: 4111111111111111,
          minus: -4111111111111111,
          big: 5555555555554444n,
          '4111111111111111': 1,
          '4111-1111-1111-1111': 2,
          '[pan:1111]': 3,
        },
      },
      {},
      { correlationId: card },
    )
    expect(document).toMatchObject({
      event: { reason: 'paid with [pan:1111]!' },
      user: { name: '[pan:1111]', roles: ['a', '[pan:1111]'] },
      user_agent: { original: '[pan:1111]' },
      http: { request: { id: '[pan:1111]', method: '[pan:1111]' }, route: '/cards/[pan:1111]', session: '[pan:1111]' },
      audit: {
        target: { name: 'x [pan:1111]' },
        changes: [
          { path: '/a', old: '[pan:1111]', new: '[pan:1111]' },
          { path: '/c~1[pan:1111]', old: 1 },
          { path: '/b', new: '[pan:1111]' },
        ],
        data: {
          n: '[pan:1111]',
          minus: '-[pan:1111]',
          big: '[pan:4444]',
          '[pan:1111](2)': 1,
          '[pan:1111](3)': 2,
          '[pan:1111]': 3,
        },
        correlation: '[pan:1111]',
      },
    })
    expect(document['audit'].redacted).toEqual([
      '/event/reason',
      '/user/name',
      '/user/roles/1',
      '/user_agent/original',
      '/http/request/id',
      '/http/request/method',
      '/http/route',
      '/http/session',
      '/audit/target/name',
      '/audit/changes/0/old',
      '/audit/changes/0/new',
      '/audit/changes/1/path',
      '/audit/changes/2/new',
      '/audit/data/n',
      '/audit/data/minus',
      '/audit/data/big',
      '/audit/data/[pan:1111](2)',
      '/audit/data/[pan:1111](3)',
      '/audit/correlation',
    ])
  })

  test.each([
    ['scope', { scope: 'x 4111111111111111' }],
    ['action', { action: 'pay.4111111111111111' }],
    ['actor.id', { actor: { type: 'user', id: '4111-1111-1111-1111' } }],
    ['actor.type', { actor: { type: 'card-4111111111111111', id: 'u' } }],
    ['target.id', { target: { type: 'card', id: '4111 1111 1111 1111' } }],
  ])('in %s refuse the entry, without being told', (field, input) => {
    expect(() => made(input)).toThrow(failure('ENTRY_INVALID', `"${field}" has a card number in it`))
    expect(() => made(input)).not.toThrow(/1111/)
    expect(() => made(input, { redact: { pan: false } })).not.toThrow()
  })

  const places: Record<string, (card: string) => object> = {
    reason: (card) => ({ reason: card }),
    'actor.name': (name) => ({ actor: { ...base.actor, name } }),
    'actor.roles': (role) => ({ actor: { ...base.actor, roles: [role] } }),
    'target.name': (name) => ({ target: { ...base.actor, name } }),
    userAgent: (userAgent) => ({ where: { userAgent } }),
    session: (session) => ({ where: { session } }),
    requestId: (requestId) => ({ where: { requestId } }),
    method: (method) => ({ where: { method } }),
    route: (route) => ({ where: { route } }),
    'a text of data': (card) => ({ data: { deep: [{ a: `<${card}>` }] } }),
    'a name in data': (card) => ({ data: { deep: { [card]: [1] } } }),
    'a secret in data': (card) => ({ data: { pin: card } }),
    'a personal value': (card) => ({ data: { p: personal('u', card) }, old: { p: personal('u', card) } }),
    'an old value': (card) => ({ old: { a: card } }),
    'a new value': (card) => ({ old: { a: 1 }, new: { a: [card] } }),
    'a name in changes': (card) => ({ old: { [card]: { a: 1 } }, new: { [card]: { a: 2 } } }),
    toJSON: (card) => ({ data: { a: { toJSON: () => card } } }),
    scope: (scope) => ({ scope }),
    action: (card) => ({ action: card.replaceAll(' ', '-') }),
    'actor.id': (card) => ({ actor: { type: 'user', id: `c ${card}` } }),
    'target.id': (card) => ({ target: { type: 'card', id: card } }),
    id: (card) => ({ id: card }),
    at: (card) => ({ at: card }),
    outcome: (card) => ({ outcome: card }),
    ip: (card) => ({ where: { ip: card } }),
    'an unknown field': (card) => ({ [card]: 1 }),
    'a place that is refused': (card) => ({ data: { [card]: [NaN] } }),
  }

  test.each(Object.entries(places))('are never in the bytes, nor in errors: %s', (_, input) => {
    fc.assert(
      fc.property(spacedCards, (card) => {
        const digits = card.replaceAll(/\D/g, '')
        let told: string
        try {
          told = made(input(card)).text.replace(/"id":"[0-9a-f-]{36}"/, '')
        } catch (error) {
          told = (error as Error).message
        }
        expect(told).not.toContain(card)
        expect(told.replaceAll(/[ -]/g, '')).not.toContain(digits)
      }),
      { numRuns: 50 },
    )
  })

  test('are numbers too', () => {
    fc.assert(
      fc.property(cardNumbers, fc.boolean(), (digits, big) => {
        const value = big ? BigInt(digits) : Number(digits)
        if (String(value) !== digits) return
        expect(made({ data: { value }, new: { value } }).text).not.toContain(digits)
      }),
    )
  })

  test('stay where the option says so', () => {
    const card = '4111111111111111'
    expect(auditOf({ data: { card } }, { redact: { pan: false } })['data']).toEqual({ card })
  })
})
