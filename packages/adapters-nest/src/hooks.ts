import { Catch, type ArgumentsHost, type CanActivate, type ExceptionFilter, type NestInterceptor } from '@nestjs/common'
import { lastValueFrom, Observable, tap } from 'rxjs'
import type { StoredResponse } from '@keelson/http'
import { context, isKeelsonError } from '@keelson/kernel'
import { exchangeOf } from './exchange.ts'
import { Answered, entering, type HandlerRoutes } from './handlers.ts'
import type { CheckedOptions } from './options.ts'

/** What stands before authentication: global, and so before the guards of controllers. */
export const earlyGuard = (routes: HandlerRoutes): CanActivate => ({
  async canActivate(host) {
    const x = host.getType() === 'http' ? exchangeOf(host) : undefined
    const answer = x && (await routes.get(host.getHandler())?.early(x))
    return answer === undefined || send(host, answer)
  },
})

/** What stands between guards and handler, and what becomes of the handler's answer. */
export const lateInterceptor = (routes: HandlerRoutes): NestInterceptor => ({
  async intercept(host, next) {
    const route = host.getType() === 'http' ? routes.get(host.getHandler()) : undefined
    if (route === undefined) return next.handle()
    const x = exchangeOf(host)
    const work = (): unknown => lastValueFrom(next.handle(), { defaultValue: undefined })
    const answer = (await route.late(x)) ?? (route.transact && (await x.transact(route, work)))
    if (answer !== undefined) return send(host, answer)
    const run = (): Observable<unknown> => next.handle().pipe(tap({ error: () => x.isEntered || x.disown() }))
    return new Observable((to) => context.run(route.context(x), () => entering.run(x, () => run().subscribe(to))))
  },
})

/** Rejects always: that is how Nest is kept from writing an answer too. */
async function send(host: ArgumentsHost, answer: StoredResponse): Promise<never> {
  await exchangeOf(host).send(answer)
  throw new Answered()
}

/** Answers errors as problems: Keelson's own, or all. */
export function problemFilter({ http, problems }: CheckedOptions): ExceptionFilter {
  class ProblemFilter {
    catch(error: unknown, host: ArgumentsHost): void {
      if (host.getType() !== 'http') throw error
      void exchangeOf(host).fail(http, error)
    }
  }
  // Nest asks with `instanceof`.
  const ours = { [Symbol.hasInstance]: (error: unknown) => problems === 'all' || isKeelsonError(error) } as never
  Catch(ours)(ProblemFilter)
  return new ProblemFilter()
}
