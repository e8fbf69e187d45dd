import type { Exchange } from '../../exchange.ts'
import type { Http } from '../../http.ts'
import type { RoutePolicy } from '../../policy.ts'
import type { Route } from '../../route.ts'
import type { HttpSubject, PlanRoute } from '../http-subject.ts'

/** What is wrong with a subject. */
export type Fault = (good: HttpSubject) => Partial<HttpSubject>

/** A subject whose adapter calls another http. */
export function wrongHttp(wrong: (http: Http) => Partial<Http>): Fault {
  return (good) => ({ start: (plan, http) => good.start(plan, { ...http, ...wrong(http) }) })
}

/** Compiled routes with a fault. */
export function wrongRoute(wrong: (route: Route) => Partial<Route>): Fault {
  return wrongHttp((http) => ({
    compile(policy) {
      const route = http.compile(policy)
      return { ...route, ...wrong(route) }
    },
  }))
}

/** Another policy. */
export function wrongPolicy(wrong: (policy: RoutePolicy) => Partial<RoutePolicy>): Fault {
  return wrongHttp((http) => ({ compile: (policy) => http.compile({ ...policy, ...wrong(policy) }) }))
}

/** Another rule for idempotent routes. */
export function wrongRule(wrong: (policy: RoutePolicy) => RoutePolicy['idempotent']): Fault {
  return wrongHttp((http) => ({
    compile(policy) {
      const idempotent = policy.idempotent === undefined ? undefined : wrong(policy)
      return http.compile({ ...policy, ...(idempotent === undefined ? {} : { idempotent }) })
    },
  }))
}

/** Another plan. */
export function wrongPlan(wrong: (route: PlanRoute) => Partial<PlanRoute>): Fault {
  return (good) => ({
    start: (plan, http) =>
      good.start(
        plan.map((one) => ({ ...one, ...wrong(one) })),
        http,
      ),
  })
}

/** An adapter whose exchanges have a fault. */
export function wrongExchange(wrong: (x: Exchange) => Partial<Exchange>): Fault {
  const wrapped = new WeakMap<Exchange, Exchange>()
  function show(x: Exchange): Exchange {
    const known = wrapped.get(x)
    if (known !== undefined) return known
    const changed = wrong(x)
    const shown = new Proxy(x, {
      get(target, name) {
        if (name in changed) return Reflect.get(changed, name) as unknown
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? (value.bind(target) as unknown) : value
      },
      set: (target, name, value) => Reflect.set(target, name, value, target),
    })
    wrapped.set(x, shown)
    return shown
  }
  return wrongHttp((http) => ({
    begin: (x) => http.begin(show(x)),
    problem: (error, x) => http.problem(error, x === undefined ? x : show(x)),
    compile(policy) {
      const route = http.compile(policy)
      const { transact } = route
      return {
        ...route,
        early: (x) => route.early(show(x)),
        late: (x) => route.late(show(x)),
        context: (x) => route.context(show(x)),
        ...(transact === undefined ? {} : { transact: (x, work) => transact(show(x), work) }),
      }
    },
  }))
}
