import { parseCidr, type Cidr } from './cidr.ts'

/**
 * What is no public host: the special-purpose registries of IANA (RFC 6890) for IPv4 and IPv6, blocks that are reachable
 * by their letter but serve infrastructure included, multicast, and the hosts where clouds answer their own machines.
 * Of IPv6 only 2000::/3 is handed out at all, so the rest is refused by default: rows outside of it only tell why.
 */
const ROWS = {
  unspecified: ['0.0.0.0/8', '::/128'],
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', 'fec0::/10'],
  shared: ['100.64.0.0/10'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  multicast: ['224.0.0.0/4', 'ff00::/8'],
  // Azure answers its machines on a public address.
  cloud: ['168.63.129.16/32'],
  documentation: ['192.0.2.0/24', '198.51.100.0/24', '203.0.113.0/24', '2001:db8::/32', '3fff::/20'],
  benchmarking: ['198.18.0.0/15'],
  transition: ['192.88.99.0/24', '2002::/16', '2001::/32', '64:ff9b:1::/48'],
  infrastructure: [
    '192.0.0.0/24',
    '192.31.196.0/24',
    '192.52.193.0/24',
    '192.175.48.0/24',
    '2001::/23',
    '2620:4f:8000::/48',
    '5f00::/16',
  ],
  reserved: ['240.0.0.0/4', '100::/64', '100:0:0:1::/64'],
} as const

/** Why an address is refused. */
export type SpecialKind = keyof typeof ROWS

/** The blocks with their kind; the first that contains an address names it. */
export const specialBlocks: readonly (Cidr & { readonly kind: SpecialKind })[] = Object.entries(ROWS).flatMap(
  ([kind, cidrs]) => cidrs.map((cidr) => ({ ...parseCidr(cidr)!, kind: kind as SpecialKind })),
)
