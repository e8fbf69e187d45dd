import { isIP } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { createEntryMaker } from '../../src/entry/make-entry.ts'
import type { EntryOptions } from '../../src/entry/options.ts'
import { personal } from '../../src/entry/personal.ts'
import { base, failure, id, made, nowMs } from './support.ts'

test('an entry is one document in ECS, its members in one order', () => {
  const { text, row, facts } = made(
    {
      actor: { type: 'service', id: 'billing', name: 'Billing', roles: ['admin', 'ops'] },
      target: { type: 'user', id: 'u_9', name: 'Ann' },
      outcome: 'failure',
      reason: 'she "asked"',
      where: {
        ip: '203.0.113.7',
        userAgent: 'curl/8',
        session: 's_1',
        requestId: 'r_1',
        method: 'PATCH',
        route: '/users/:id',
      },
      old: { name: 'Ann', age: 41, same: [1] },
      new: { name: 'Bea', same: [1], more: {} },
      data: { n: 1.5, ok: true, nothing: null, list: [1, 'ü'] },
      at: '2026-02-03T04:05:06.789+01:00',
    },
    {
      service: { name: 'api', version: '1.2.3', instance: 'api-0' },
      host: 'node-7',
      actions: { 'user.update': { category: ['iam'], type: ['user', 'change'] } },
    },
    {
      correlationId: 'c_1',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    },
  )
  expect(text).toBe(
    '{"@timestamp":"2026-02-03T03:05:06.789Z","ecs":{"version":"9.0.0"},"event":{"id":"' +
      id +
      '","kind":"event","category":["iam"],"type":["user","change"],"action":"user.update","outcome":"failure",' +
      '"reason":"she \\"asked\\""},"organization":{"id":"acme"},"user":{"id":"billing","name":"Billing",' +
      '"roles":["admin","ops"]},"source":{"ip":"203.0.113.7"},"user_agent":{"original":"curl/8"},' +
      '"http":{"request":{"id":"r_1","method":"PATCH"},"route":"/users/:id","session":"s_1"},' +
      '"trace":{"id":"4bf92f3577b34da6a3ce929d0e0e4736"},' +
      '"service":{"name":"api","version":"1.2.3","node":{"name":"api-0"}},"host":{"name":"node-7"},' +
      '"audit":{"v":1,"actor_type":"service","target":{"type":"user","id":"u_9","name":"Ann"},' +
      '"changes":[{"path":"/name","old":"Ann","new":"Bea"},{"path":"/age","old":41},{"path":"/more","new":{}}],' +
      '"data":{"n":1.5,"ok":true,"nothing":null,"list":[1,"ü"]},"correlation":"c_1"}}',
  )
  expect(row).toMatchObject({ id, keys: [] })
  expect(facts).toEqual({
    atMs: Date.UTC(2026, 1, 3, 3, 5, 6, 789),
    scope: 'acme',
    actorType: 'service',
    actorId: 'billing',
    action: 'user.update',
    targetType: 'user',
    targetId: 'u_9',
    outcome: 'failure',
    correlationId: 'c_1',
    refs: [],
  })
})

test('the least is scope, action and actor', () => {
  const { text } = made()
  expect(text).toBe(
    `{"@timestamp":"2026-01-02T03:04:05.678Z","ecs":{"version":"9.0.0"},"event":{"id":"${id}","kind":"event",` +
      '"action":"user.update","outcome":"success"},"organization":{"id":"acme"},"user":{"id":"u_17"},' +
      '"audit":{"v":1,"actor_type":"user"}}',
  )
  expect(made({ data: {}, where: {}, old: { a: 1 }, new: { a: 1 }, target: undefined }).text).toBe(text)
})

test('an id is made where none is given, and the same input makes the same bytes where one is', () => {
  const make = createEntryMaker({})
  const ids = Array.from({ length: 100 }, () => make(base, { nowMs }).row.id)
  expect(new Set(ids).size).toBe(100)
  expect(ids.toSorted()).toEqual(ids)
  expect(made({ data: { a: 1 } }).text).toBe(made({ data: { a: 1 } }).text)
})

