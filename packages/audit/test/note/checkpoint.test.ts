import fc from 'fast-check'
import { expect, test } from 'vitest'
import { formatCheckpoint, parseCheckpoint } from '../../src/note/checkpoint.ts'
import { formatProof, parseProof } from '../../src/note/proof.ts'

const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes))
const ROOT = 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='

test('a checkpoint has the lines of its specification', () => {
  const text = `example.com/behind-the-sofa\n20852163\n${ROOT}\n`
  const parsed = {
    origin: 'example.com/behind-the-sofa',
    size: 20_852_163,
    root: Buffer.from(ROOT, 'base64'),
    extensions: [],
  }
  expect(parseCheckpoint(text)).toEqual(parsed)
  expect(formatCheckpoint(parsed)).toBe(text)
  expect(parseCheckpoint(`${text}one\ntwo more\n`)).toEqual({ ...parsed, extensions: ['one', 'two more'] })
})

test('every checkpoint is read back', () => {
  fc.assert(
    fc.property(fc.stringMatching(/^[^\n]+$/), fc.maxSafeNat(), hash, (origin, size, root) => {
      expect(parseCheckpoint(formatCheckpoint({ origin, size, root }))).toEqual({ origin, size, root, extensions: [] })
    }),
  )
})

const NONE: [text: string, about: string][] = [
  ['', 'three lines'],
  ['a\n1\n', 'three lines'],
  [`a\n1\n${ROOT}`, 'three lines'],
  [`\n1\n${ROOT}\n`, 'origin'],
  ...[
    '01',
    '+1',
    '-1',
    '1.0',
    '1e3',
    '',
    ' 1',
    '1 ',
    '0x1',
    '9007199254740992',
    '99999999999999999999',
    'NaN',
    '٣',
  ].map((size): [string, string] => [`a\n${size}\n${ROOT}\n`, 'size'] as const),
  [`a\n1\n${ROOT.slice(0, -1)}\n`, 'root hash'],
  [`a\n1\n${ROOT.replace('2I=', '2J=')}\n`, 'root hash'],
  [`a\n1\n\n`, 'root hash'],
  [`a\n1\nAA==\n`, 'root hash'],
  [`a\n1\n${ROOT}\n\n`, 'empty lines'],
  [`a\n1\n${ROOT}\nx\n\ny\n`, 'empty lines'],
]
test.each(NONE)('%j is no checkpoint', (text, about) => {
  expect(parseCheckpoint(text)).toEqual(expect.stringContaining(about))
})

const CHECKPOINT = `example.com/log\n109482\n${ROOT}\n\n— example.com/log AAAAAAA=\n`

test('a proof has the lines of its specification', () => {
  const text = `c2sp.org/tlog-proof@v1\nindex 73894\n${ROOT}\n${ROOT}\n\n${CHECKPOINT}`
  const parsed = {
    index: 73_894,
    hashes: [Buffer.from(ROOT, 'base64'), Buffer.from(ROOT, 'base64')],
    checkpoint: CHECKPOINT,
  }
  expect(parseProof(text)).toEqual(parsed)
  expect(formatProof(parsed)).toBe(text)
  const [first, ...lines] = text.split('\n')
  expect(parseProof([first, 'extra AAEC', ...lines].join('\n'))).toEqual(parsed)
})

test('every proof is read back', () => {
  fc.assert(
    fc.property(fc.maxSafeNat(), fc.array(hash, { maxLength: 63 }), fc.string(), (index, hashes, checkpoint) => {
      expect(parseProof(formatProof({ index, hashes, checkpoint }))).toEqual({ index, hashes, checkpoint })
    }),
  )
})

test.each([
  ['', 'empty line'],
  ['c2sp.org/tlog-proof@v1\nindex 0\n', 'empty line'],
  [`c2sp.org/tlog-proof@v2\nindex 0\n\n${CHECKPOINT}`, 'must begin'],
  [`c2sp.org/tlog-proof@v1\r\nindex 0\n\n${CHECKPOINT}`, 'must begin'],
  [`c2sp.org/tlog-proof@v1\n\n${CHECKPOINT}`, "'index '"],
  [`c2sp.org/tlog-proof@v1\nindex 00\n\n${CHECKPOINT}`, "'index '"],
  [`c2sp.org/tlog-proof@v1\nindex -1\n\n${CHECKPOINT}`, "'index '"],
  [`c2sp.org/tlog-proof@v1\nindex  1\n\n${CHECKPOINT}`, "'index '"],
  [`c2sp.org/tlog-proof@v1\nextra A\nindex 0\n\n${CHECKPOINT}`, 'extra'],
  [`c2sp.org/tlog-proof@v1\nindex 0\nextra AAEC\n\n${CHECKPOINT}`, 'hashes'],
  [`c2sp.org/tlog-proof@v1\nindex 0\n${ROOT} \n\n${CHECKPOINT}`, 'hashes'],
  [`c2sp.org/tlog-proof@v1\nindex 0\nAA==\n\n${CHECKPOINT}`, 'hashes'],
  [`c2sp.org/tlog-proof@v1\nindex 0\n${`${ROOT}\n`.repeat(65)}\n${CHECKPOINT}`, 'more than 64 hashes'],
  [`c2sp.org/tlog-proof@v1\nindex 0\n\n${'a'.repeat(2_000_000)}`, 'longer'],
])('case %#: no proof', (text, about) => {
  expect(parseProof(text)).toEqual(expect.stringContaining(about))
})
