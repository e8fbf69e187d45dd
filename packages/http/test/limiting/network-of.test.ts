import { expect, it } from 'vitest'
import { networkOf } from '../../src/limiting/network-of.ts'

it.each([
  ['203.0.113.9', '203.0.113.9'],
  ['2001:db8:12:3456:7:8:9:a', '2001:db8:12:3400::/56'],
  ['2001:0DB8:0012:34FF::1', '2001:db8:12:3400::/56'],
  ['2001:db8:12:3500::1', '2001:db8:12:3500::/56'],
  ['2001:db8::1', '2001:db8:0:0::/56'],
  ['::1', '0:0:0:0::/56'],
  ['::', '0:0:0:0::/56'],
  ['1::', '1:0:0:0::/56'],
  ['64:ff9b::198.51.100.7', '64:ff9b:0:0::/56'],
  ['fe80::aa:1', 'fe80:0:0:0::/56'],
  // A socket of the file system, and what an adapter made up.
  ['', ''],
  ['client:7', 'client:7'],
])('%s counts as %s', (address, network) => {
  expect(networkOf(address)).toBe(network)
})
