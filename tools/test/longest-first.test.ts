import { globSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { LONG, longestFirst } from '../longest-first.ts'

const root = join(import.meta.dirname, '../..')
const files = globSync('{packages,examples,tools,test}/**/*.test.ts', {
  cwd: root,
  exclude: ['**/node_modules'],
}).map((file) => ({ moduleId: join(root, file) }))

test.each(LONG)('%s is a test of this repository', (part) => {
  expect(files.filter(({ moduleId }) => moduleId.includes(part))).not.toEqual([])
})

test('the long files come first, in their order, and none is lost', () => {
  const sorted = longestFirst(files)
  expect(new Set(sorted)).toEqual(new Set(files))
  const places = sorted.map(({ moduleId }) => LONG.findIndex((part) => moduleId.includes(part)))
  const long = places.filter((place) => place !== -1)
  expect(places.slice(0, long.length)).toEqual(long.toSorted((a, b) => a - b))
})
