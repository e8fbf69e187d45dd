import { isIP } from 'node:net'
import { judgeAddress, type Check } from './check-address.ts'
import { checkSafeAgent, type CheckedSafeAgent, type SafeAgentOptions } from './options.ts'

const LONGEST_URL = 2_048

/** What of the options decides about a URL. */
type UrlRules = Pick<CheckedSafeAgent, 'allow' | 'deny' | 'ports' | 'httpsOnly'>

/**
 * Whether a URL may be called, as far as it can be told without DNS: http or https, no credentials, no fragment, at most
 * 2048 characters, its port, and its host when that is an address in any spelling. A name is judged when it is dialled.
 * @throws OPTION_INVALID
 */
export function checkUrl(url: string, o?: SafeAgentOptions): Check {
  return judgeUrl(url, checkSafeAgent('checkUrl', o))
}

/** `checkUrl` with checked options. */
export function judgeUrl(url: string, rules: UrlRules): Check {
  if (url.length > LONGEST_URL) return refused('too long')
  const parsed = URL.parse(url)
  if (parsed === null) return refused('not a URL')
  if (parsed.username !== '' || parsed.password !== '') return refused('credentials')
  if (parsed.href.includes('#')) return refused('fragment')
  return judgeTarget(parsed, rules)
}

/** Scheme, port and literal host of what is about to be dialled. */
export function judgeTarget(
  target: { readonly protocol: string; readonly hostname: string; readonly port: string },
  rules: UrlRules,
): Check {
  if (target.protocol !== 'https:' && target.protocol !== 'http:') return refused('scheme')
  if (target.protocol === 'http:' && rules.httpsOnly) return refused('not https')
  if (rules.ports !== undefined && !rules.ports.includes(portOf(target))) return refused('port')
  const literal = literalOf(target.hostname)
  return literal === undefined ? { allowed: true, reason: 'a name' } : judgeAddress(literal, rules)
}

/** The port that is dialled. */
export function portOf({ protocol, port }: { readonly protocol: string; readonly port: string }): number {
  return port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port)
}

/** The address that a normalised host stands for without DNS. `localhost` and what is below it is one (RFC 6761). */
export function literalOf(hostname: string): string | undefined {
  const bare = hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(bare) !== 0) return bare
  return /(^|\.)localhost\.*$/i.test(bare) ? '127.0.0.1' : undefined
}

function refused(reason: string): Check {
  return { allowed: false, reason }
}
