import { BlockList, isIPv4 } from 'node:net'

/** What must never be dialled, typed from the registries of IANA once more and by hand: our own table is not asked. */
export const FORBIDDEN = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.31.196.0/24',
  '192.52.193.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '192.175.48.0/24',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '255.255.255.255/32',
  '::/128',
  '::1/128',
  '64:ff9b:1::/48',
  '100::/64',
  '100:0:0:1::/64',
  '2001::/23',
  '2001:db8::/32',
  '2002::/16',
  '2620:4f:8000::/48',
  '3fff::/20',
  '5f00::/16',
  'fc00::/7',
  'fd00:ec2::254/128',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
]

const listed = new BlockList()
for (const cidr of FORBIDDEN) {
  const [address = '', bits] = cidr.split('/')
  listed.addSubnet(address, Number(bits), isIPv4(address) ? 'ipv4' : 'ipv6')
}
const handedOut = new BlockList()
handedOut.addSubnet('2000::', 3, 'ipv6')
const nat64 = new BlockList()
nat64.addSubnet('64:ff9b::', 96, 'ipv6')
const mapped = new BlockList()
mapped.addSubnet('::ffff:0:0', 96, 'ipv6')

/** Node's own lists as the oracle; for addresses that carry none. */
export function isForbiddenByNode(address: string): boolean {
  if (isIPv4(address)) return listed.check(address)
  if (listed.check(address, 'ipv6')) return true
  return ![handedOut, nat64, mapped].some((list) => list.check(address, 'ipv6'))
}

/** A number as the address of a family. */
export function textOf(number: bigint, family: 4 | 6): string {
  const groups = family === 4 ? 4 : 8
  const bits = family === 4 ? 8n : 16n
  return Array.from({ length: groups }, (_, i) =>
    ((number >> (BigInt(groups - 1 - i) * bits)) & ((1n << bits) - 1n)).toString(family === 4 ? 10 : 16),
  ).join(family === 4 ? '.' : ':')
}

/** An address in all forms in which a socket would accept it, or a gateway deliver it. */
export function formsOf(address: string): string[] {
  if (address.includes(':')) return [address, address.toUpperCase(), `${address}%lo`]
  const [a, b, c, d] = address.split('.').map(Number) as [number, number, number, number]
  const hex = (x: number, y: number): string => ((x << 8) | y).toString(16)
  const high = hex(a, b)
  const low = hex(c, d)
  return [
    address,
    `::ffff:${address}`,
    `::ffff:${high}:${low}`,
    `0:0:0:0:0:FFFF:${high}:${low}`,
    `::ffff:0:${address}`,
    `::${address}`,
    `64:ff9b::${address}`,
    `64:ff9b::${high}:${low}`,
    `64:ff9b:1::${address}`,
    `2002:${high}:${low}::1`,
    `2001:0:${high}:${low}::1`,
    `2001:0:808:808:0:0:${(0xffff ^ parseInt(high, 16)).toString(16)}:${(0xffff ^ parseInt(low, 16)).toString(16)}`,
    `2a00:1450::5efe:${address}`,
    `2a00:1450::200:5efe:${high}:${low}`,
    `fe80::5efe:${address}%eth0`,
  ]
}
