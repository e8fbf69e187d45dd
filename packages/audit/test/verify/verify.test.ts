import { describe, expect, test } from 'vitest'
import { formatCheckpoint } from '../../src/note/checkpoint.ts'
import { generateKey, parseSigner } from '../../src/note/keys.ts'
import { signNote } from '../../src/note/note.ts'
import { AuditError, openCheckpoint, verifyConsistency, verifyProof } from '../../src/verify/index.ts'
import { openLog } from './log.ts'

const log = openLog()
log.grow(300)
const stranger = generateKey('acme.example/audit').verifier
const keys = [stranger, log.verifier]
const code = (code: string): unknown => expect.objectContaining({ name: 'AuditError', code })

describe('a checkpoint', () => {
  test('is opened with the key of its log', async () => {
    expect(openCheckpoint(await log.checkpoint(), keys)).toEqual({
      origin: 'acme.example/audit',
      size: 300,
      root: await log.root(300),
      signedBy: [log.verifier.split('+').slice(0, 2).join('+')],
    })
  })

  test('is nothing without a signature of its log', async () => {
    const note = await log.checkpoint()
    expect(() => openCheckpoint(note, [stranger])).toThrow(code('STORE_CORRUPT'))
    expect(() => openCheckpoint(note.replace('\n300\n', '\n301\n'), keys)).toThrow(code('STORE_CORRUPT'))
    // Signed by a known key, but by the one of another log.
    const other = generateKey('acme.example/other')
    const text = formatCheckpoint({ origin: 'acme.example/audit', size: 0, root: Buffer.alloc(32) })
    const foreign = signNote(text, [parseSigner('key', other.signer)])
    expect(() => openCheckpoint(foreign, [other.verifier, log.verifier])).toThrow(code('STORE_CORRUPT'))
  })

  test('that is none is refused', () => {
    const { signer, verifier } = generateKey('a')
    const signed = (text: string): string => signNote(text, [parseSigner('key', signer)])
    for (const note of ['', 'a\n1\n', signed('a\n01\nAA==\n'), signed('hello\n'), 7 as never]) {
      expect(() => openCheckpoint(note, [verifier])).toThrow(code('INPUT_INVALID'))
    }
  })

  test('is not opened with keys that are none', async () => {
    const note = await log.checkpoint()
    for (const wrong of [[], ['x'], undefined, 'x', [7], Array<string>(101).fill(stranger)]) {
      expect(() => openCheckpoint(note, wrong as never)).toThrow(code('OPTION_INVALID'))
    }
    expect(() => openCheckpoint(note, [stranger, 'x'])).toThrow(/"keys\[1\]" must/)
  })
})

describe('a proof', () => {
  test('proves its entry, and no other', async () => {
    for (const index of [0, 17, 255, 256, 299]) {
      const proof = await log.proof(index)
      const { checkpoint, ...found } = verifyProof(proof, log.entries[index]!, keys)
      expect(found).toEqual({ index })
      expect(checkpoint).toEqual(openCheckpoint(await log.checkpoint(), keys))
      expect(() => verifyProof(proof, log.entries[index === 0 ? 1 : 0]!, keys)).toThrow(code('STORE_CORRUPT'))
      expect(() => verifyProof(proof.replace(`index ${index}\n`, 'index 300\n'), log.entries[index]!, keys)).toThrow(
        code('STORE_CORRUPT'),
      )
    }
  })

  test('is refused with any bit changed, of it or of the entry', async () => {
    const [proof, bytes] = [Buffer.from(await log.proof(41)), log.entries[41]!]
    for (const flipped of flippedBits(proof)) {
      expect(() => verifyProof(flipped.toString(), bytes, keys)).toThrow(AuditError)
    }
    for (const flipped of flippedBits(bytes)) {
      expect(() => verifyProof(proof.toString(), flipped, keys)).toThrow(code('STORE_CORRUPT'))
    }
  })

  test('that is none is refused', async () => {
    const proof = await log.proof(0)
    for (const none of ['', 'x\n\n', proof.slice(1), 7 as never]) {
      expect(() => verifyProof(none, log.entries[0]!, keys)).toThrow(code('INPUT_INVALID'))
    }
    expect(() => verifyProof(proof, 'bytes' as never, keys)).toThrow(code('INPUT_INVALID'))
    expect(() => verifyProof(proof, log.entries[0]!, [])).toThrow(code('OPTION_INVALID'))
  })
})

describe('consistency', () => {
  const now = async (): Promise<{ size: number; root: string }> => ({ size: 300, root: await log.root(300) })

  test('is proven from every size', async () => {
    for (const size of [0, 1, 7, 256, 299, 300]) {
      verifyConsistency(await log.consistency(size), { size, root: await log.root(size) }, await now())
    }
  })

  test('is refused for another history and for a log that became shorter', async () => {
    const hashes = await log.consistency(100)
    const old = { size: 100, root: await log.root(100) }
    const refused = code('STORE_CORRUPT')
    await expect(async () =>
      verifyConsistency(hashes, { size: 100, root: await log.root(99) }, await now()),
    ).rejects.toThrow(refused)
    await expect(async () => verifyConsistency(hashes, old, { size: 300, root: await log.root(299) })).rejects.toThrow(
      refused,
    )
    await expect(async () => verifyConsistency(hashes.slice(1), old, await now())).rejects.toThrow(refused)
    await expect(async () => verifyConsistency(hashes.toReversed(), old, await now())).rejects.toThrow(refused)
    const shorter = await now()
    expect(() => verifyConsistency([], shorter, old)).toThrow(/the log had 300 entries, and has 100 now/)
  })

  test('of what is no tree or hash is refused', async () => {
    const [hashes, tree] = [await log.consistency(100), await now()]
    for (const wrong of [
      undefined,
      {},
      { size: -1, root: tree.root },
      { size: 1.5, root: tree.root },
      { size: 1, root: 'x' },
    ]) {
      expect(() => verifyConsistency(hashes, wrong as never, tree)).toThrow(code('INPUT_INVALID'))
      expect(() => verifyConsistency(hashes, tree, wrong as never)).toThrow(code('INPUT_INVALID'))
    }
    for (const wrong of ['x', [7], ['AA=='], [`${hashes[0]} `]]) {
      expect(() => verifyConsistency(wrong as never, tree, tree)).toThrow(code('INPUT_INVALID'))
    }
  })
})

function* flippedBits(bytes: Uint8Array): Generator<Buffer> {
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const flipped = Buffer.from(bytes)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    yield flipped
  }
}
