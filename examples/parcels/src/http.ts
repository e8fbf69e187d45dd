import { createHttp, problem, type Exchange, type Http, type RoutePolicy } from '@keelson/http'
import type { Principal } from '@keelson/kernel'
import type { Verifier } from '@keelson/webhooks/verify'
import { HOUSE, type Action } from './audit.ts'
import { tagsOf } from './cache-tags.ts'
import type { System } from './system.ts'

const ofMerchant = (x: Exchange): string[] => tagsOf(merchantOf(x.header('authorization')))
/** Of `/shipments/:id`. */
const shipmentOf = (x: Exchange): string => decodeURIComponent(x.path.split('/')[2]!)
const ofShipment = (x: Exchange): string[] => tagsOf(merchantOf(x.header('authorization')), shipmentOf(x))

/** The policies, one object a route, the same for every framework. */
export const policies = {
  bookShipment: {
    idempotent: { required: true },
    invalidates: ofMerchant,
    rateLimit: { limiter: 'bookings' },
    // What is booked its own entry tells; this one tells what was refused.
    audited: { action: 'shipment.create' satisfies Action },
  },
  // Who moves a shipment, its merchant or the carrier, drops its tags with the commit: see `api.ts`.
  updateShipment: {
    idempotent: { required: true },
    audited: { action: 'shipment.move' satisfies Action },
  },
  cancelShipment: {
    idempotent: { required: true },
    invalidates: ofShipment,
    audited: { action: 'shipment.delete' satisfies Action },
  },
  listShipments: { cached: { per: 'scope', ttl: '10m', tags: ofMerchant, query: ['after', 'limit'] } },
  findShipment: { cached: { per: 'scope', ttl: '15m', tags: (x) => ofShipment(x).slice(1) } },
} satisfies Record<string, RoutePolicy>

/** The carrier's events: believed when they are signed, and each is handled once. */
export function carrierPolicy(verifier: Verifier): RoutePolicy {
  return {
    receive: { verifier, source: 'carrier', scope: HOUSE },
    audited: { action: 'shipment.move' satisfies Action, scope: HOUSE },
  }
}

type Who = Principal & { readonly type: 'merchant' | 'courier' | 'auditor' | 'operator' }

/** Whom couriers work for: two in one team, and one of somebody else. */
const COURIERS: Readonly<Record<string, string>> = { c1: 'm1', c2: 'm1', c3: 'm2' }

/** A test double for real authentication: the bearer token is the name, or what a browser asks for, with any password. */
const EVERYBODY = new Map<string, Who>([
  ...['m1', 'm2', 'm3'].map((id): [string, Who] => [id, { id, type: 'merchant' }]),
  ...Object.keys(COURIERS).map((id): [string, Who] => [id, { id, type: 'courier' }]),
  ['a1', { id: 'a1', type: 'auditor' }],
  ['ops', { id: 'ops', type: 'operator' }],
])

/** Who sends this; undefined for a name that nobody has. */
export function principalOf(authorization: string | null | undefined): Who | undefined {
  const [, scheme, token = ''] = /^(Bearer|Basic) (\S+)$/.exec(authorization ?? '') ?? []
  const name = scheme === 'Basic' ? Buffer.from(token, 'base64').toString().split(':')[0]! : token
  return EVERYBODY.get(name)
}

export function merchantOf(authorization: string | undefined): string {
  const who = principalOf(authorization)
  if (who?.type === 'merchant') return who.id
  const detail = 'send Authorization: Bearer m1 (or m2)'
  throw who === undefined ? problem(401, 'unauthenticated', { detail }) : problem(403, 'forbidden', { detail })
}

export function isMerchant(name: string): boolean {
  return EVERYBODY.get(name)?.type === 'merchant'
}

/** The merchant that this is, or works for. */
export function tenantOf(authorization: string | null | undefined): string | undefined {
  const who = principalOf(authorization)
  return who?.type === 'merchant' ? who.id : COURIERS[who?.id ?? '']
}

const allowed =
  (type: Who['type']) =>
  async (request: Request): Promise<Principal | undefined> => {
    const who = principalOf(request.headers.get('authorization'))
    return who?.type === type ? who : undefined
  }

/** For `/ops` and `/merchants`. */
export const authorizeOperator = allowed('operator')
/** For its own `/webhooks`. */
export const authorizeMerchant = allowed('merchant')
/** For `/sync`. */
export const authorizeCourier = allowed('courier')
/** For `/audit`. */
export const authorizeAuditor = allowed('auditor')

/** HTTP rules over the system's cores. A merchant is a tenant and its own principal. */
export function openHttp({ db, idempotency, caches, bookings, audit, logger }: System): Http {
  return createHttp({
    logger,
    db,
    idempotency,
    cache: caches,
    audit,
    limiters: { bookings },
    principal: (x) => principalOf(x.header('authorization')),
    scope: (x) => tenantOf(x.header('authorization')),
  })
}
