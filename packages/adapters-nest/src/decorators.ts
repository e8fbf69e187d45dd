import { createParamDecorator, Inject, SetMetadata } from '@nestjs/common'
import type { CachedRule, DeprecatedRule, IdempotentRule, InvalidatesRule, RateRule, RoutePolicy } from '@keelson/http'
import { cacheableBy, type CacheableDecorator } from '@keelson/http/adapter'
import { context, type Duration } from '@keelson/kernel'
import { exchangeOf } from './exchange.ts'
import { KEELSON_CACHE, metadataOf, POLICY } from './options.ts'

/** On a controller's class or on a method; the method's rules win one by one. */
export type PolicyDecorator = ClassDecorator & MethodDecorator

/** Rules of a route. They are compiled when the application starts: a wrong one stops the start. */
export function Policy(policy: RoutePolicy): PolicyDecorator {
  return (target: object, _name?: string | symbol, method?: PropertyDescriptor) => {
    const on = (method?.value ?? target) as Function
    SetMetadata(POLICY, { ...metadataOf(POLICY, on), ...policy })(on)
  }
}

/** The key is claimed, the handler runs once, and its answer is stored before its last byte leaves. */
export const Idempotent = (rule: IdempotentRule = {}): PolicyDecorator => Policy({ idempotent: rule })
/**
 * The handler writes through `@Tx()` and returns its answer (see `reply`, `created`, `ok`): rows, effects and answer are
 * one commit. It runs again after a serialization failure or a deadlock.
 */
export const Transactional = (): PolicyDecorator => Policy({ transactional: true })

/** The answer to a GET is given again, and a 304 to who has it. */
export const Cached = (cached: CachedRule): PolicyDecorator => Policy({ cached })
/** A validator for the answer to a GET, and a 304 for who has it. */
export const Etag = (etag: 'weak' | 'strong' = 'weak'): PolicyDecorator => Policy({ etag })
/** What a write makes untrue: tags, or a rule. Once it has succeeded, and before its last byte leaves. */
export const Invalidates = (...rule: string[] | [InvalidatesRule]): PolicyDecorator =>
  Policy({ invalidates: typeof rule[0] === 'string' ? (rule as string[]) : rule[0] })

/**
 * The value of any provider's async method, through `components.cache`. Its object must be made by Nest: else the method
 * rejects with NOT_INJECTED.
 */
export const Cacheable: CacheableDecorator = cacheableBy(Inject, KEELSON_CACHE)

/** How often somebody may ask; all rules must admit. */
export const RateLimit = (...rateLimit: RateRule[]): PolicyDecorator => Policy({ rateLimit })
/** Who did what, in the audit log: refusals by guards are failures. */
export const Audited = (audited: Required<RoutePolicy>['audited']): PolicyDecorator => Policy({ audited })
/** A webhook of somebody else, verified over its bytes and handled once; the handler asks `received()` for it. */
export const Receive = (receive: Required<RoutePolicy>['receive']): PolicyDecorator => Policy({ receive })
/** A request that a user has signed (RFC 9421): whose key it is becomes the principal. */
export const Signed = (signed: Required<RoutePolicy>['signed']): PolicyDecorator => Policy({ signed })
/** Only these addresses: CIDR, v4 and v6. */
export const AllowIps = (...allowIps: string[]): PolicyDecorator => Policy({ allowIps })
/** Says so on each answer. */
export const Deprecated = (deprecated: DeprecatedRule): PolicyDecorator => Policy({ deprecated })
/** How long the handler's own calls may take; over before it begins, it is not called. */
export const Deadline = (deadline: Duration): PolicyDecorator => Policy({ deadline })

/** A parameter of a handler with `@Transactional()`: its open Tx. */
export const Tx: () => ParameterDecorator = createParamDecorator((_, host) => exchangeOf(host).tx)
/** A parameter of a handler with `@Transactional()`: its Operation. */
export const Op: () => ParameterDecorator = createParamDecorator((_, host) => exchangeOf(host).op)
/** A parameter: the KeelsonContext of the request. */
export const Ctx: () => ParameterDecorator = createParamDecorator(() => context.get())
/** A parameter: the body's bytes as received, a Uint8Array. */
export const RawBody: () => ParameterDecorator = createParamDecorator((_, host) => exchangeOf(host).rawBody())
