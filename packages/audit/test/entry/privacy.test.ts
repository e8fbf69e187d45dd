import { randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { EntryKey, Json, Row } from '@keelson/audit'
import { personal } from '../../src/entry/personal.ts'
import { createPrivacy } from '../../src/entry/privacy.ts'
import { createRedaction, type Redaction } from '../../src/entry/redaction.ts'
import { entryOf, openEntry } from '../../src/entry/read-entry.ts'
import { startWriting, written, type Draft } from '../../src/entry/writing.ts'
import { base, failure, id, made, privacy as options } from './support.ts'

const privacy = createPrivacy(options)
const leaf = new Uint8Array(32)
const keysOf = (row: Row): EntryKey[] => row.keys.map((key) => ({ ...key, entry: row.id }))
const read = (row: Row) => entryOf({ leaf: { index: 7 }, bytes: row.bytes }, leaf)
const opened = (row: Row, keys = keysOf(row), by = privacy) => openEntry(read(row), keys, by)

const everywhere = {
  actor: { type: 'user', id: 'u_17', name: personal('u_17', 'Ann Actor') },
  target: { type: 'user', id: 'u_9', name: personal('u_9', 'Tom Target') },
  reason: personal('u_9', 'Rita Reason'),
  where: { ip: personal('u_17', '203.0.113.99'), userAgent: personal('u_17', 'Ursula/1.0') },
  old: { name: personal('u_9', 'Olga Old'), same: personal('u_9', 'Sam Same'), list: [1], deep: {} },
  new: {
    name: personal('u_9', 'Nora New'),
    same: personal('u_9', 'Sam Same'),
    list: [1, personal('u_9', { mail: 'lis@list' })],
    deep: { 'a/b': { c: personal('u_17', ['Dan', 'Deep']), d: 1 } },
  },
  data: {
    a: { b: personal('u_17', 'Ida Inner'), c: 1 },
    list: [1, personal('u_9', true), 3],
    only: { p: personal('u_9', null) },
  },
}
// With what base64 cannot have.
const PLAIN = [
  'Ann Actor',
  'Tom Target',
  'Rita Reason',
  '203.0.113.99',
  'Ursula/1.0',
  'Olga Old',
  'Sam Same',
  'Nora New',
  'lis@list',
  '"Dan"',
  'Ida Inner',
]

describe('personal values', () => {
  const { row, facts, text, document } = made(everywhere)

  test('leave their places free, and are sealed beside', () => {
    expect(document['audit'].changes).toEqual([
      { path: '/name' },
      { path: '/list/1' },
      { path: '/deep/a~1b', new: { d: 1 } },
    ])
    expect(document['audit'].data).toEqual({ a: { c: 1 }, list: [1, null, 3], only: {} })
    expect(Object.keys(document['audit'].sealed)).toEqual([
      '/event/reason',
      '/user/name',
      '/source/ip',
      '/user_agent/original',
      '/audit/target/name',
      '/audit/changes/0/old',
      '/audit/changes/0/new',
      '/audit/changes/1/new',
      '/audit/changes/2/new/c',
      '/audit/data/a/b',
      '/audit/data/list/1',
      '/audit/data/only/p',
    ])
    for (const member of ['source', 'user_agent']) expect(document).not.toHaveProperty(member)
    expect(facts.refs).toEqual([privacy.pseudonym('acme', 'u_9'), privacy.pseudonym('acme', 'u_17')])
    expect(row.keys.map(({ scope, ref }) => [scope, ref])).toEqual(facts.refs.map((ref) => ['acme', ref]))
  })

  test('stand nowhere in the clear', () => {
    const told =
      text +
      inspect({ row, facts, entry: read(row) }, { depth: 9 }) +
      Buffer.concat(row.keys.map((key) => key.wrapped)).toString('latin1')
    for (const plain of PLAIN) expect(told).not.toContain(plain)
  })

  test('come back with their keys', () => {
    const entry = opened(row)
    expect(entry).toMatchObject({
      reason: 'Rita Reason',
      actor: { type: 'user', id: 'u_17', name: 'Ann Actor' },
      target: { type: 'user', id: 'u_9', name: 'Tom Target' },
      where: { ip: '203.0.113.99', userAgent: 'Ursula/1.0' },
      changes: [
        { path: '/name', old: 'Olga Old', new: 'Nora New' },
        { path: '/list/1', new: { mail: 'lis@list' } },
        { path: '/deep/a~1b', new: { c: ['Dan', 'Deep'], d: 1 } },
      ],
      data: { a: { b: 'Ida Inner', c: 1 }, list: [1, true, 3], only: { p: null } },
      sealed: [],
    })
    expect(entry.bytes).toBe(row.bytes)
  })

  test('of one person stay closed when that key is gone', () => {
    const ref = privacy.pseudonym('acme', 'u_9')
    const entry = opened(
      row,
      keysOf(row).filter((key) => key.ref !== ref),
    )
    expect(entry).toMatchObject({ actor: { name: 'Ann Actor' }, data: { a: { b: 'Ida Inner' }, list: [1, null, 3] } })
    expect(entry).not.toHaveProperty('reason')
    expect(entry.sealed).toContain('/event/reason')
    expect(entry.sealed).not.toContain('/user/name')
    for (const plain of ['Tom Target', 'Rita Reason', 'Olga Old'])
      expect(inspect(entry, { depth: 9 })).not.toContain(plain)
    expect(opened(row, []).sealed).toEqual(read(row).sealed)
  })

  test('of any JSON come back as they were', () => {
    const json = fc.jsonValue().map((value) => JSON.parse(JSON.stringify(value)) as Json)
    fc.assert(
      fc.property(json, fc.string({ minLength: 1, unit: 'grapheme' }), (value, name) => {
        const input = { data: { x: { [name]: personal('u_9', value) } } }
        const { row } = made(input, { redact: { pan: false } })
        const key = Object.keys(JSON.parse(Buffer.from(row.bytes).toString()).audit.redacted ?? {}).length
        fc.pre(key === 0)
        expect((opened(row).data['x'] as Record<string, Json>)[name.toWellFormed()]).toEqual(value)
      }),
    )
  })
})

test('changes compare what persons’ values are', () => {
  const change = (old: unknown, now: unknown) => made({ old, new: now }).document['audit'].changes as unknown
  expect(change({ a: personal('u', { b: [1] }) }, { a: personal('u', { b: [1] }) })).toBeUndefined()
  expect(change({ a: personal('u', 'x') }, { a: 'x' })).toBeUndefined()
  // Members of a person's value would tell of it.
  expect(change({ a: personal('u', { mail: 1 }) }, { a: personal('u', { mail: 2 }) })).toEqual([{ path: '/a' }])
  expect(change(personal('u', 1), personal('u', 2))).toEqual([{ path: '' }])
})

describe('keys', () => {
  const { row } = made(everywhere)

  test('are new for each entry, and one for each person in it', () => {
    const again = made(everywhere).row
    expect(row.keys).toHaveLength(2)
    const all = [...row.keys, ...again.keys].map((key) => Buffer.from(key.wrapped).toString('hex'))
    expect(new Set(all).size).toBe(4)
    const other = made({ ...everywhere, id: id.replace(/b$/, 'c') }).row
    expect(() =>
      openEntry(
        read(other),
        keysOf(row).map((key) => ({ ...key, entry: other.id })),
        privacy,
      ),
    ).toThrow(failure('STORE_CORRUPT', 'key that was altered'))
  })

  test('rotate: the first secret wraps, all unwrap', () => {
    const fresh = randomBytes(32).toString('base64')
    const rotated = { ...options, secrets: [fresh, ...options.secrets] }
    expect(opened(row, undefined, createPrivacy(rotated)).reason).toBe('Rita Reason')
    const since = made(everywhere, { privacy: rotated }).row
    expect(opened(since, undefined, createPrivacy(rotated)).reason).toBe('Rita Reason')
    expect(opened(since, undefined, createPrivacy({ ...options, secrets: [fresh] })).reason).toBe('Rita Reason')
    expect(() => opened(since)).toThrow(failure('PRIVACY_NOT_CONFIGURED', 'not in "privacy.secrets"'))
  })

  test('fit one entry, scope and person only', () => {
    const [first, second] = keysOf(row) as [EntryKey, EntryKey]
    const swapped = [
      { ...first, ref: second.ref },
      { ...second, ref: first.ref },
    ]
    expect(() => opened(row, swapped)).toThrow(failure('STORE_CORRUPT', 'altered'))
    expect(
      opened(row, [
        { ...first, entry: 'other' },
        { ...second, scope: 'other' },
      ]).sealed,
    ).toHaveLength(12)
  })
})

test('each byte that is altered is found, and no plaintext is told', () => {
  const { row } = made({ reason: personal('u_9', 'Rita') })
  const [key] = keysOf(row) as [EntryKey]
  const { length } = key.wrapped
  fc.assert(
    fc.property(fc.nat({ max: length - 1 }), fc.integer({ min: 1, max: 255 }), (at, bits) => {
      const wrapped = Buffer.from(key.wrapped)
      wrapped[at]! ^= bits
      expect(() => opened(row, [{ ...key, wrapped }])).toThrow(/altered|unknown version|not in "privacy.secrets"/)
    }),
  )
  const text = Buffer.from(row.bytes).toString()
  const sealed = /"v1:[^:]+:([^"]+)"/.exec(text)![1]!
  for (let at = 0; at < sealed.length - 1; at++) {
    const other = sealed[at] === 'A' ? 'B' : 'A'
    const bytes = Buffer.from(text.replace(sealed, sealed.slice(0, at) + other + sealed.slice(at + 1)))
    expect(() => opened({ ...row, bytes })).toThrow(failure('STORE_CORRUPT', '"/event/reason" was altered'))
  }
  const moved = Buffer.from(text.replace('"/event/reason":', '"/user/name":'))
  expect(() => opened({ ...row, bytes: moved })).toThrow(failure('STORE_CORRUPT', '"/user/name" was altered'))
})

