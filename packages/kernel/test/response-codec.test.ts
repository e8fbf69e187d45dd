import fc from 'fast-check'
import { expect, test } from 'vitest'
import { isKeelsonError, responseCodec, type StoredResponse } from '../src/index.ts'

const RUNS = process.env['LONG'] === '1' ? 10_000 : 500

// Any well-formed text: a store may have been filled by a later version with other rules for headers.
const text = fc.string({ unit: 'binary', maxLength: 40 }).filter((value) => value.isWellFormed())
const responses: fc.Arbitrary<StoredResponse> = fc.record({
  status: fc.integer({ min: 200, max: 599 }),
  headers: fc.array(fc.tuple(text, text), { maxLength: 6 }),
  body: fc.uint8Array({ maxLength: 300 }),
})

test('decode gives back what encode took: any bytes, headers in order, case and repeats', () => {
  fc.assert(
    fc.property(responses, (response) => {
      expect(responseCodec.decode(responseCodec.encode(response))).toEqual(response)
    }),
    { numRuns: RUNS },
  )
})

test('a byte order mark at the start of a header stays', () => {
  const response = { status: 200, headers: [['X', '\ufeffa']] as const, body: new Uint8Array() }
  expect(responseCodec.decode(responseCodec.encode(response))).toEqual(response)
})

test('the layout of version 1 does not move: stores hold it', () => {
  const response = { status: 201, headers: [['X', 'é']] as const, body: Buffer.from('hi') }
  expect(Buffer.from(responseCodec.encode(response)).toString('hex')).toBe(
    ['0100c90001', '000158', '00000002c3a9', '6869'].join(''),
  )
})

test('the body is a copy: it outlives the buffer that it came in', () => {
  const stored = Buffer.from(responseCodec.encode({ status: 200, headers: [], body: Buffer.from('tea') }))
  const { body } = responseCodec.decode(stored)
  stored.fill(0)
  expect(Buffer.from(body).toString()).toBe('tea')
})

/** Decodes damaged bytes: a value or ANSWER_CORRUPT, nothing else. */
function decodeOrCorrupt(bytes: Uint8Array): void {
  try {
    const { status, headers, body } = responseCodec.decode(bytes)
    expect([typeof status, Array.isArray(headers), body instanceof Uint8Array]).toEqual(['number', true, true])
  } catch (error) {
    if (!isKeelsonError(error, 'ANSWER_CORRUPT')) throw error
  }
}

test('truncated bytes are a value or ANSWER_CORRUPT', () => {
  fc.assert(
    fc.property(responses, fc.nat(), (response, at) => {
      const bytes = responseCodec.encode(response)
      decodeOrCorrupt(bytes.subarray(0, at % bytes.length))
    }),
    { numRuns: RUNS },
  )
})

test('mutated bytes are a value or ANSWER_CORRUPT', () => {
  fc.assert(
    fc.property(
      responses,
      fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 5 }),
      (response, changes) => {
        const bytes = responseCodec.encode(response)
        for (const [at, value] of changes) bytes[at % bytes.length] = value
        decodeOrCorrupt(bytes)
      },
    ),
    { numRuns: RUNS },
  )
})

test('random bytes are a value or ANSWER_CORRUPT', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 64 }), decodeOrCorrupt), { numRuns: RUNS })
})

test.each<[string, unknown]>([
  ['nothing', new Uint8Array()],
  ['a later version', new Uint8Array([2, 0, 200, 0, 0])],
  ['a head that ends early', new Uint8Array([1, 0, 200])],
  ['headers that end early', new Uint8Array([1, 0, 200, 0, 1, 0, 5, 65])],
  ['a header that is not UTF-8', new Uint8Array([1, 0, 200, 0, 1, 0, 1, 0xff, 0, 0, 0, 0])],
  ['text, from a store of another kind', '\u0001\u0000'],
  ['null', null],
])('%s is ANSWER_CORRUPT', (_, bytes) => {
  expect(() => responseCodec.decode(bytes as Uint8Array)).toThrow(
    expect.objectContaining({ name: 'KernelError', code: 'ANSWER_CORRUPT', retryable: false }),
  )
})
