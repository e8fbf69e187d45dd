import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { keyOf, prefix } from '@keelson/cache'
import { encodeKey, type Key } from '../src/key.ts'
import { implicitTags } from '../src/tag.ts'

const part = fc.oneof(fc.string(), fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer())
const key: fc.Arbitrary<Key> = fc.oneof(
  fc.string({ minLength: 1, maxLength: 40 }),
  fc.tuple(part),
  fc.tuple(part, part),
  fc.tuple(part, part, part),
)

describe('keys', () => {
  it('never share an encoding', () => {
    fc.assert(
      fc.property(key, key, (a, b) => {
        fc.pre(JSON.stringify(a) !== JSON.stringify(b))
        expect(encodeKey(a)).not.toBe(encodeKey(b))
      }),
    )
  })

  it.each([
    ['user', ['user']],
    [['1'], [1]],
    [['a', 'b'], ['ab']],
    [['a', 'b'], ['a:b']],
    [['s1:a', 'b'], ['s1:as1:b']],
  ] as [Key, Key][])('%j and %j are two', (a, b) => {
    expect(encodeKey(a)).not.toBe(encodeKey(b))
  })

  it('0 and -0 are one part', () => {
    expect(encodeKey([0])).toBe(encodeKey([-0]))
  })

  it.each([
    ['', 'be 1 to 512 bytes'],
    ['x'.repeat(512), 'be 1 to 512 bytes'],
    ['é'.repeat(256), 'be 1 to 512 bytes'],
    ['\ud800', 'be well-formed text'],
    [[], 'be a string or an array'],
    [[NaN], 'strings or finite numbers'],
    [[Infinity], 'strings or finite numbers'],
    [[undefined], 'strings or finite numbers'],
    [[['a']], 'strings or finite numbers'],
    [undefined, 'be a string or an array'],
    [7, 'be a string or an array'],
  ])('%j is refused', (given, must) => {
    expect(() => encodeKey(given as never)).toThrow(must)
    expect(() => keyOf(given as never)).toThrow(expect.objectContaining({ code: 'KEY_INVALID' }))
  })
})

describe('implicit tags', () => {
  it('are the key, the scope and as many prefixes as are declared', () => {
    const key: Key = ['user', 7, 'orders']
    const tags = (depth: number) => implicitTags(key, encodeKey(key), depth)
    expect(tags(0)).toHaveLength(2)
    expect(tags(0)[0]).toBe(keyOf(key))
    expect(tags(1).slice(2)).toEqual([prefix('user')])
    expect(tags(2).slice(2)).toEqual([prefix('user'), prefix('user', 7)])
  })

  it('of a prefix are not those of a longer word', () => {
    expect(implicitTags(['users', 1], encodeKey(['users', 1]), 4)).not.toContain(prefix('user'))
  })
})
