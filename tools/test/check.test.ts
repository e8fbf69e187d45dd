import { expect, test } from 'vitest'
import { isDocumented } from '../check/doc-comments.ts'
import { machineNames } from '../check/machine-names.ts'
import { headingFaults } from '../check/readme-headings.ts'
import { unfinishedMarks } from '../check/unfinished-marks.ts'

test('a declaration without a comment in front of it is not documented', () => {
  const source = `/** Says what it is. */\nexport function said(): void {}\n\nexport const silent = 1\nexport type Silent = 1\n`
  expect(['said', 'silent', 'Silent'].map((name) => isDocumented(source, name))).toEqual([true, false, false])
})

test('unfinished marks and tests that do not run are found with their line', () => {
  // In two parts, or the check would find this file.
  const [mark, skipped] = ['TO', 'it.'].map((start, i) => start + ['DO', 'skip'][i]!)
  const text = ['// all done', `// ${mark} later`, `${skipped}('x')`, 'const mastodon = 1'].join('\n')
  expect(unfinishedMarks([{ path: 'packages/a/src/a.ts', text }])).toEqual([
    `packages/a/src/a.ts:2: // ${mark} later`,
    `packages/a/src/a.ts:3: ${skipped}('x')`,
  ])
  expect(unfinishedMarks([{ path: 'README.md', text }])).toEqual([])
})

test('paths of a machine and hosts of registries are found', () => {
  const files = [
    { path: 'a.ts', text: "open('/home/anna/x')\nopen('/tmp/x')\nget('https://host/work/x')" },
    { path: 'pnpm-lock.yaml', text: 'resolution: {tarball: https://registry/x.tgz}\nresolution: {integrity: sha512}' },
  ]
  expect(machineNames(files)).toEqual([
    "a.ts:1: open('/home/anna/x')",
    'pnpm-lock.yaml:1: resolution: {tarball: https://registry/x.tgz}',
  ])
})

test.each([
  ['Install', 'Ten lines', 'Guarantees', 'Options', 'Stores', 'Errors', 'Operating', 'Thanks'],
  ['Install', 'Ten lines', 'Guarantees', 'Errors'],
])('headings in order pass: %s ..', (...headings) => {
  expect(headingFaults(headings.map((heading) => `## ${heading}\n`).join(''))).toEqual([])
})

test('a missing, misplaced or invented heading is named', () => {
  expect(headingFaults('## Install\n## Guarantees\n## Ten lines\n## Thanks\n')).toEqual([
    "no heading 'Errors'",
    "heading 'Thanks' stands before Operating",
    "heading 'Ten lines' is out of order",
    "heading 'Thanks' is out of order",
  ])
})
