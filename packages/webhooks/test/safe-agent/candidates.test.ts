import { expect, test } from 'vitest'
import { candidates } from '../../src/safe-agent/candidates.ts'

const rules = { allow: [], deny: [] }
const answers = (...addresses: string[]) =>
  addresses.map((address) => ({ address, family: address.includes(':') ? (6 as const) : (4 as const) }))

test.each([
  [['8.8.8.8'], ['8.8.8.8']],
  [
    ['8.8.8.8', '8.8.4.4', '1.1.1.1', '1.0.0.1'],
    ['8.8.8.8', '8.8.4.4', '1.1.1.1'],
  ],
  [
    ['8.8.8.8', '8.8.4.4', '1.1.1.1', '2606:4700::1', '2606:4700::2'],
    ['8.8.8.8', '2606:4700::1', '8.8.4.4'],
  ],
  [
    ['2606:4700::1', '2606:4700::2', '8.8.8.8'],
    ['2606:4700::1', '8.8.8.8', '2606:4700::2'],
  ],
  [['8.8.8.8', '8.8.8.8'], ['8.8.8.8']],
])('of %j %j are dialled', (given, dialled) => {
  expect(candidates(answers(...given), rules)).toEqual(dialled)
})

test('one that is refused, refuses all, also where it would not be dialled', () => {
  expect(() => candidates(answers('8.8.8.8', '8.8.4.4', '1.1.1.1', '1.0.0.1', '10.0.0.1'), rules)).toThrow(
    expect.objectContaining({ code: 'URL_REFUSED', details: { reason: 'private' } }),
  )
})