describe('the actor', () => {
  const { actor: _, ...noActor } = base
  const make = (principal: object | undefined, input: object = noActor) =>
    createEntryMaker({})(input, {
      nowMs,
      ...(principal === undefined ? {} : { principal: principal as { id: string } }),
    }).facts

  test("is the context's principal where none is given, of type user if it has none", () => {
    expect(make({ id: 'u_1' })).toMatchObject({ actorType: 'user', actorId: 'u_1' })
    expect(make({ id: 'u_1', type: 'robot' })).toMatchObject({ actorType: 'robot', actorId: 'u_1' })
    expect(make({ id: 'u_1' }, base)).toMatchObject({ actorId: 'u_17' })
    const { document } = made({ actor: undefined }, {}, { principal: { id: 'u_1', name: 'Ann', roles: ['a'] } })
    expect(document['user']).toEqual({ id: 'u_1', name: 'Ann', roles: ['a'] })
  })

  test('must be there', () => {
    expect(() => make(undefined)).toThrow(failure('ENTRY_INVALID', '"actor" is required'))
    expect(() => make({ id: '' })).toThrow(failure('ENTRY_INVALID', `"the context's principal.id" must be`))
  })
})

test('what the context has wrong is left out: it keeps no entry from its way', () => {
  for (const correlationId of ['', 'x'.repeat(129), 'a\nb', '\ud800', 7 as unknown as string]) {
    const { facts, document } = made({}, {}, { correlationId, traceparent: 'none' })
    expect(facts.correlationId).toBeNull()
    expect(document).not.toHaveProperty('trace')
    expect(document['audit']).not.toHaveProperty('correlation')
  }
})

describe('refused, with the field, what came and what is allowed', () => {
  test.each([
    ['entry', 'it must be an object (got an array)', []],
    ['scope', /"scope" must be 1 to 128 bytes .* \(got undefined\)/, { scope: undefined }, 'SCOPE_INVALID'],
    ['scope', /"scope" .* and not '\*'/, { scope: '*' }, 'SCOPE_INVALID'],
    ['scope', /"scope" .* \(got a text of 129 characters\)/, { scope: 'x'.repeat(129) }, 'SCOPE_INVALID'],
    ['action', `"action" must be segments`, { action: 'user update' }],
    ['action', `(got 'a..b')`, { action: 'a..b' }],
    ['action', `(got an object)`, { action: {} }],
    ['action', '…', { action: 'x'.repeat(129) }],
    ['outcome', `(got 'ok')`, { outcome: 'ok' }],
    ['actor', '"actor" must be an object (got a text of 4 characters)', { actor: 'u_17' }],
    ['actor.type', '"actor.type" must be 1 to 64', { actor: { type: 'a b', id: 'u' } }],
    ['actor.id', '"actor.id" must be a text of 1 to 256', { actor: { type: 'user', id: 7 } }],
    ['actor.id', '(got a text of 2 characters)', { actor: { type: 'user', id: 'a\n' } }],
    ['actor.name', '"actor.name" must be a text (got number)', { actor: { type: 'user', id: 'u', name: 1 } }],
    ['actor.roles', '"actor.roles" must be an array', { actor: { type: 'user', id: 'u', roles: 'admin' } }],
    ['actor.roles', '"actor.roles" must have texts only', { actor: { type: 'user', id: 'u', roles: [1] } }],
    ['actor.x', 'unknown field "email" of "actor"; allowed are', { actor: { type: 'user', id: 'u', email: 1 } }],
    ['target.id', '"target.id" must be', { target: { type: 'user', id: '' } }],
    ['target.name', '"target.name" must be a text (got null)', { target: { type: 'user', id: 'u', name: null } }],
    ['reason', '"reason" must be a text', { reason: 7 }],
    ['where', '"where" must be an object', { where: null }],
    [
      'where.ip',
      '"where.ip" must be an IPv4 or IPv6 address (got a text of 9 characters)',
      { where: { ip: '1.2.3.256' } },
    ],
    ['where.ip', '"where.ip" must be', { where: { ip: 'fe80::1%eth0' } }],
    ['where.ip', '"where.ip" must be', { where: { ip: personal('u', 'home') } }],
    ['where.x', 'unknown field "city" of "where"', { where: { city: 'x' } }],
    ['data', '"data" must be an object', { data: [1] }],
    ['data', '"data" must be an object', { data: 'text' }],
    ['data', '"data" must be an object', { data: personal('u', 'x') }],
    ['data', '"data/a/0" is NaN', { data: { a: [NaN] } }],
    ['at', `"at" must be a Date`, { at: 'yesterday' }],
    ['at', `"at" must be`, { at: '2026-02-30T00:00:00Z' }],
    ['at', `"at" must be`, { at: '2026-13-01T00:00:00Z' }],
    ['at', `"at" must be`, { at: '2026-01-01T00:00:00' }],
    ['at', `"at" must be`, { at: 1.5 }],
    ['at', `"at" must be`, { at: -1 }],
    ['at', `"at" must be`, { at: new Date(NaN) }],
    ['at', `"at" must be`, { at: 253402300800000 }],
    ['id', `"id" must be a UUIDv7`, { id: 'e2b0c442-98fc-41c1-9fb9-92427ae41e46' }],
    ['id', `"id" must be a UUIDv7`, { id: id.toUpperCase() }],
    ['unknown', 'unknown field "acton"; allowed are scope, action', { acton: 1 }],
    ['__proto__', 'unknown field "__proto__"', JSON.parse('{"__proto__":1}')],
  ] as [string, string | RegExp, object, string?][])('%s: %s', (_, message, input, code = 'ENTRY_INVALID') => {
    const given = Array.isArray(input) ? input : { ...base, ...Object.fromEntries(Object.entries(input)) }
    const all = Object.hasOwn(input, '__proto__') ? Object.assign(JSON.parse('{"__proto__":1}'), base) : given
    expect(() => createEntryMaker({})(all, { nowMs })).toThrow(failure(code, message))
  })

  test.each([null, undefined, 7, 'text'])('%s is no entry', (given) => {
    expect(() => createEntryMaker({})(given, { nowMs })).toThrow(failure('ENTRY_INVALID', 'it must be an object'))
  })

  test('personal values without the option', () => {
    expect(() => createEntryMaker({})({ ...base, reason: personal('u', 'x') }, { nowMs })).toThrow(
      failure('PRIVACY_NOT_CONFIGURED', '"/event/reason"'),
    )
  })
})