describe('a pseudonym', () => {
  test('is one for each scope and person, and says nothing', () => {
    expect(privacy.pseudonym('acme', 'u_9')).toMatch(/^[A-Za-z0-9_-]{22}$/)
    expect(privacy.pseudonym('acme', 'u_9')).toBe(createPrivacy(options).pseudonym('acme', 'u_9'))
    const others = [
      privacy.pseudonym('acme', 'u_8'),
      privacy.pseudonym('acm', 'eu_9'),
      privacy.pseudonym('other', 'u_9'),
    ]
    const rotated = createPrivacy({ ...options, pseudonym: randomBytes(32).toString('base64') })
    expect(new Set([...others, rotated.pseudonym('acme', 'u_9'), privacy.pseudonym('acme', 'u_9')]).size).toBe(5)
  })

  test('is of a scope and a person', () => {
    expect(() => privacy.pseudonym('', 'u')).toThrow(failure('SCOPE_INVALID', 'scope'))
    expect(() => privacy.pseudonym('acme', 'u\n')).toThrow(failure('INPUT_INVALID', '"subject" must be'))
  })
})

test.each([
  ['no secret', { secrets: [] }, 'privacy.secrets'],
  ['a short one', { secrets: ['c2hvcnQ='] }, 'privacy.secrets[0]'],
  ['one with a blank', { secrets: [options.secrets[0]!, ` ${options.secrets[0]}`] }, 'privacy.secrets[1]'],
  ['a short name', { pseudonym: 'x' }, 'privacy.pseudonym'],
  ['one key for both', { pseudonym: options.secrets[0]! }, 'privacy.pseudonym'],
])('%s is refused, without being told', (_, more, name) => {
  expect(() => createPrivacy({ ...options, ...more })).toThrow(failure('OPTION_INVALID', `"${name}"`))
  expect(() => createPrivacy({ ...options, ...more })).not.toThrow(/c2hv|AQEB/)
})

