import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generateKey, parseSigner, parseVerifier, type NoteKey } from '../../src/note/keys.ts'
import { noteText, openNote, signNote } from '../../src/note/note.ts'

/** Of the examples of Go's note package. */
const GO_NOTE = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.

— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`
const GO_VERIFIER = parseVerifier('', 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW')

const pairs = ['one', 'two', 'one'].map((name) => generateKey(name))
const signers = pairs.map(({ signer }) => parseSigner('', signer))
const verifiers = pairs.map(({ verifier }) => parseVerifier('', verifier))
const [one, two, sameName] = verifiers as [NoteKey, NoteKey, NoteKey]

test("Go's note is opened", () => {
  expect(openNote(GO_NOTE, [one, GO_VERIFIER])).toEqual({
    kind: 'signed',
    text: GO_NOTE.slice(0, GO_NOTE.indexOf('\n\n') + 1),
    by: [GO_VERIFIER],
  })
})

test('whoever signed is found, others do not matter', () => {
  const text = 'a\n\n— no signature\n\nb\n'
  const note = signNote(text, signers)
  expect(noteText(note)).toBe(text)
  expect(openNote(note, verifiers)).toEqual({ kind: 'signed', text, by: verifiers })
  expect(openNote(note, [sameName])).toEqual({ kind: 'signed', text, by: [sameName] })
  expect(openNote(note, [GO_VERIFIER])).toEqual({ kind: 'unknown' })
  expect(openNote(note, [])).toEqual({ kind: 'unknown' })
  expect(openNote(note, signers)).toEqual({ kind: 'signed', text, by: signers }) // who signs can verify
  expect(openNote(signNote(text, [signers[0]!]), verifiers)).toEqual({ kind: 'signed', text, by: [one] })
})

test('a wrong signature of a known key is worse than none, even beside a good one', () => {
  const [good, other] = [signNote('a\n', [signers[0]!]), signNote('b\n', signers.slice(0, 2))]
  const [, ofOne, ofTwo] = other.split('\n— ')
  expect(openNote(`${good}— ${ofTwo}`, verifiers)).toEqual({ kind: 'forged', key: two })
  expect(openNote(`${good}— ${ofTwo}`, [one])).toMatchObject({ kind: 'signed' })
  expect(openNote(`${good}— ${ofOne}\n`, verifiers)).toEqual({ kind: 'forged', key: one }) // the second of one key
  const id = Buffer.from(two.id, 'hex')
  expect(openNote(`${good}— two ${Buffer.concat([id, Buffer.of(1)]).toString('base64')}\n`, verifiers)).toMatchObject({
    kind: 'forged',
  })
})

test('a note holds 100 signatures, and no more', () => {
  const many = Array.from({ length: 100 }, (_, i) => parseSigner('', generateKey(`log${i}`).signer))
  const note = signNote('a\n', many)
  expect(openNote(note, [many[99]!])).toMatchObject({ kind: 'signed' })
  const line = signNote('a\n', [signers[0]!]).split('\n\n')[1]!
  expect(openNote(note + line, verifiers)).toEqual({
    kind: 'malformed',
    why: 'must not have more than 100 signatures',
  })
})

const line = signNote('a\n', [signers[0]!]).split('\n\n')[1]!
test.each([
  ['', 'must have signatures behind an empty line'],
  ['a\n', 'must have signatures behind an empty line'],
  ['a\n\n', 'must have signatures behind an empty line'],
  [`a\n${line}`, 'must have signatures behind an empty line'],
  [`a\n\n${line.trimEnd()}`, 'must have signatures behind an empty line'],
  [`a\n\n${line}\n`, 'must have signatures behind an empty line'],
  [`a\r\n\n${line}`, 'must be text without control characters'],
  [`a\0\n\n${line}`, 'must be text without control characters'],
  [`a\ud800\n\n${line}`, 'must be text without control characters'],
  [`a\n\n${line}x\n`, "must have signatures as '— <name> <base64>' (line 2 of them is none)"],
  [`a\n\n${line.replace('—', '-')}`, "must have signatures as '— <name> <base64>' (line 1 of them is none)"],
  [`a\n\n${line.replace('one', '')}`, "must have signatures as '— <name> <base64>' (line 1 of them is none)"],
  [`a\n\n${line.replace('one', 'o+e')}`, "must have signatures as '— <name> <base64>' (line 1 of them is none)"],
  [`a\n\n${line.replace('one', 'o\u00a0e')}`, "must have signatures as '— <name> <base64>' (line 1 of them is none)"],
  ['a\n\n— one AAAAAA==\n', "must have signatures as '— <name> <base64>' (line 1 of them is none)"],
  ['a\n\n— one AAAAAAB=\n', "must have signatures as '— <name> <base64>' (line 1 of them is none)"],
  [`${'a'.repeat(1_000_000)}\n\n${line}`, 'must not be longer than 1000000'],
])('case %#: no note', (note, why) => {
  expect(openNote(note, verifiers)).toEqual({ kind: 'malformed', why })
  expect(noteText(note)).toBeUndefined()
})

test('every bit of a note counts', () => {
  const note = Buffer.from(signNote('a text — in two lines\nand ü\n', [signers[0]!]))
  for (let bit = 0; bit < note.length * 8; bit++) {
    const flipped = Buffer.from(note)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    expect(openNote(flipped.toString(), verifiers).kind).not.toBe('signed')
  }
})

test('any text is signed and opened', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (any) => {
      const text = `${any.replaceAll(/\p{Cc}/gu, '\n')}\n`
      expect(openNote(signNote(text, signers), [two])).toEqual({ kind: 'signed', text, by: [two] })
    }),
  )
})
