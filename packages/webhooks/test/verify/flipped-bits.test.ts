import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { schemes } from './samples.ts'

const bytes = fc.uint8Array({ minLength: 0, maxLength: 300 })

describe.each(Object.entries(schemes))('%s', (_, { verifier, sample, secret = 0 }) => {
  test('verifies what was signed, whatever the bytes', () => {
    fc.assert(
      fc.property(bytes, (body) => {
        const event = verifier.verify(sample(body))
        expect(event.body).toBe(body)
        expect(event.secret).toBe(secret)
      }),
    )
  })

  test('refuses it with one bit of the body flipped', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1, maxLength: 300 }), fc.nat(), (body, at) => {
        const request = sample(body.slice())
        request.body[(at >> 3) % body.length]! ^= 1 << (at & 7)
        expect(() => verifier.verify(request)).toThrow(expect.objectContaining({ code: 'NO_MATCH' }))
      }),
    )
  })

  test('refuses it with any one bit of a header flipped', () => {
    const request = sample(Buffer.from('{"type":"a.b"}'))
    for (const [name, text] of Object.entries(request.headers)) {
      for (let at = 0; at < text.length * 8; at++) {
        const flipped = Buffer.from(text)
        flipped[at >> 3]! ^= 1 << (at & 7)
        const headers = { ...request.headers, [name]: flipped.toString('latin1') }
        expect(() => verifier.verify({ ...request, headers }), `${name}: ${flipped}`).toThrow(
          expect.objectContaining({ name: 'WebhookError' }),
        )
      }
    }
  })

  test('refuses it cut and lengthened', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 1 }), fc.uint8Array({ minLength: 1 }), (body, more) => {
        const request = sample(body)
        for (const other of [body.subarray(0, -1), Buffer.concat([body, more]), Buffer.concat([more, body])]) {
          expect(() => verifier.verify({ ...request, body: other })).toThrow(
            expect.objectContaining({ code: 'NO_MATCH' }),
          )
        }
      }),
    )
  })
})
