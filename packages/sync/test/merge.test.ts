import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { canonical, merge, type FieldRules, type RecordState, type StampedOp } from '@keelson/sync'
import { documentOf } from '../src/record.ts'
import { formatStamp } from '../src/stamp.ts'

const at = (ms: number, node = 'n1'): string => formatStamp({ ms, counter: 0, node })
const put = (ms: number, set: StampedOp['set'], o: Partial<StampedOp> = {}): StampedOp => {
  return { t: 'put', h: at(ms), set: set!, ...o }
}
const patch = (ms: number, set: StampedOp['set'], o: Partial<StampedOp> = {}): StampedOp => {
  return { ...put(ms, set, o), t: 'patch' }
}
const del = (ms: number): StampedOp => ({ t: 'delete', h: at(ms) })

/** What is there after these, of which each must have counted. */
function made(...ops: readonly StampedOp[]): RecordState {
  let record: RecordState | undefined
  for (const op of ops) {
    const result = merge(record, op, {})
    if (result.kind !== 'applied') throw new Error(`${op.t} at ${op.h}: ${result.kind}`)
    record = result.record
  }
  return record!
}

/** The kind, then what was lost, then the document. */
function outcome(record: RecordState | undefined, op: StampedOp, rules: FieldRules = {}): readonly unknown[] {
  const result = merge(record, op, rules)
  if (result.kind === 'applied') return ['applied', result.lost, documentOf(result.record)]
  return [result.kind, ...('lost' in result ? [result.lost] : 'code' in result ? [result.code] : [])]
}

describe('the table of the design: ', () => {
  const live = made(put(5, { a: 1, b: 1 }))
  const dead = made(put(5, { a: 1, b: 1 }), del(6))

  test.each<[string, RecordState | undefined, StampedOp, readonly unknown[]]>([
    ['a put creates', undefined, put(5, { a: 1 }), ['applied', [], { a: 1 }]],
    ['a put of nothing creates', undefined, put(5, {}), ['applied', [], {}]],
    ['a put leaves what it does not name', live, put(7, { a: 2 }), ['applied', [], { a: 2, b: 1 }]],
    ['an older put only adds', live, put(4, { a: 2, c: 2 }), ['applied', ['a'], { a: 1, b: 1, c: 2 }]],
    ['a newer put revives, with its own fields', dead, put(7, { a: 2 }), ['applied', [], { a: 2 }]],
    ['an older put revives nothing', dead, put(5, { a: 2 }), ['superseded', ['*']]],
    ['a patch of what is missing creates nothing', undefined, patch(5, { a: 1 }), ['conflict', 'gone']],
    ['a patch of what is deleted revives nothing', dead, patch(9, { a: 1 }), ['conflict', 'gone']],
    ['a patch that comes too late loses', live, patch(4, { a: 2 }), ['superseded', ['a']]],
    ['a patch loses field by field', live, patch(4, { a: 2, c: 3 }), ['applied', ['a'], { a: 1, b: 1, c: 3 }]],
    ['unset writes that it is absent', live, patch(7, {}, { unset: ['a'] }), ['applied', [], { b: 1 }]],
    ['null is a value', live, patch(7, { a: null }), ['applied', [], { a: null, b: 1 }]],
    ['a value that is there already is no loss', live, patch(4, { a: 1 }), ['nothing']],
    ['a newer delete deletes', live, del(6), ['applied', [], {}]],
    ['a delete of the same time loses', live, del(5), ['superseded', ['*']]],
    ['a delete of what is missing is done', undefined, del(5), ['nothing']],
    ['a delete of what is deleted is done', dead, del(9), ['nothing']],
  ])('%s', (_, record, op, expected) => {
    expect(outcome(record, op)).toEqual(expected)
  })

  test('what is older than a deletion stays dead when the record lives again', () => {
    const again = made(put(5, { a: 1 }), del(8), put(9, { b: 1 }))
    expect(outcome(again, patch(7, { a: 2, c: 2 }))).toEqual(['superseded', ['a', 'c']])
  })

  test('a tombstone keeps stamps and no value', () => {
    expect(dead.registers).toEqual({ a: [at(5)], b: [at(5)] })
    expect([dead.h, dead.isDeleted]).toEqual([at(6), true])
  })

  test('a document says what has changed', () => {
    const result = merge(live, patch(7, { a: 1, b: 2, c: 3 }, { unset: ['d'] }), {})
    expect(result).toMatchObject({ kind: 'applied', changed: ['b', 'c'] })
  })

  test('fields may have names that objects have members of', () => {
    expect(outcome(live, patch(4, { constructor: 1, toString: 2 }))).toEqual([
      'applied',
      [],
      { a: 1, b: 1, constructor: 1, toString: 2 },
    ])
    expect(outcome(live, patch(7, { a: 2 }), { toString: 'strict' } as FieldRules)[0]).toBe('applied')
  })
})