test.each([
  ['no subject', personal('', 'x'), '"reason" must be a text of 1 to 256'],
  ['a subject with a line break', personal('a\nb', 'x'), '"reason"'],
  ['a copy without a subject', { ...personal('u', 'x'), subject: 7 }, '(got number)'],
  ['what is no text', personal('u', { a: 1 }) as unknown, '"reason" must be a text (got an object)'],
])('%s is refused', (_, reason, message) => {
  expect(() => made({ reason })).toThrow(failure('ENTRY_INVALID', message))
})

test('a personal value inside of another one is refused, and a copy of one is still one', () => {
  const nested = { ...base, data: { a: personal('u', { b: personal('v', 1) as unknown as Json }) } }
  expect(() => made(nested)).toThrow(failure('ENTRY_INVALID', '"data/a/b" is a personal value inside of another one'))
  expect(() => made({ old: nested.data, new: {} })).toThrow(failure('ENTRY_INVALID', 'inside of another one'))
  expect(made({ data: { a: { ...personal('u', 'x') } } }).document['audit'].data).toBeUndefined()
})

test('names inside of a personal value are not remembered, as those of the program are', () => {
  const rules = createRedaction({})
  const asked: [string, boolean | undefined][] = []
  const recorded: Redaction = { ...rules, member: (name, keep) => (asked.push([name, keep]), rules.member(name, keep)) }
  const draft: Draft = { rules: recorded, redacted: [], personal: [], maxText: 1_000 }
  const value = { own: personal('u_9', { 'ann@example.org': [{ 'tom@example.org': 1 }] }), after: 1 }
  written(value, startWriting('data', { draft, at: '/audit/data', rule: '/audit/data', maxText: 1_000 }))
  expect(asked).toEqual([
    ['own', true],
    ['ann@example.org', false],
    ['tom@example.org', false],
    ['after', true],
  ])
  expect(rules.member('ann@example.org', false)).not.toBe(rules.member('ann@example.org', false))
  expect(rules.member('own')).toBe(rules.member('own'))
})
