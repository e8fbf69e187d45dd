import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { mac, macKey } from '../../src/signing/mac.ts'

const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
const ascii = fc.string({ unit: 'binary-ascii', maxLength: 300 })

test('it is the HMAC of node:crypto, whatever the key and the message', () => {
  fc.assert(
    fc.property(bytes(200), ascii, bytes(2_000), (key, head, body) => {
      expect(mac(macKey(key), head, body)).toBe(createHmac('sha256', key).update(head).update(body).digest('base64'))
    }),
  )
})

test.each([0, 63, 64, 8_191, 8_192, 8_193, 100_000])('a body of %i bytes', (length) => {
  const [key, body] = [Buffer.alloc(32, 7), Buffer.alloc(length, 'x')]
  const theirs = createHmac('sha256', key).update('msg_1.1700000000.').update(body).digest('base64')
  expect(mac(macKey(key), 'msg_1.1700000000.', body)).toBe(theirs)
  // Nothing of one message is left for the next.
  expect(mac(macKey(Buffer.alloc(64)), '', Buffer.alloc(0))).toBe(
    createHmac('sha256', Buffer.alloc(64)).digest('base64'),
  )
})