describe('a strict field', () => {
  const rules: FieldRules = { budget: 'strict' }
  const live = made(put(5, { budget: 1, title: 'a' }))

  test.each<[string, StampedOp['base'], string]>([
    ['its stamp', { budget: at(5) }, 'applied'],
    ['another stamp of it', { budget: at(4) }, 'conflict'],
    ['no stamp of it', { title: at(5) }, 'conflict'],
    ['the stamp of the record', at(5), 'applied'],
    ['an older stamp of the record', at(4), 'conflict'],
    ['nothing', undefined, 'conflict'],
  ])('with a base of %s', (_, base, kind) => {
    const op = patch(7, { budget: 2, title: 'b' }, base === undefined ? {} : { base })
    expect(outcome(live, op, rules)[0]).toBe(kind)
  })

  test('fails as a whole', () => {
    expect(merge(live, patch(7, { budget: 2, title: 'b' }, { base: at(4) }), rules)).toEqual({
      kind: 'conflict',
      code: 'stale-base',
    })
  })

  test('needs no base where it has never been written', () => {
    expect(outcome(made(put(5, { title: 'a' })), patch(6, { budget: 1 }), rules)[0]).toBe('applied')
  })

  test('that was read takes also a write of an older time, and says so by a stamp of its own', () => {
    const later = made(put(5, { budget: 1 }), patch(9, { title: 'z' }))
    const first = merge(later, patch(6, { budget: 2 }, { base: at(9) }), rules)
    if (first.kind !== 'applied') throw new Error(first.kind)
    expect(first.record.h > at(9)).toBe(true)
    // Who read it before this write has not seen it.
    expect(outcome(first.record, patch(8, { budget: 3 }, { base: at(9) }), rules)).toEqual(['conflict', 'stale-base'])
  })
})

const value = fc.oneof(fc.integer({ min: 0, max: 3 }), fc.constantFrom('', 'a', '\ue000', '😀', null), fc.jsonValue())
const write = fc
  .record({
    t: fc.constantFrom<'put' | 'patch'>('put', 'patch'),
    h: fc.tuple(fc.integer({ min: 10, max: 15 }), fc.constantFrom('a', 'b')).map(([ms, node]) => at(ms, node)),
    set: fc.dictionary(fc.constantFrom('x', 'y', 'z'), value),
    unset: fc.subarray(['w', 'x']),
  })
  .map(({ unset, ...op }) => ({
    ...op,
    unset: unset.filter((field) => !Object.hasOwn(op.set, field)),
  })) as fc.Arbitrary<StampedOp>
const RUNS = { numRuns: process.env['LONG'] === '1' ? 10_000 : 1_000 }

function mergeAll(ops: readonly StampedOp[]): RecordState {
  let record = made(put(1, {}))
  for (const op of ops) {
    const result = merge(record, op, {})
    if (result.kind === 'applied') record = result.record
  }
  return record
}

/** Registers by bytes: names in any order. */
const bytesOf = ({ registers, ...rest }: RecordState): string => canonical({ ...rest, registers })

describe('writes of a live record', () => {
  test('come to the same in any order, and however often they come', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 8 }), fc.func(fc.integer()), (ops, order) => {
        const other = [...ops, ...ops].toSorted((a, b) => order(a) - order(b))
        expect(bytesOf(mergeAll(other))).toBe(bytesOf(mergeAll(ops)))
      }),
      RUNS,
    )
  })

  test('keep of each field the value with the highest stamp', () => {
    fc.assert(
      fc.property(fc.array(write, { maxLength: 8 }), (ops) => {
        const doc = documentOf(mergeAll(ops))
        for (const field of ['x', 'y', 'z']) {
          const of = ops.filter(({ set, unset }) => Object.hasOwn(set!, field) || unset!.includes(field))
          const newest = of
            .map(({ h }) => h)
            .toSorted()
            .at(-1)
          const values = of
            .filter(({ h, set }) => h === newest && Object.hasOwn(set!, field))
            .map(({ set }) => Buffer.from(canonical(set![field]!)))
          const highest = values.toSorted(Buffer.compare).at(-1)?.toString()
          expect(Object.hasOwn(doc, field) ? canonical(doc[field]!) : undefined).toBe(highest)
        }
      }),
      RUNS,
    )
  })
})
