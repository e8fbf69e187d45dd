import { AsyncLocalStorage } from 'node:async_hooks'
import { Catch, RequestMethod, UseFilters } from '@nestjs/common'
import type { DiscoveryService, MetadataScanner } from '@nestjs/core'
import type { Route, RoutePolicy } from '@keelson/http'
import { checkRouteMethods } from '@keelson/http/adapter'
import { metadataOf, optionFailure, POLICY, type CheckedOptions } from './options.ts'

/** Handlers with a policy, by the method as Nest calls it. */
export type HandlerRoutes = WeakMap<Function, Route>

/**
 * Compiles the policies of all handlers. Nest has scanned every controller by then, and mounted none.
 * @throws HttpError OPTION_INVALID that names Class.method
 */
export function compileRoutes(o: CheckedOptions, nest: DiscoveryService, scanner: MetadataScanner): HandlerRoutes {
  const routes: HandlerRoutes = new WeakMap()
  for (const controller of nest.getControllers().map(({ metatype }) => metatype as Function)) {
    for (const name of scanner.getAllMethodNames(controller.prototype as object)) {
      const method = controller.prototype[name] as Function
      if (!metadataOf('path', method) || !(metadataOf(POLICY, controller) ?? metadataOf(POLICY, method))) continue
      const policy: RoutePolicy = { ...metadataOf(POLICY, controller), ...metadataOf(POLICY, method) }
      try {
        checkRouteMethods(String(metadataOf('path', method)), [RequestMethod[metadataOf('method', method)]], policy)
        if (policy.transactional && answersItself(controller, name, method)) throw new TypeError(OWN)
        routes.set(watch(controller.prototype as object, name, method), o.http.compile(policy))
      } catch (error) {
        throw optionFailure(`${controller.name}.${name}: ${(error as Error).message}`)
      }
    }
  }
  return routes
}

const OWN = '@Transactional() answers with the returned value: no @Res(), @Next(), @Sse(), @Redirect() or @Render()'
/** Nest's keys are the same in 11 and 12, the module that has them is not; [12] are its response and next(). */
function answersItself(controller: Function, name: string, method: Function): boolean {
  if (['__sse__', '__redirect__', '__renderTemplate__'].some((key) => metadataOf(key, method))) return true
  const parameters = Object.keys(metadataOf('__routeArguments__', controller, name) ?? {})
  return parameters.some((key) => /^[12]:/.test(key)) && !metadataOf('__responsePassthrough__', controller, name)
}

/** Thrown when an answer of ours was sent, and the filter of itself: nothing is left to do. */
export class Answered extends Error {
  catch(): void {}
}
Catch(Answered)(Answered)

/** The request whose handler may be entered. */
export const entering: AsyncLocalStorage<{ isEntered?: boolean }> = new AsyncLocalStorage()
const watching = new WeakSet<Function>()

/**
 * The method as Nest calls it from now on. Nest does not tell when its pipes have let a request pass, so the method says
 * itself that it is entered; and its innermost filter keeps an answer of ours from any catch-all filter. It inherits the
 * metadata and the name of the method. Once a method, however many applications have the controller.
 */
function watch(prototype: object, name: string, method: Function): Function {
  if (Object.hasOwn(prototype, name) && watching.has(method)) return method
  const watched = function (this: unknown, ...args: unknown[]): unknown {
    Object.assign(entering.getStore() ?? {}, { isEntered: true })
    return Reflect.apply(method, this, args)
  }
  for (const own of ['name', 'length']) Reflect.deleteProperty(watched, own)
  Reflect.set(prototype, name, Object.setPrototypeOf(watched, method))
  UseFilters(new Answered())(watched)
  watching.add(watched)
  return watched
}
