import { expect, test } from 'vitest'
import { ownHeaders } from '../../src/caching/own-headers.ts'

test('what a handler builds on a header of middleware holds what may be one user’s, and is not kept', () => {
  const before = [
    ['X-Trail', 'alice'],
    ['Content-Security-Policy', "script-src 'nonce-alice'"],
    ['X-Plain', 'same'],
  ] as const
  const after = [
    ['X-Trail', 'alice, handler'],
    ['Content-Security-Policy', "script-src 'nonce-alice'; img-src *"],
    ['X-Plain', 'other'],
    ['X-New', 'handler'],
  ] as const
  expect(ownHeaders(after, before)).toEqual([
    ['X-Plain', 'other'],
    ['X-New', 'handler'],
  ])
})