test('instants are kept to the millisecond', () => {
  for (const at of [0, nowMs, 253402300799999]) {
    expect(made({ at }).facts.atMs).toBe(at)
    expect(made({ at: new Date(at) }).facts.atMs).toBe(at)
    expect(made({ at: new Date(at).toISOString() }).facts.atMs).toBe(at)
    expect(made({ at }).document['@timestamp']).toBe(new Date(at).toISOString())
  }
  expect(made({}, {}, { nowMs: nowMs + 0.75 }).facts.atMs).toBe(nowMs)
  expect(made({ at: '2024-02-29T23:59:59.5Z' }).facts.atMs).toBe(Date.UTC(2024, 1, 29, 23, 59, 59, 500))
})

describe('the catalogue', () => {
  const actions: NonNullable<EntryOptions['actions']> = {
    'user.update': { data: z.object({ n: z.number().default(7), id: z.string() }) },
    'user.delete': {},
  }

  test('says what data may be, and what it answers is kept', () => {
    expect(made({ data: { id: 'a', extra: 1 } }, { actions }).document['audit'].data).toEqual({ n: 7, id: 'a' })
    expect(() => made({ data: { id: 1 } }, { actions })).toThrow(failure('ENTRY_INVALID', '"data.id" of "user.update"'))
    expect(() => made({}, { actions })).toThrow(failure('ENTRY_INVALID', '"data" of "user.update"'))
  })

  test('that is strict knows all actions but those of the log itself', () => {
    const input = { action: 'user.rename' }
    expect(made(input, { actions }).facts.action).toBe('user.rename')
    expect(() => made(input, { actions, strict: true })).toThrow(failure('ACTION_UNKNOWN', '"user.rename"'))
    expect(made({ action: 'user.delete' }, { actions, strict: true }).facts.action).toBe('user.delete')
    expect(made({ action: 'audit.gap' }, { actions, strict: true }, { own: true }).facts.action).toBe('audit.gap')
    for (const action of ['constructor', '__proto__']) {
      expect(() => made({ action }, { actions, strict: true })).toThrow(failure('ACTION_UNKNOWN', action))
    }
  })

  test('of the log itself is nobody else’s', () => {
    for (const action of ['audit', 'audit.subject.erased', 'audit.gap']) {
      expect(() => made({ action })).toThrow(failure('ENTRY_INVALID', '"action" must not be audit.*'))
      expect(() => made({}, { actions: { [action]: {} } })).toThrow(failure('OPTION_INVALID', '"actions"'))
    }
    expect(made({ action: 'auditor.login' }).facts.action).toBe('auditor.login')
  })

  test('checks at once: what a schema says later harms nobody', async () => {
    const late = (validate: () => Promise<any>) => ({
      'user.update': { data: { '~standard': { version: 1 as const, vendor: 'test', validate } } },
    })
    const options = { actions: late(async () => Promise.reject(new Error('late'))) }
    expect(() => made({ data: {} }, options)).toThrow(failure('ENTRY_INVALID', 'asynchronously'))
    await new Promise((resolve) => setImmediate(resolve))
  })

  test('of a schema that throws, or quotes what it refuses', () => {
    const of = (validate: () => any) => ({
      actions: { 'user.update': { data: { '~standard': { version: 1 as const, vendor: 'test', validate } } } },
    })
    const cause = new Error('boom')
    expect(() =>
      made(
        { data: {} },
        of(() => {
          throw cause
        }),
      ),
    ).toThrow(expect.objectContaining({ code: 'ENTRY_INVALID', cause }))
    const issues = [{ message: 'got 4111 1111 1111 1111', path: ['a', { key: '4111111111111111' }] }]
    expect(() =>
      made(
        { data: {} },
        of(() => ({ issues })),
      ),
    ).toThrow(failure('ENTRY_INVALID', '"data.a.[pan:1111]" of "user.update": got [pan:1111]'))
  })
})

