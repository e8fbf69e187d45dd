import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AuditError, type Facts } from '@keelson/audit'
import { readDocument } from '../../src/entry/document.ts'
import { factsOf } from '../../src/entry/facts.ts'
import { personal } from '../../src/entry/personal.ts'
import { scanFacts } from '../../src/entry/scan-facts.ts'
import { base, failure, made, nowMs, spacedCards, textOf } from './support.ts'

const plain = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => !/\p{Cc}/u.test(text))
const names = fc.oneof(
  fc.constantFrom('__proto__', 'id', 'audit', 'password'),
  fc.string({ unit: 'binary', maxLength: 6 }),
)
const texts = fc.oneof(
  plain,
  spacedCards,
  fc.string({ unit: 'binary', maxLength: 20 }),
  fc.constantFrom('"}}', '\\', ',"seal":{"log":"', '\u2028', '\ud800', '","correlation":"x"}}'),
)
const leafs = fc.oneof(texts, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null))
const { value: json } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    leafs,
    leafs.map((value) => personal('u', value as string)),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(names, tie('value'), { maxKeys: 4 }),
  ),
}))
const objects = fc.dictionary(names, json, { maxKeys: 4 })
const text = fc.oneof(
  texts,
  texts.map((value) => personal('u_9', value)),
)

/** Entries of all kinds; the catalogue, the origin and the context too. */
const entries = fc
  .record(
    {
      scope: plain,
      actor: fc.record(
        { type: fc.constantFrom('user', 'a.b-c'), id: plain, name: text, roles: fc.array(texts, { maxLength: 2 }) },
        { requiredKeys: ['type', 'id'] },
      ),
      target: fc.record(
        { type: fc.constantFrom('user', 'x'), id: plain, name: text },
        { requiredKeys: ['type', 'id'] },
      ),
      action: fc.constantFrom('user.update', 'a', 'cart.item-added'),
      outcome: fc.constantFrom('success', 'failure', 'unknown'),
      reason: text,
      where: fc.record(
        { ip: fc.ipV4(), userAgent: text, session: texts, requestId: texts, method: texts, route: texts },
        { requiredKeys: [] },
      ),
      old: json,
      new: json,
      data: objects,
      at: fc.nat({ max: 253402300799999 }),
    },
    { requiredKeys: ['scope', 'action', 'actor'] },
  )
  .chain((input) =>
    fc.record({
      input: fc.constant(input),
      origin: fc.boolean(),
      context: fc.record(
        {
          correlationId: texts,
          traceparent: fc.constantFrom('00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'),
        },
        { requiredKeys: [] },
      ),
    }),
  )
  .map(({ input, origin, context }) => {
    const options = origin
      ? {
          service: { name: 'api', instance: 'ü"\u2028' },
          host: 'h',
          actions: { a: { category: ['iam'], type: ['user', 'change'] } },
        }
      : {}
    try {
      return made(input, options, context)
    } catch (error) {
      // A subject or an id that is a card number, for example: no bytes, nothing to read.
      if (!(error instanceof AuditError)) throw error
      return undefined
    }
  })

const reference = (bytes: Uint8Array): Facts | undefined => {
  try {
    const { event, organization, user, audit, ...document } = readDocument(bytes)
    const refs = Object.values(audit.sealed ?? {}).map((value) => value.split(':')[1]!)
    return {
      atMs: Date.parse(document['@timestamp']),
      scope: organization.id,
      actorType: audit.actor_type,
      actorId: user.id,
      action: event.action,
      targetType: audit.target?.type ?? null,
      targetId: audit.target?.id ?? null,
      outcome: event.outcome,
      correlationId: audit.correlation ?? null,
      refs: [...new Set(refs)],
    }
  } catch {
    return undefined
  }
}

test('are read from the bytes as the maker told them, without parsing', () => {
  let made = 0
  fc.assert(
    fc.property(entries, (entry) => {
      if (entry === undefined) return
      made++
      expect(factsOf(entry.row.bytes)).toEqual(entry.facts)
      expect(scanFacts(entry.row.bytes)).toEqual(entry.facts)
      expect(entry.text).not.toMatch(/[\n\r\u0085\u2028\u2029]/)
      expect(Buffer.from(entry.text).equals(entry.row.bytes)).toBe(true)
      expect(JSON.stringify(JSON.parse(entry.text)).length).toBeGreaterThan(0)
    }),
    { numRuns: 500 },
  )
  expect(made).toBeGreaterThan(250)
})

