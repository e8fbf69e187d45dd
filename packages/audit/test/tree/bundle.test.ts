import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatBundle, parseBundle } from '../../src/tree/bundle.ts'

test('entries are behind their lengths', () => {
  expect(formatBundle([Buffer.from('ab'), Buffer.of(), Buffer.alloc(258, 1)])).toEqual(
    Buffer.concat([Buffer.from([0, 2, 97, 98, 0, 0, 1, 2]), Buffer.alloc(258, 1)]),
  )
  expect(formatBundle([])).toEqual(Buffer.of())
})

test('a bundle is read back; what is cut off is left over', () => {
  const list = fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 10 })
  fc.assert(
    fc.property(list, fc.nat(), (entries, at) => {
      const bundle = formatBundle(entries)
      expect(parseBundle(bundle)).toEqual({ entries: entries.map((each) => Buffer.from(each)), rest: 0 })
      const cut = bundle.subarray(0, at % bundle.length)
      const { entries: whole, rest } = parseBundle(cut)
      expect(whole.length).toBeLessThan(entries.length)
      expect(formatBundle(whole)).toEqual(cut.subarray(0, cut.length - rest))
    }),
  )
})

test('an entry has at most 65,535 bytes', () => {
  const largest = Buffer.alloc(65_535, 1)
  expect(parseBundle(formatBundle([largest]))).toEqual({ entries: [largest], rest: 0 })
  expect(() => formatBundle([Buffer.alloc(65_536)])).toThrow(RangeError)
})