describe('too large', () => {
  test('is an entry of more bytes than allowed, and the largest member is named', () => {
    const fits = made({ reason: 'x'.repeat(65_535 - made({ reason: '' }).row.bytes.length) })
    expect(fits.row.bytes).toHaveLength(65_535)
    const one = (input: object) => () => made({ reason: 'x'.repeat(1_000), ...input })
    expect(one({ reason: `${fits.document['event'].reason}x` })).toThrow(
      failure(
        'ENTRY_TOO_LARGE',
        'it has 65536 bytes, more than "maxEntryBytes" (65535); the largest member is "/event"',
      ),
    )
    expect(one({ data: { small: 1, report: 'ü'.repeat(33_000) } })).toThrow(
      failure('ENTRY_TOO_LARGE', '"/audit/data/report" with 66002'),
    )
    expect(one({ old: [], new: Array.from({ length: 200 }, () => 'x'.repeat(2_000)) })).toThrow(
      failure('ENTRY_TOO_LARGE', '"/audit/changes"'),
    )
    expect(one({ actor: { ...base.actor, roles: Array(9_000).fill('operator') } })).toThrow(
      failure('ENTRY_TOO_LARGE', '"/user"'),
    )
    expect(() => made({ data: { a: 'x'.repeat(600) } }, { maxEntryBytes: 512 })).toThrow(
      failure('ENTRY_TOO_LARGE', '(512)'),
    )
  })

  test('is not even written when it is far too large', () => {
    const huge = 'x'.repeat(50_000_000)
    expect(() => made({ reason: huge })).toThrow(failure('ENTRY_TOO_LARGE', '"reason" alone'))
    expect(() => made({ data: { a: { b: huge } } })).toThrow(failure('ENTRY_TOO_LARGE', '"/audit/data/a" alone'))
    expect(() => made({ data: { list: Array(10_000_000).fill(0) } })).toThrow(
      failure('ENTRY_TOO_LARGE', '"/audit/data/list"'),
    )
    expect(made({ old: { a: huge }, new: { a: `${huge}y` } }).document['audit'].changes).toEqual([
      { path: '/a', changed: true },
    ])
  })
})

describe('options are checked once', () => {
  test.each([
    ['redact.keys', { redact: { keys: ['--'] } }],
    ['redact.paths', { redact: { paths: ['/audit/v'] } }],
    ['redact.paths', { redact: { paths: ['/audit/data'] } }],
    ['redact.paths', { redact: { paths: ['audit/data/x'] } }],
    ['actions', { actions: { 'a b': {} } }],
    ['actions', { actions: { a: { category: 'iam' } } }],
    ['actions', { actions: { a: { schema: 1 } } }],
    ['actions', { actions: { a: { data: {} } } }],
    ['strict', { strict: true }],
    ['privacy', { privacy: { secrets: [] } }],
    ['privacy.secrets', { privacy: { secrets: [], pseudonym: 'x' } }],
    ['maxEntryBytes', { maxEntryBytes: 65_536 }],
    ['service.name', { service: { name: '' } }],
    ['host', { host: 'h-4111111111111111' }],
  ])('%s', (name, options) => {
    expect(() => createEntryMaker(options as EntryOptions)).toThrow(failure('OPTION_INVALID', `"${name}"`))
  })
})

test('addresses are those of net.isIP without zones', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (ip) => {
      expect(isIP(ip)).not.toBe(0)
      expect(made({ where: { ip } }).document['source']).toEqual({ ip })
    }),
  )
})
