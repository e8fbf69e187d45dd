import fc from 'fast-check'
import { expect, test } from 'vitest'
import { parseTilePath, tilePath, type TilePath } from '../../src/tree/tile-path.ts'

const PATHS: [string, TilePath][] = [
  ['tile/0/000', { level: 0, index: 0, width: 256 }],
  ['tile/0/x001/234.p/5', { level: 0, index: 1234, width: 5 }],
  ['tile/1/x001/x234/067', { level: 1, index: 1_234_067, width: 256 }],
  ['tile/63/999.p/255', { level: 63, index: 999, width: 255 }],
  ['tile/entries/x001/000.p/1', { level: 'entries', index: 1000, width: 1 }],
  ['tile/0/x009/x007/x199/x254/x740/991', { level: 0, index: Number.MAX_SAFE_INTEGER, width: 256 }],
]

test.each(PATHS)('%s', (path, named) => {
  expect(tilePath(named)).toBe(path)
  expect(parseTilePath(path)).toEqual(named)
})

test('every path is read back', () => {
  fc.assert(
    fc.property(
      fc.oneof(fc.integer({ min: 0, max: 63 }), fc.constant('entries' as const)),
      fc.oneof(fc.nat(3_000), fc.maxSafeNat()),
      fc.integer({ min: 1, max: 256 }),
      (level, index, width) => {
        expect(parseTilePath(tilePath({ level, index, width }))).toEqual({ level, index, width })
      },
    ),
  )
})

test.each([
  '',
  'tile',
  'checkpoint',
  'tile/0',
  'tile/0/',
  'tile/0/1',
  'tile/0/01',
  'tile/0/0000',
  'tile/64/000',
  'tile/00/000',
  'tile/-1/000',
  'tile/data/000',
  'tile/8/0/000',
  '/tile/0/000',
  'tile/0/000/',
  'tile/0/x000/001',
  'tile/0/x001',
  'tile/0/001/x002',
  'tile/0/001/002',
  'tile/0/000.p',
  'tile/0/000.p/',
  'tile/0/000.p/0',
  'tile/0/000.p/256',
  'tile/0/000.p/257',
  'tile/0/000.p/05',
  'tile/0/000.p/-1',
  'tile/0/000.p/1/2',
  'tile/0/x001.p/234',
  'tile/0/000\n',
  '\ntile/0/000',
  'tile/0/00\u0660',
  'tile/0/../000',
  'tile/0/..%2f000',
  'tile/../tile/0/000',
  'tile\\0\\000',
  'tile/0/x009/x007/x199/x254/x740/992',
  'tile/0/x001/x000/x000/x000/x000/x000/000',
  'tile/0/000\0',
  'TILE/0/000',
  'tile/entries/000.p/1e1',
  'tile/entries/000?x',
  'tile/toString/000',
])('%j is no path', (path) => {
  expect(parseTilePath(path)).toBeUndefined()
})

test('a path without end is none', () => {
  expect(parseTilePath(`tile/0/${'x001/'.repeat(100_000)}000`)).toBeUndefined()
})
