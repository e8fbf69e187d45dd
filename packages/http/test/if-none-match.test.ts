import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { matches } from '../src/caching/if-none-match.ts'
import { withEtag } from '../src/caching/etag.ts'

/** As `fresh` of npm decides (RFC 9110, section 13.1.2), for lists of entity tags alone. */
function isFresh(ifNoneMatch: string, etag: string): boolean {
  if (ifNoneMatch === '*') return true
  const bare = etag.replace(/^W\//, '')
  return ifNoneMatch.split(',').some((one) => one.trim().replace(/^W\//, '') === bare)
}

const opaque = fc.stringMatching(/^[a-c]{0,2}$/)
const tag = fc.tuple(fc.constantFrom('', 'W/'), opaque).map(([weak, text]) => `${weak}"${text}"`)
const space = fc.constantFrom('', ' ', '\t', '  ')
const list = fc
  .array(fc.tuple(space, tag, space), { minLength: 1, maxLength: 4 })
  .map((all) => all.map((one) => one.join('')).join(','))

describe('If-None-Match', () => {
  it('is decided by weak comparison', () => {
    fc.assert(fc.property(list, tag, (given, etag) => matches(given, etag) === isFresh(given, etag)))
  })

  it.each([
    ['*', 'W/"a"', true],
    [' * ', '"a"', true],
    ['"a", *', '"b"', false],
    ['"x,y"', '"x,y"', true],
    ['"x,y"', '"x"', false],
    [', "a",, ', '"a"', true],
    ['', '"a"', false],
    ['a', '"a"', false],
    ['"a', '"a"', false],
    ['"a" "b"', '"a"', false],
    ['w/"a"', '"a"', false],
    ['"a"; "b"', '"a"', false],
    [undefined, '"a"', false],
    ['"a"', undefined, false],
  ] as const)('%o against %o: %o', (given, etag, isMatch) => {
    expect(matches(given, etag)).toBe(isMatch)
  })

  it('is read in a time that grows with its length', () => {
    const long = '"a",'.repeat(4_000)
    for (const given of [`${long}x`, `${','.repeat(16_000)}x`, `${' '.repeat(16_000)}x`, `${', '.repeat(8_000)}x`]) {
      expect(matches(given, '"a"')).toBe(false)
    }
  })
})

describe('ETag', () => {
  const etagOf = (body: Uint8Array): string => withEtag([], body, 'strong')[0]![1]

  it('is equal for equal bytes alone', () => {
    const bytes = fc.uint8Array({ maxLength: 3, max: 2 })
    fc.assert(fc.property(bytes, bytes, (a, b) => (etagOf(a) === etagOf(b)) === (Buffer.compare(a, b) === 0)))
  })

  it('has 128 bits, and the handler’s own wins', () => {
    expect(etagOf(new Uint8Array(0))).toMatch(/^"[\w-]{22}"$/)
    const own = [['etag', '"own"']] as const
    expect(withEtag(own, new Uint8Array(1), 'weak')).toBe(own)
  })
})
