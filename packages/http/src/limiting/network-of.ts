import { builtin } from '../builtin.ts'

/**
 * Who counts as one client: a v4 address, or the /56 of a v6 address, which is what a provider gives to one customer. What
 * is no address is itself.
 */
export function networkOf(address: string): string {
  if (!builtin.net.isIPv6(address)) return address
  // As the host of a URL every spelling is the same one: no zeros in front, one '::' at most.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [left = [], right = []] = text.split('::').map((half) => half.split(':').filter(Boolean))
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  const [a, b, c, d] = [...left, ...zeros, ...right] as [string, string, string, string]
  return `${a}:${b}:${c}:${(parseInt(d, 16) & 0xff00).toString(16)}::/56`
}
