import { expect, test } from 'vitest'
import { adapterFaults } from '../check/adapters.ts'
import { changesetFaults, packagesIn } from '../check/changesets.ts'
import { exportsOf, isDocumented } from '../check/doc-comments.ts'
import { links } from '../check/links.ts'
import { machineNames } from '../check/machine-names.ts'
import { headingFaults } from '../check/readme-headings.ts'
import { unfinishedMarks } from '../check/unfinished-marks.ts'

test('a declaration without a comment in front of it is not documented', () => {
  const source = `/** Says what it is. */\nexport function said(): void {}\n\nexport const silent = 1\nexport type Silent = 1\n`
  expect(['said', 'silent', 'Silent'].map((name) => isDocumented(source, name))).toEqual([true, false, false])
})

test('a comment that is no doc comment, or stands elsewhere, documents nothing', () => {
  const source = `/** Of the file. */\n\nexport const far = 1\n/* Plain. */\nexport let plain = 1\n/** Of overloads, the first. */\nexport function over(): void\nexport function over(a?: 1): void {}\n`
  expect(['far', 'plain', 'over', 'absent'].map((name) => isDocumented(source, name))).toEqual([
    false,
    false,
    true,
    true,
  ])
})

test('an exported name is followed to its declaration through lists, stars and local lists', () => {
  const files: Record<string, string> = {
    'src/index.ts': `export * from './a.ts'\nexport { b as c, type B } from './lists.ts'\nexport { reply } from '@keelson/kernel'\n`,
    'src/a.ts': `export const a = 1\nexport async function* rows() {}\n`,
    'src/lists.ts': `export { b } from './deep/b.ts'\ninterface B {}\nexport type { B }\n`,
    'src/deep/b.ts': `export abstract class b {}\n`,
  }
  expect(Object.fromEntries(exportsOf('src/index.ts', (file) => files[file]!))).toEqual({
    a: { name: 'a', file: 'src/a.ts' },
    rows: { name: 'rows', file: 'src/a.ts' },
    B: { name: 'B', file: 'src/lists.ts' },
    c: { name: 'b', file: 'src/deep/b.ts' },
  })
})

test('a link to a missing file or heading is found; one in code is no link', () => {
  const text = [
    '# One',
    '## Of `two`, three',
    '## One',
    '[a](b.md) [b](docs/b.md#there) [c](docs/b.md#not-there) [d](docs "t") [e](#one-1) [f](#one-2)',
    '[g](#of-two-three) [h](gone.md "title") `[i](gone.md)` [j](https://host/x)',
    '```md',
    '## Fenced',
    '[k](gone.md)',
    '```',
    '[l](#fenced)',
    '[m]: gone-too.md',
  ].join('\n')
  const files = [
    { path: 'README.md', text },
    { path: 'docs/b.md', text: '# There\n[up](../README.md#one) [gone](README.md)' },
  ]
  expect(links(files)).toEqual([
    'README.md: b.md',
    'README.md: docs/b.md#not-there',
    'README.md: #one-2',
    'README.md: gone.md',
    'README.md: #fenced',
    'README.md: gone-too.md',
    'docs/b.md: README.md',
  ])
})

test('a changed package needs a changeset, and a changeset a package', () => {
  const body = (name: string) => packagesIn(`---\n'${name}': minor\n---\n\nMentions '@keelson/http'.\n`)
  expect(body('@keelson/kernel')).toEqual(['@keelson/kernel'])
  const named = new Map([
    ['.changeset/a.md', body('@keelson/kernel')],
    ['.changeset/b.md', body('@keelson/kernal')],
    ['.changeset/c.md', packagesIn('no head')],
  ])
  const all = ['@keelson/kernel', '@keelson/http', '@keelson/idempotency']
  expect(changesetFaults(named, all, ['@keelson/kernel', '@keelson/http'])).toEqual([
    '@keelson/http changed without a changeset',
    '.changeset/b.md names @keelson/kernal, which is not published',
    '.changeset/c.md names no package',
  ])
  expect(changesetFaults(new Map(), all, [])).toEqual([])
})

test('unfinished marks and tests that do not run are found with their line', () => {
  // In two parts, or the check would find this file.
  const [mark, skipped] = ['TO', 'it.'].map((start, i) => start + ['DO', 'skip'][i]!)
  const text = ['// all done', `// ${mark} later`, `${skipped}('x')`, 'const mastodon = 1'].join('\n')
  expect(unfinishedMarks([{ path: 'packages/a/test/a.ts', text }])).toEqual([
    `packages/a/test/a.ts:2: // ${mark} later`,
    `packages/a/test/a.ts:3: ${skipped}('x')`,
  ])
  expect(unfinishedMarks([{ path: 'README.md', text }])).toEqual([])
})

test.each(['it.concurrent.SKIP(', 'describe.SKIP.each([1])(', 'test.SKIPIf(x)(', 'ctx.SKIP('])(
  '%s does not run',
  (call) => {
    // `SKIP`, or the check would find this file.
    const text = call.replace('SKIP', ['sk', 'ip'].join(''))
    expect(unfinishedMarks([{ path: 'packages/a/test/a.test.ts', text }])).toHaveLength(1)
    expect(unfinishedMarks([{ path: 'packages/a/src/a.ts', text }])).toEqual([])
  },
)

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
  const markdown = headings.map((heading) => `## ${heading}\n\n\`\`\`sh\n## no heading\n\`\`\`\n`).join('')
  expect(headingFaults(markdown)).toEqual([])
})

test('a missing, misplaced or invented heading is named', () => {
  expect(headingFaults('## Install\n## Guarantees\n## Ten lines\n## Thanks\n')).toEqual([
    "no heading 'Errors'",
    "heading 'Thanks' stands before Operating",
    "heading 'Ten lines' is out of order",
    "heading 'Thanks' is out of order",
  ])
})

test('an adapter has at most 250 lines of code, all files together, comments and blank lines not counted', () => {
  const code = (lines: number): string => `${'/** Says\n * why. */\n\n  // Here.\n'.repeat(50)}${'a()\n'.repeat(lines)}`
  const files = [
    { path: 'packages/adapters-x/src/a.ts', text: code(125) },
    { path: 'packages/adapters-x/src/deep/b.ts', text: code(125) },
    { path: 'packages/adapters-x/test/a.test.ts', text: code(125) },
    { path: 'packages/adapters-y/src/a.ts', text: code(251) },
    { path: 'packages/http/src/a.ts', text: code(251) },
  ]
  expect(adapterFaults(files)).toEqual(['packages/adapters-y: 251 lines of code, at most 250'])
})

test('a status or the name of a header in an adapter is a rule in the wrong place', () => {
  const rules = [
    'status: 404',
    'send(503)',
    "get('Content-Type')",
    '"x-own"',
    "'vary'",
    "'Idempotency-Key'",
    '`location`',
  ]
  const others = [
    '12',
    '1_000',
    '4040',
    "'express 5.404'",
    'content',
    "'date of birth'",
    '/* 404 */',
    "'x'",
    'a.vary()',
  ]
  const text = [...rules, ...others].join('\n')
  expect(adapterFaults([{ path: 'packages/adapters-x/src/a.ts', text }])).toEqual(
    rules.map((rule, i) => `packages/adapters-x/src/a.ts:${i + 1}: belongs into http: ${rule}`),
  )
})
