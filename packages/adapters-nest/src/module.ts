import type { DynamicModule, FactoryProvider } from '@nestjs/common'
import * as nest from '@nestjs/core'
import { attach } from './exchange.ts'
import { compileRoutes } from './handlers.ts'
import { earlyGuard, lateInterceptor, problemFilter } from './hooks.ts'
import { checkModuleOptions, KEELSON_HTTP, optionFailure, token } from './options.ts'
import type { KeelsonModuleAsyncOptions, KeelsonModuleOptions } from './options.ts'

/** Keelson for one Nest application: import it once, first of all, in the root module. */
export class KeelsonModule {
  /** @throws HttpError OPTION_INVALID */
  static readonly forRoot = (options: KeelsonModuleOptions): DynamicModule =>
    define({ ...options, useFactory: () => options, tokens: [...checkModuleOptions(options).components.keys()] }, false)

  /** As `forRoot`, with the options of a factory: what is wrong with them stops the start. */
  static readonly forRootAsync = (options: KeelsonModuleAsyncOptions): DynamicModule => define(options, true)
}

const [OPTIONS, ROUTES] = [token('options'), token('routes')]

function define(o: KeelsonModuleAsyncOptions, isOwner: boolean): DynamicModule {
  const { imports = [], inject = [], useFactory, tokens = [], global = true } = o
  const exports = [
    make(KEELSON_HTTP, ({ http }) => http, OPTIONS),
    ...tokens.map((token) => make(token, ({ components }) => components.get(token) ?? missing(token), OPTIONS)),
  ]
  const providers = [
    ...exports,
    make(OPTIONS, async (...injected) => checkModuleOptions(await useFactory(...injected)), ...inject),
    make(ROUTES, compileRoutes, OPTIONS, nest.DiscoveryService, nest.MetadataScanner),
    make(token('attached'), (o, host) => attach(o, host, isOwner), OPTIONS, nest.HttpAdapterHost),
    make(nest.APP_GUARD, earlyGuard, ROUTES),
    make(nest.APP_INTERCEPTOR, lateInterceptor, ROUTES),
    make(nest.APP_FILTER, problemFilter, OPTIONS),
  ]
  return { module: KeelsonModule, global, imports: [nest.DiscoveryModule, ...imports], providers, exports }
}

type Factory = (...injected: any[]) => unknown
const make = (provide: any, useFactory: Factory, ...inject: any[]): FactoryProvider => ({ provide, useFactory, inject })

function missing(token: unknown): never {
  throw optionFailure(`KeelsonModule: "tokens" has ${String(token)}, and "components" nothing for it`)
}
