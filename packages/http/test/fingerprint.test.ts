import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fingerprintOf } from '@keelson/idempotency'
import { jsonInput, rawFingerprint, type RequestContent } from '../src/fingerprint.ts'

const content = (o: { query?: string; contentType?: string; body?: string | Uint8Array }): RequestContent => ({
  query: new URLSearchParams(o.query ?? ''),
  contentType: o.contentType ?? 'application/json',
  body: Buffer.from(o.body ?? ''),
})
const raw = (o: Parameters<typeof content>[0]): string => Buffer.from(rawFingerprint(content(o)).digest).toString('hex')
const json = (o: Parameters<typeof content>[0]): string =>
  Buffer.from(fingerprintOf(jsonInput(content(o))).digest).toString('hex')

describe('raw', () => {
  it('differs when any byte of query, content type or body differs', () => {
    const part = fc.string({ unit: fc.constantFrom(...'ab=&'), maxLength: 4 })
    fc.assert(
      fc.property(fc.tuple(part, part, part), fc.tuple(part, part, part), (a, b) => {
        const [one, other] = [a, b].map(([query, contentType, body]) => content({ query, contentType, body }))
        const isSame = [0, 1, 2].every(
          (i) =>
            `${new URLSearchParams(i === 0 ? a[i] : '')}` === `${new URLSearchParams(i === 0 ? b[i] : '')}` &&
            (i === 0 || a[i] === b[i]),
        )
        const digests = [one!, other!].map((request) => Buffer.from(rawFingerprint(request).digest).toString('hex'))
        expect(digests[0] === digests[1]).toBe(isSame)
      }),
      { numRuns: 2_000 },
    )
  })

  it('does not let bytes move from one part to the next', () => {
    expect(raw({ contentType: 'ab', body: 'c' })).not.toBe(raw({ contentType: 'a', body: 'bc' }))
    expect(raw({ query: 'a=', contentType: '', body: '' })).not.toBe(raw({ query: '', contentType: 'a=', body: '' }))
  })
})

describe('json', () => {
  it('is the same for other spacing, order of members and parameters of the media type', () => {
    const one = json({ body: '{"a":1,"b":[true,{"c":"\\u00fc","d":1e2}]}' })
    expect(json({ body: ' {"b" : [true, {"d":100,"c":"ü"}],\n"a":1.0}' })).toBe(one)
    expect(json({ body: '{"a":1,"b":[true,{"c":"ü","d":100}]}', contentType: 'Application/JSON; charset=utf-8' })).toBe(
      one,
    )
  })

  it.each([
    ['another leaf', { body: '{"a":2}' }],
    ['another query', { body: '{"a":1}', query: 'x=1' }],
    ['another media type', { body: '{"a":1}', contentType: 'application/merge-patch+json' }],
    ['no body', { body: '' }],
    ['a body that is no JSON', { body: '{"a":1' }],
    ['bytes that are no UTF-8', { body: new Uint8Array([0x22, 0xff, 0x22]) }],
  ])('differs for %s', (_, other) => {
    expect(json(other)).not.toBe(json({ body: '{"a":1}' }))
  })

  it('never takes a text for the digest of another', () => {
    const broken = jsonInput(content({ body: '{' })) as { sha256: string }
    expect(json({ body: '{' })).not.toBe(json({ body: JSON.stringify({ sha256: broken.sha256 }) }))
  })
})
