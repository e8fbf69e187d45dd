import { createHttp, problem, type Exchange, type Http, type RoutePolicy } from '@keelson/http'
import type { Principal } from '@keelson/kernel'
import type { System } from './system.ts'

/** What every answer about a merchant's shipments is tagged with. */
const ofMerchant = (x: Exchange): string[] => [`merchant:${merchantOf(x.header('authorization'))}`]

/** The policies, one object a route, the same for every framework. */
export const policies = {
  bookShipment: { idempotent: { required: true }, invalidates: ofMerchant, rateLimit: { limiter: 'bookings' } },
  listShipments: { cached: { per: 'scope', ttl: '10m', tags: ofMerchant, query: ['after', 'limit'] } },
} satisfies Record<string, RoutePolicy>

const MERCHANTS = new Set(['m1', 'm2', 'm3'])

/** A test double for real authentication: the bearer token is the merchant's name. */
export function merchantOf(authorization: string | undefined): string {
  const name = /^Bearer (\w+)$/.exec(authorization ?? '')?.[1]
  if (name === undefined || !MERCHANTS.has(name)) {
    throw problem(401, 'unauthenticated', { detail: 'send Authorization: Bearer m1 (or m2)' })
  }
  return name
}

/** The bearer token of an operator, for `/ops`. */
export async function authorizeOperator(request: Request): Promise<Principal | undefined> {
  return request.headers.get('authorization') === 'Bearer ops' ? { id: 'ops', type: 'operator' } : undefined
}

/** HTTP rules over the system's cores. A merchant is a tenant and its own principal. */
export function openHttp({ db, idempotency, caches, bookings }: System): Http {
  const principal = (x: Exchange): Principal => ({ id: merchantOf(x.header('authorization')), type: 'merchant' })
  return createHttp({
    db,
    idempotency,
    cache: caches,
    limiters: { bookings },
    principal,
    scope: (x) => merchantOf(x.header('authorization')),
  })
}
