import { builtin } from './builtin.ts'

/** True for addresses of a list. */
export type AddressTest = (address: string) => boolean

/** A list of addresses and CIDR ranges, v4 and v6; a v4 address in v6 form (RFC 4291, section 2.5.5.2) is the v4 one. */
export function addressTest(ranges: readonly string[]): AddressTest {
  if (ranges.length === 0) return () => false
  const { BlockList } = builtin.net
  // One for each: a single one finds v4 addresses in '::/0'.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const range of ranges) {
    const { address, prefix, family } = readRange(range)!
    lists[family].addSubnet(address, prefix, family)
  }
  return (given) => {
    const address = plainAddress(given)
    if (address === undefined) return false
    const family = familyOf(address)
    return lists[family].check(address, family)
  }
}

/** True for an array of addresses and CIDR ranges. */
export function isAddressList(given: unknown): given is readonly string[] {
  return Array.isArray(given) && given.every((range) => typeof range === 'string' && readRange(range) !== undefined)
}

/**
 * The client's address: that of the socket, or, when this is a trusted proxy's, the nearest address of X-Forwarded-For
 * that no trusted proxy has (right to left). What is not readable is not believed: then it is the last trusted one.
 */
export function clientAddress(
  socketAddress: string,
  forwardedFor: string | undefined,
  isTrusted: AddressTest,
): { readonly address: string; readonly isMalformed: boolean } {
  let address = plainAddress(socketAddress) ?? socketAddress
  const hops = forwardedFor?.split(',').toReversed() ?? []
  for (const hop of hops) {
    if (!isTrusted(address)) break
    const next = plainAddress(withoutPort(hop.trim()))
    if (next === undefined) return { address, isMalformed: true }
    address = next
  }
  return { address, isMalformed: false }
}

const MAPPED = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i

/** In the shorter form and without a zone; undefined for what is no address. */
function plainAddress(text: string): string | undefined {
  const address = text.replace(/%.*$/, '')
  const [, v4] = MAPPED.exec(address) ?? []
  if (v4 !== undefined && builtin.net.isIP(v4) === 4) return v4
  return builtin.net.isIP(address) === 0 ? undefined : address
}

/** Some proxies add it: '192.0.2.1:4711', '[2001:db8::1]:4711'. */
function withoutPort(hop: string): string {
  const [, v6, v4] = /^(?:\[(.*)\]|([\d.]+))(?::\d+)?$/.exec(hop) ?? []
  return v6 ?? v4 ?? hop
}

function readRange(range: string): { address: string; prefix: number; family: 'ipv4' | 'ipv6' } | undefined {
  const [given = '', length, more] = range.split('/')
  const address = given.includes('%') ? undefined : plainAddress(given)
  if (address === undefined || more !== undefined) return undefined
  const family = familyOf(address)
  const bits = family === 'ipv4' ? 32 : 128
  if (length === undefined) return { address, prefix: bits, family }
  // Of a v4 range in v6 form the first 96 bits are the form.
  const prefix = /^\d{1,3}$/.test(length) ? Number(length) - (address === given ? 0 : 96) : -1
  return prefix >= 0 && prefix <= bits ? { address, prefix, family } : undefined
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}
