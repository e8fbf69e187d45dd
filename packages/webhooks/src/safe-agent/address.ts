import { isIPv4, isIPv6 } from 'node:net'

/**
 * An IP address as one number of 128 bits. IPv4 is its mapped form, `::ffff:a.b.c.d`: both dial the same host, so both
 * are the same number.
 */
export type Address = bigint

const MAPPED = 0xffffn << 32n

/** The number of an address in its canonical spelling, a zone id ignored. Undefined for anything else, also for `0x7f.1`. */
export function parseAddress(text: string): Address | undefined {
  if (isIPv4(text)) return mapped(parseIPv4(text))
  if (!isIPv6(text)) return undefined
  const [head, tail] = text.replace(/%.*/s, '').split('::')
  const left = groups(head!)
  const right = groups(tail ?? '')
  const zeros = Array<bigint>(8 - left.length - right.length).fill(0n)
  return [...left, ...zeros, ...right].reduce((address, group) => (address << 16n) | group, 0n)
}

function parseIPv4(text: string): bigint {
  return text.split('.').reduce((address, byte) => (address << 8n) | BigInt(byte), 0n)
}

/** The groups of 16 bits of a part of an IPv6 address; the last may be written as IPv4. */
function groups(part: string): bigint[] {
  if (part === '') return []
  return part.split(':').flatMap((group) => {
    if (!group.includes('.')) return [BigInt(`0x${group}`)]
    const four = parseIPv4(group)
    return [four >> 16n, four & 0xffffn]
  })
}

function mapped(four: bigint): Address {
  return MAPPED | (four & 0xffff_ffffn)
}

/** True for IPv4, in whatever form it was written. */
export function isMapped(address: Address): boolean {
  return address >> 32n === 0xffffn
}

/** 64:ff9b::/96, behind which a NAT64 puts all of IPv4 (RFC 6052). */
export function isNat64(address: Address): boolean {
  return address >> 32n === 0x64_ff9bn << 64n
}

/** The IPv4 addresses that a gateway might read out of an IPv6 address and deliver to. */
export function carried(address: Address): readonly Address[] {
  if (isMapped(address)) return []
  const found: bigint[] = []
  const top = address >> 96n
  const isCompatible = address >> 32n === 0n && address > 1n // ::a.b.c.d
  const isTranslated = address >> 32n === 0xffff_0000n // ::ffff:0:a.b.c.d
  if (isCompatible || isTranslated || isNat64(address)) found.push(address)
  if (address >> 80n === 0x64_ff9b_0001n) {
    // Nat64 of a site. Written behind /96, or behind /48 around the byte that is always 0.
    found.push(address)
    const behind48 = ((address >> 48n) & 0xffff_0000n) | ((address >> 40n) & 0xffffn)
    if (behind48 !== 0n) found.push(behind48)
  }
  if (address >> 112n === 0x2002n) found.push(address >> 80n) // 6to4
  if (top === 0x2001_0000n) found.push(address >> 64n, ~address) // Teredo: its server, its client
  if (((address >> 32n) & 0xfcff_ffffn) === 0x5efen) found.push(address) // ISATAP
  return found.map(mapped)
}
