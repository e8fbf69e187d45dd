import { clientAddress } from './addresses.ts'
import type { Exchange } from './exchange.ts'
import type { RouteParts } from './route.ts'

/** The address of a request's client, as far as proxies are trusted. */
export function clientOf(x: Exchange, { options: o, metrics }: Pick<RouteParts, 'options' | 'metrics'>): string {
  const { address, isMalformed } = clientAddress(x.remoteAddress, x.header('x-forwarded-for'), o.isTrustedProxy)
  if (isMalformed) metrics.badHeaders.inc({ header: 'x-forwarded-for' })
  return address
}
