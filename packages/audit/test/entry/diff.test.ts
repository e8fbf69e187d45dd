import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { applyDiff, diff } from '../../src/entry/diff.ts'
import { personal } from '../../src/entry/personal.ts'
import { failure } from './support.ts'

const json = fc.jsonValue({ maxDepth: 5 }).map((value) => JSON.parse(JSON.stringify(value)) as unknown)

/** The same document with some places changed. */
const pairs = fc.oneof(
  fc.tuple(json, json),
  fc.tuple(json, fc.func(json), fc.nat({ max: 4 })).map(([a, other, n]) => {
    let left = n
    const b = JSON.parse(JSON.stringify(a), (_, value: unknown) => (left-- === 0 ? other(value) : value)) as unknown
    return [a, b] as [unknown, unknown]
  }),
)

test('applied to one value, its differences from another one make that', () => {
  fc.assert(
    fc.property(pairs, ([a, b]) => {
      const changes = diff(a, b)
      expect(applyDiff(a, changes)).toEqual(b)
      expect(applyDiff(a, JSON.parse(JSON.stringify(changes)))).toEqual(b)
      expect(diff(b, b)).toEqual([])
    }),
    { numRuns: 500 },
  )
})

test('names the place, what was there and what is', () => {
  const a = { name: 'Ann', tags: ['x', 'y', 'z'], a: { b: 1 }, gone: null, 'a/b~c': 1 }
  const b = { name: 'Bea', tags: ['x', 'w'], a: { b: 1 }, 'a/b~c': 2, more: [1] }
  expect(diff(a, b)).toEqual([
    { path: '/name', old: 'Ann', new: 'Bea' },
    { path: '/tags/1', old: 'y', new: 'w' },
    { path: '/tags/2', old: 'z' },
    { path: '/gone', old: null },
    { path: '/a~1b~0c', old: 1, new: 2 },
    { path: '/more', new: [1] },
  ])
  expect(diff([1, 2, 3], [])).toEqual([
    { path: '/2', old: 3 },
    { path: '/1', old: 2 },
    { path: '/0', old: 1 },
  ])
  expect(diff([], [[1], 2])).toEqual([
    { path: '/0', new: [1] },
    { path: '/1', new: 2 },
  ])
  expect(diff(1, { a: 1 })).toEqual([{ path: '', old: 1, new: { a: 1 } }])
  expect(diff({ a: undefined }, {})).toEqual([])
  expect(diff({ at: new Date(0), n: 1n }, { at: '1970-01-01T00:00:00.000Z', n: '1' })).toEqual([])
})

test('takes __proto__ and its like for names', () => {
  const b = JSON.parse('{"__proto__":{"admin":true},"constructor":1,"toString":null}') as unknown
  const changes = diff({}, b)
  expect(changes.map(({ path }) => path)).toEqual(['/__proto__', '/constructor', '/toString'])
  const made = applyDiff({}, changes)
  expect(JSON.stringify(made)).toBe(JSON.stringify(b))
  expect(({} as { admin?: unknown }).admin).toBeUndefined()
  expect(diff(b, {})).toHaveLength(3)
})

test('has no bound of changes', () => {
  const many = Array.from({ length: 5_000 }, (_, i) => ({ i }))
  expect(diff([], many)).toHaveLength(5_000)
})

describe('changes that do not fit are refused', () => {
  test.each([
    ['no pointer', {}, { path: 'a', new: 1 }],
    ['a wrong escape', {}, { path: '/~2', new: 1 }],
    ['nothing on the way', {}, { path: '/a/b', new: 1 }],
    ['a text on the way', { a: 'text' }, { path: '/a/0', new: 1 }],
    ['a member that exists', { a: 1 }, { path: '/a', new: 2 }],
    ['a member that does not', {}, { path: '/a', old: 1, new: 2 }],
    ['a hole', [1], { path: '/2', new: 1 }],
    ['the middle', [1, 2], { path: '/0', old: 1 }],
    ['a leading zero', [1, 2], { path: '/01', old: 2, new: 3 }],
    ['a name in an array', [1], { path: '/length', old: 1, new: 3 }],
    ['the end of an array', [1], { path: '/-', new: 3 }],
    ['no values', { a: 1 }, { path: '/a', changed: true }],
    ['what is inherited', {}, { path: '/constructor/name', old: 'Object', new: 'x' }],
  ] as const)('%s', (_, a, change) => {
    expect(() => applyDiff(a, [change])).toThrow(failure('INPUT_INVALID', 'diff: '))
  })
})

test.each([null, {}, 5, [null], [undefined], ['/a']])('changes that are none are refused: %j', (changes) => {
  expect(() => applyDiff({}, changes as never)).toThrow(failure('INPUT_INVALID', '"changes" must be an array'))
})

test.each([
  ['a cycle', () => Object.assign([] as unknown[], { 0: 1 }).concat([] as unknown[]) && cycle()],
  ['NaN', () => NaN],
  ['a function', () => () => 1],
  ['a Map', () => new Map()],
  ['a personal value', () => ({ a: [personal('u', 1)] })],
])('%s is refused', (_, make) => {
  expect(() => diff({}, make())).toThrow(failure('INPUT_INVALID', 'diff: '))
})

function cycle(): unknown {
  const one: Record<string, unknown> = {}
  one['one'] = one
  return one
}