test('whatever is altered, the scan says what a parser says, or nothing', () => {
  fc.assert(
    fc.property(
      entries,
      fc.nat(),
      fc.oneof(fc.nat({ max: 255 }), fc.constantFrom(...Buffer.from('{}[]",:\\0'))),
      fc.constantFrom('set', 'cut', 'add', 'twice'),
      (entry, place, byte, how) => {
        if (entry === undefined) return
        const { bytes } = entry.row
        const at = place % bytes.length
        const more =
          how === 'set' ? [byte] : how === 'add' ? [byte, bytes[at]!] : how === 'twice' ? [bytes[at]!, bytes[at]!] : []
        const altered = Buffer.concat([bytes.subarray(0, at), Buffer.from(more), bytes.subarray(at + 1)])
        const expected = reference(altered)
        if (expected === undefined) expect(() => factsOf(altered)).toThrow(failure('STORE_CORRUPT', 'an entry'))
        else expect(factsOf(altered)).toEqual(expected)
      },
    ),
    { numRuns: 3_000 },
  )
})

describe('of foreign bytes', () => {
  const { text: known, facts } = made(
    { target: { type: 'user', id: 'u_9' }, data: { a: [1, { b: 'c' }] }, reason: personal('u', 'x') },
    {},
    { correlationId: 'c' },
  )

  test('with blanks, other orders and new members are parsed', () => {
    const { audit, ...rest } = JSON.parse(known) as Record<string, any>
    for (const other of [
      JSON.stringify(JSON.parse(known), null, 2),
      JSON.stringify({ audit, ...rest }),
      JSON.stringify({ ...rest, audit: { ...audit, more: 1 } }),
    ]) {
      expect(scanFacts(Buffer.from(other))).toBeUndefined()
      expect(factsOf(Buffer.from(other))).toEqual(facts)
    }
  })

  test.each([
    ['nothing', ''],
    ['no JSON', known.slice(0, -1)],
    ['no object', '[1]'],
    ['two', known + known],
    ['no time', known.replace('"@timestamp":"2026', '"@timestamp":"soon')],
    ['a month that is none', known.replace('2026-01-02', '2026-13-02')],
    ['no version', known.replace('"v":1,', '')],
    ['the next version', known.replace('"v":1,', '"v":2,')],
    ['no scope', known.replace('"organization":{"id":"acme"}', '"organization":{"id":""}')],
    ['no actor', known.replace('"user":{"id":"u_17"}', '"user":{}')],
    ['another outcome', known.replace('"success"', '"perhaps"')],
    ['no action', known.replace('"user.update"', '"user update"')],
    ['a target without an id', known.replace('"type":"user","id":"u_9"', '"type":"user"')],
    ['another seal', known.replace('"v1:', '"v2:')],
    ['changes that are none', known.replace('"data":', '"changes":[1],"data":')],
    ['data that is none', known.replace(/"data":.*,"correlation"/, '"data":[],"correlation"')],
  ])('%s: refused', (_, bytes) => {
    expect(() => factsOf(Buffer.from(bytes))).toThrow(failure('STORE_CORRUPT', 'an entry'))
  })

  test('that are not UTF-8: refused', () => {
    const bytes = Buffer.from(known)
    bytes[known.indexOf('acme')] = 0xff
    expect(() => factsOf(bytes)).toThrow(failure('STORE_CORRUPT', 'not UTF-8'))
    expect(() => readDocument(bytes)).toThrow(failure('STORE_CORRUPT', 'not UTF-8'))
  })

  test('deeper than any stack are an answer all the same', () => {
    const deep = (n: number) => Buffer.from(known.replace('"a":[1,', `"a":${'['.repeat(n)}1${']'.repeat(n)},"z":[1,`))
    expect(scanFacts(deep(100))).toEqual(facts)
    expect(scanFacts(deep(100_000))).toBeUndefined()
    for (const n of [1_000, 1_000_000]) {
      let told: unknown
      try {
        told = factsOf(deep(n))
      } catch (error) {
        told = (error as AuditError).code
      }
      expect([facts, 'STORE_CORRUPT']).toContainEqual(told)
    }
  })
})

test('views into larger buffers are read alone', () => {
  const { row, facts } = made({ ...base, at: nowMs })
  const around = Buffer.concat([Buffer.from('xx'), row.bytes, Buffer.from('}}')])
  const view = new Uint8Array(around.buffer, around.byteOffset + 2, row.bytes.length)
  expect(factsOf(view)).toEqual(facts)
  expect(textOf({ ...row, bytes: view })).toBe(textOf(row))
})
