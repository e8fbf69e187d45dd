import { createHash, sign as signBytes, verify as verifyBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { generateKey, parseSigner, parseVerifier, verifierText } from '../../src/note/keys.ts'

/** Of the examples of Go's note package. */
const GO_SIGNER = 'PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz'
const GO_VERIFIER = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'

test("Go's keys are read, and belong together", () => {
  const [signer, verifier] = [parseSigner('key', GO_SIGNER), parseVerifier('key', GO_VERIFIER)]
  expect(signer).toMatchObject({ name: 'PeterNeumann', id: 'c74f20a3' })
  expect(verifier).toMatchObject({ name: 'PeterNeumann', id: 'c74f20a3' })
  expect(verifierText(signer)).toBe(GO_VERIFIER)
  expect(verifierText(verifier)).toBe(GO_VERIFIER)
  expect(verifyBytes(null, Buffer.from('x'), verifier.key, signBytes(null, Buffer.from('x'), signer.key))).toBe(true)
})

test('a key that was read is kept', () => {
  expect(parseSigner('key', GO_SIGNER)).toBe(parseSigner('other', GO_SIGNER))
  expect(parseVerifier('key', GO_VERIFIER)).toBe(parseVerifier('key', GO_VERIFIER))
  for (let i = 0; i < 150; i++) parseVerifier('key', generateKey(`log${i}`).verifier)
  expect(parseVerifier('key', GO_VERIFIER)).toMatchObject({ id: 'c74f20a3' })
})

test('new keys are written as Go writes them, each another one', () => {
  const pairs = [generateKey('acme.example/audit'), generateKey('acme.example/audit')]
  expect(pairs[0]!.signer).not.toBe(pairs[1]!.signer)
  for (const { signer, verifier } of pairs) {
    const [, id, seed] = /^PRIVATE\+KEY\+acme\.example\/audit\+([\da-f]{8})\+([\w+/]{44})$/.exec(signer)!
    const [, sameId, open] = /^acme\.example\/audit\+([\da-f]{8})\+([\w+/]{44})$/.exec(verifier)!
    expect(Buffer.from(seed!, 'base64')).toHaveLength(33)
    expect(sameId).toBe(id)
    const hash = createHash('sha256').update('acme.example/audit\n').update(Buffer.from(open!, 'base64'))
    expect(hash.digest('hex').slice(0, 8)).toBe(id)
    expect(verifierText(parseSigner('key', signer))).toBe(verifier)
  }
})

test.each(['', 'a b', 'a+b', 'a\u00a0b', 'a\u2003b', 'a\u0085b', 'a\nb', 'a\u0001b', 'a\ud800', 42 as never])(
  '%j is no name of a key',
  (name) => {
    expect(() => generateKey(name)).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining('"name" must be a text') }),
    )
  },
)

const { signer, verifier } = generateKey('log')
const bytes = (...parts: number[]): string => Buffer.from(parts).toString('base64')

test.each([
  [undefined, 'must be a string'],
  ['', "must begin with 'PRIVATE+KEY+', as generateKey writes a signer"],
  [verifier, "must begin with 'PRIVATE+KEY+', as generateKey writes a signer"],
  ['PRIVATE+KEY+log', "must have a name, an id and a key between '+'"],
  ['PRIVATE+KEY+log+00000000', "must have a name, an id and a key between '+'"],
  ['PRIVATE+KEY+lo g+00000000+AA==', expect.stringMatching(/^must have as its name a text without spaces/)],
  ['PRIVATE+KEY++00000000+AA==', expect.stringMatching(/^must have as its name a text without spaces/)],
  ['PRIVATE+KEY+log+0000000+AA==', 'must have an id of 8 hexadecimal digits in lower case'],
  ['PRIVATE+KEY+log+0000000A+AA==', 'must have an id of 8 hexadecimal digits in lower case'],
  ['PRIVATE+KEY+log+00000000+AA', 'must have its key in base64, padded'],
  ['PRIVATE+KEY+log+00000000+AB==', 'must have its key in base64, padded'],
  [`${signer}\n`, 'must have its key in base64, padded'],
  ['PRIVATE+KEY+log+00000000+', 'must be an Ed25519 key: algorithm 1'],
  [`PRIVATE+KEY+log+00000000+${bytes(4, ...Array<number>(32).fill(0))}`, 'must be an Ed25519 key: algorithm 1'],
  [`PRIVATE+KEY+log+00000000+${bytes(1, 2, 3)}`, 'must have a key of 32 bytes (has 2)'],
  [signer.replace('+log+', '+other+'), 'has an id that is not of its name and key'],
])('as a signer, %j is refused', (text, told) => {
  expect(() => parseSigner('', text)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  const message = ((): string => {
    try {
      parseSigner('"key"', text)
    } catch (error) {
      return (error as Error).message
    }
    return ''
  })()
  expect(message.slice('"key" '.length)).toEqual(told)
  if (typeof text === 'string' && text.length > 40) expect(message).not.toContain(text.slice(-40))
})

test.each([
  [signer, 'must be a verifier, not a signer'],
  [verifier.replace('log', 'other'), 'has an id that is not of its name and key'],
  [`${verifier}=`, 'must have its key in base64, padded'],
  [7, 'must be a string'],
])('as a verifier, %j is refused', (text, told) => {
  expect(() => parseVerifier('"keys[0]"', text)).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID', message: `"keys[0]" ${told}` }),
  )
})

test('every bit of a key counts', () => {
  for (const [text, parse] of [
    [signer, parseSigner],
    [verifier, parseVerifier],
  ] as const) {
    for (let bit = 0; bit < text.length * 8; bit++) {
      const flipped = Buffer.from(text)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => parse('key', flipped.toString('latin1'))).toThrow(
        expect.objectContaining({ code: 'OPTION_INVALID' }),
      )
    }
  }
})
