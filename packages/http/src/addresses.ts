import { builtin } from './builtin.ts'

/** True for addresses of a list. */
export type AddressTest = (address: string) => boolean

/**
 * A list of addresses and CIDR ranges, v4 and v6; a v4 address in v6 form (RFC 4291, section 2.5.5.2) is the v4 one.
 * Throws for a range that is none.
 */
export function addressTest(ranges: readonly string[]): AddressTest {
  if (ranges.length === 0) return () => false
  const { BlockList } = builtin.net
  // One for each: a single one finds v4 addresses in '::/0'.
  const lists = { ipv4: new BlockList(), ipv6: new BlockList() }
  for (const range of ranges) {
    const [, given = '', length] = RANGE.exec(range) ?? []
    const address = plainAddress(given)!
    const family = familyOf(address)
    if (length === undefined) lists[family].addAddress(address, family)
    // Of a v4 range in v6 form the first 96 bits are the form.
    else lists[family].addSubnet(address, Number(length) - (address === given ? 0 : 96), family)
  }
  return (given) => {
    const address = plainAddress(given)
    if (address === undefined) return false
    const family = familyOf(address)
    return lists[family].check(address, family)
  }
}

const RANGE = /^([^/%]+)(?:\/(0|[1-9]\d*))?$/

/** True for an array of addresses and CIDR ranges. */
export function isAddressList(given: unknown): given is readonly string[] {
  try {
    return Array.isArray(given) && addressTest(given) !== undefined
  } catch {
    return false
  }
}

/** In place of an address: who has come by a Unix socket has none. */
export const UNIX = 'unix'

/** A list of proxies: addresses, CIDR ranges and {@link UNIX}. Throws for a range that is none. */
export function proxyTest(proxies: readonly string[]): AddressTest {
  const isListed = addressTest(proxies.filter((proxy) => proxy !== UNIX))
  const isLocal = proxies.includes(UNIX)
  return (address) => (address === UNIX ? isLocal : isListed(address))
}

/** True for an array of addresses, CIDR ranges and {@link UNIX}. */
export function isProxyList(given: unknown): given is readonly string[] {
  return Array.isArray(given) && isAddressList(given.filter((proxy) => proxy !== UNIX))
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

/** In the shorter form and without a zone; undefined for what is no address. */
function plainAddress(text: string): string | undefined {
  const address = text.replace(/%.*$/, '')
  const { isIP } = builtin.net
  if (isIP(address) !== 6) return isIP(address) === 4 ? address : undefined
  // As the host of a URL every spelling is the same one.
  const [, high, low] = /^\[::ffff:(\w+):(\w+)\]$/.exec(new URL(`http://[${address}]`).hostname) ?? []
  if (high === undefined || low === undefined) return address
  return [high, low].flatMap((hex) => [parseInt(hex, 16) >> 8, parseInt(hex, 16) & 255]).join('.')
}

/** Some proxies add it: '192.0.2.1:4711', '[2001:db8::1]:4711'. */
function withoutPort(hop: string): string {
  const [, v6, v4, port] = /^(?:\[(.*)\]|([\d.]+))(?::(\d{1,5}))?$/.exec(hop) ?? []
  return Number(port) > 65_535 ? '' : (v6 ?? v4 ?? hop)
}

function familyOf(address: string): 'ipv4' | 'ipv6' {
  return address.includes(':') ? 'ipv6' : 'ipv4'
}
