import { isMapped, parseAddress, type Address } from './address.ts'

/** A block of addresses. */
export interface Cidr {
  readonly base: Address
  /** How many of the 128 bits are fixed; of IPv4 96 more than are written. */
  readonly bits: number
}

/** Undefined for what is no `address/bits`, and for one with bits set behind its prefix: which block was meant? */
export function parseCidr(text: string): Cidr | undefined {
  const [, address = '', written = ''] = /^([^/%]+)\/(0|[1-9]\d{0,2})$/.exec(text) ?? []
  const base = parseAddress(address)
  if (base === undefined) return undefined
  const bits = Number(written) + (address.includes(':') ? 0 : 96)
  if (bits > 128 || base !== (base >> hostBits(bits)) << hostBits(bits)) return undefined
  return { base, bits }
}

/** True inside the block. `::/0` is all of IPv6, and nothing of IPv4. */
export function contains({ base, bits }: Cidr, address: Address): boolean {
  if (isMapped(address) && bits < 96) return false
  return base >> hostBits(bits) === address >> hostBits(bits)
}

function hostBits(bits: number): bigint {
  return BigInt(128 - bits)
}
