import { BlockList } from 'node:net'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkAddress } from '../../src/safe-agent/index.ts'
import { FORBIDDEN, formsOf, isForbiddenByNode, textOf } from './forbidden.ts'

describe('checkAddress', () => {
  test.each(FORBIDDEN)('refuses the first and last address of %s', (cidr) => {
    const [first, last] = boundsOf(cidr)
    for (const address of [first, last]) expect(checkAddress(address)).toMatchObject({ allowed: false })
  })

  test.each([
    ['8.8.8.8'],
    ['1.1.1.1'],
    ['9.255.255.255'],
    ['11.0.0.0'],
    ['100.63.255.255'],
    ['100.128.0.0'],
    ['128.0.0.0'],
    ['169.253.255.255'],
    ['172.15.255.255'],
    ['172.32.0.0'],
    ['223.255.255.255'],
    ['2606:4700:4700::1111'],
    ['2a00:1450:4001:82a::200e'],
    ['64:ff9b::8.8.8.8'],
    ['::ffff:8.8.8.8'],
    ['2a00:1450::5efe:8.8.8.8'],
  ])('%s is public', (address) => {
    expect(checkAddress(address)).toEqual({ allowed: true, reason: 'public' })
  })

  test.each([
    ['127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['169.254.169.254', 'link-local'],
    ['fd00:ec2::254', 'private'],
    ['fec0::1', 'private'],
    ['fe80::1%eth0', 'link-local'],
    ['100.100.100.200', 'shared'],
    ['168.63.129.16', 'cloud'],
    ['192.0.0.192', 'infrastructure'],
    ['64:ff9b::10.0.0.1', 'private'],
    ['64:ff9b:1::1', 'unspecified'],
    ['2002:7f00:1::', 'loopback'],
    ['4000::1', 'reserved'],
    ['0177.0.0.1', 'not an IP address'],
    ['2130706433', 'not an IP address'],
    ['127.1', 'not an IP address'],
    ['', 'not an IP address'],
    ['localhost', 'not an IP address'],
  ])('%s is refused: %s', (address, reason) => {
    expect(checkAddress(address)).toEqual({ allowed: false, reason })
  })

  test('deny beats allow, which beats the list', () => {
    const allow = ['127.0.0.0/8', '::1/128', '10.0.0.0/8']
    expect(checkAddress('127.0.0.1', { allow })).toEqual({ allowed: true, reason: 'allowed' })
    expect(checkAddress('::ffff:127.0.0.1', { allow }).allowed).toBe(true)
    expect(checkAddress('::1', { allow }).allowed).toBe(true)
    expect(checkAddress('127.0.0.1', { allow, deny: ['127.0.0.1/32'] })).toEqual({ allowed: false, reason: 'denied' })
    expect(checkAddress('8.8.8.8', { deny: ['8.8.8.0/24'] }).allowed).toBe(false)
    expect(checkAddress('64:ff9b::808:808', { deny: ['8.8.8.0/24'] }).allowed).toBe(false)
    expect(checkAddress('192.168.0.1', { allow }).allowed).toBe(false)
  })

  test('an allowed gateway does not allow what is behind it', () => {
    expect(checkAddress('2002:a00:1::', { allow: ['2002::/16'] })).toEqual({ allowed: false, reason: 'private' })
    expect(checkAddress('2002:808:808::', { allow: ['2002::/16'] }).allowed).toBe(true)
    expect(checkAddress('64:ff9b:1:a00:0:100::', { allow: ['64:ff9b:1::/48'] }).allowed).toBe(false)
    expect(checkAddress('2001:0:808:808::f5ff:fffe', { allow: ['2001::/32'] }).allowed).toBe(false) // its client is 10.0.0.1
  })

  test('all of IPv6 is nothing of IPv4', () => {
    expect(checkAddress('127.0.0.1', { allow: ['::/0'] }).allowed).toBe(false)
    expect(checkAddress('8.8.8.8', { deny: ['::/0'] }).allowed).toBe(true)
    expect(checkAddress('::1', { allow: ['0.0.0.0/0'] }).allowed).toBe(false)
    expect(checkAddress('127.0.0.1', { allow: ['0.0.0.0/0'] }).allowed).toBe(true)
  })

  test.each([
    ['10.0.0.0'],
    ['10.0.0.1/8'],
    ['10.0.0.0/33'],
    ['10.0.0.0/08'],
    ['10/8'],
    ['::1/129'],
    ['fe80::%eth0/10'],
    ['a/8'],
    [' 10.0.0.0/8'],
    [''],
    [7],
  ])('%s is no CIDR', (cidr) => {
    for (const name of ['allow', 'deny'] as const)
      expect(() => checkAddress('8.8.8.8', { [name]: [cidr] })).toThrow(
        expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringContaining(`"${name}"`) }),
      )
  })

  test('any address of a forbidden block, in any form, is refused', () => {
    fc.assert(
      fc.property(fc.constantFrom(...FORBIDDEN), fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (cidr, chance) => {
        const address = inside(cidr, chance)
        for (const form of formsOf(address)) expect(checkAddress(form).allowed, form).toBe(false)
      }),
      { numRuns: 2_000 },
    )
  })

  test('what Node calls public, is allowed, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.ipV4(),
          fc.ipV6(),
          fc.bigInt({ min: 0n, max: (1n << 125n) - 1n }).map((low) => textOf((1n << 125n) | low, 6)),
        ),
        (address) => {
          expect(checkAddress(address).allowed, address).toBe(!isForbiddenByNode(address))
        },
      ),
      { numRuns: 5_000 },
    )
  })
})

function inside(cidr: string, chance: bigint): string {
  const [first] = boundsOf(cidr)
  const width = first.includes(':') ? 128n : 32n
  const free = width - BigInt(cidr.split('/')[1]!)
  return textOf(numberOf(first) | (chance & ((1n << free) - 1n)), first.includes(':') ? 6 : 4)
}

function boundsOf(cidr: string): [first: string, last: string] {
  const [address = '', bits] = cidr.split('/')
  const family = address.includes(':') ? 6 : 4
  const free = BigInt((family === 6 ? 128 : 32) - Number(bits))
  return [address, textOf(numberOf(address) | ((1n << free) - 1n), family)]
}

/** By another road than ours: the URL parser writes IPv6 out. */
function numberOf(address: string): bigint {
  if (!address.includes(':')) return address.split('.').reduce((sum, byte) => sum * 256n + BigInt(byte), 0n)
  const short = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [head = '', tail = ''] = short.split('::')
  const left = head === '' ? [] : head.split(':')
  const right = tail === '' ? [] : tail.split(':')
  const all = [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
  return BigInt(`0x${all.map((group) => group.padStart(4, '0')).join('')}`)
}

test('the oracle knows its blocks', () => {
  const list = new BlockList()
  list.addSubnet('10.0.0.0', 8)
  expect(list.check('10.1.2.3')).toBe(true)
  expect(isForbiddenByNode('10.1.2.3')).toBe(true)
  expect(isForbiddenByNode('8.8.8.8')).toBe(false)
})
