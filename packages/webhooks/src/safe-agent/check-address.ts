import { carried, isMapped, isNat64, parseAddress, type Address } from './address.ts'
import { contains, type Cidr } from './cidr.ts'
import { checkSafeAgent, type SafeAgentOptions } from './options.ts'
import { specialBlocks, type SpecialKind } from './special-blocks.ts'

/** Whether something may be dialled, and why, in a word or two that may be shown and counted. */
export interface Check {
  readonly allowed: boolean
  readonly reason: string
}

/** The blocks of the options that decide. */
export interface AddressRules {
  readonly allow: readonly Cidr[]
  readonly deny: readonly Cidr[]
}

const GLOBAL_UNICAST: Cidr = { base: 0x2000n << 112n, bits: 3 }

/**
 * Whether an IP address may be dialled: one of the public internet, in canonical spelling; a zone id is ignored. `deny`
 * beats `allow`, which beats the list of special blocks. IPv4 that an IPv6 address carries (mapped, NAT64, 6to4, Teredo,
 * ISATAP ...) is judged too.
 * @throws OPTION_INVALID
 */
export function checkAddress(ip: string, o?: SafeAgentOptions): Check {
  return judgeAddress(ip, checkSafeAgent('checkAddress', o))
}

/** `checkAddress` with checked options. */
export function judgeAddress(ip: string, rules: AddressRules): Check {
  const address = parseAddress(ip)
  if (address === undefined) return { allowed: false, reason: 'not an IP address' }
  const all = [address, ...carried(address)]
  if (all.some((one) => within(rules.deny, one))) return { allowed: false, reason: 'denied' }
  const refused = all.filter((one) => !within(rules.allow, one)).flatMap((one) => kindOf(one) ?? [])
  // What is carried says more than the gateway's own block.
  const reason = refused.at(-1)
  if (reason !== undefined) return { allowed: false, reason }
  return { allowed: true, reason: all.some((one) => within(rules.allow, one)) ? 'allowed' : 'public' }
}

function within(blocks: readonly Cidr[], address: Address): boolean {
  return blocks.some((block) => contains(block, address))
}

/** Undefined for an address of the public internet, and for a NAT64's, which stands for the IPv4 it carries. */
function kindOf(address: Address): SpecialKind | undefined {
  const kind = specialBlocks.find((block) => contains(block, address))?.kind
  if (kind !== undefined || isMapped(address) || isNat64(address)) return kind
  return contains(GLOBAL_UNICAST, address) ? undefined : 'reserved'
}
