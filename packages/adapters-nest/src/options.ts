import { Inject, type DynamicModule, type FactoryProvider, type InjectionToken } from '@nestjs/common'
import { HttpError, type CachesLike, type Http, type HttpOptions, type IdempotencyLike } from '@keelson/http'
import type { Components } from '@keelson/http/adapter'
import type { HealthLike, WebhooksLike } from '@keelson/http/apis'
import { checkOptions, opt } from '@keelson/kernel'

/** What an application injects by its token; all optional. */
export type KeelsonComponents = Components

/** What `KeelsonModule.forRoot` takes. `global`, default true: its tokens are known in every module. */
export interface KeelsonModuleOptions extends Pick<DynamicModule, 'global'> {
  readonly http: Http
  readonly components?: KeelsonComponents
  /** Answered as problems: 'keelson' (default) its own errors and `problem()`; 'all' every error, and unmatched routes. */
  readonly problems?: 'keelson' | 'all'
}

/** What `KeelsonModule.forRootAsync` takes. */
export interface KeelsonModuleAsyncOptions extends Pick<DynamicModule, 'imports' | 'global'> {
  readonly inject?: FactoryProvider['inject']
  /** Components of Keelson that it answers are closed with the application. */
  readonly useFactory: (...injected: any[]) => KeelsonModuleOptions | Promise<KeelsonModuleOptions>
  /** Which components are injected: Nest must know tokens before a factory runs. Default none. */
  readonly tokens?: readonly InjectionToken[]
}

/** What decorators wrote on a class, a method, or a class about its method; inherited from what these extend. */
export const metadataOf: (key: string, on: Function, method?: string) => any = (Reflect as any).getMetadata
/** Where a policy is kept on a class or a method. */
export const POLICY = 'keelson:policy'
/** By Symbol.for: an application may hold two copies of this package. */
export const token = <T>(...path: string[]): InjectionToken<T> => Symbol.for(`keelson.nest.${path.join('.')}`)
/** The Http of the module. */
export const KEELSON_HTTP: InjectionToken<Http> = token('http')
/** `components.idempotency`. */
export const KEELSON_IDEMPOTENCY: InjectionToken<IdempotencyLike> = token('idempotency')
/** `components.cache`. */
export const KEELSON_CACHE: InjectionToken<CachesLike> = token('cache')
/** `components.audit`. */
export const KEELSON_AUDIT: InjectionToken<NonNullable<HttpOptions['audit']>> = token('audit')
/** `components.db`. */
export const KEELSON_DB: InjectionToken<NonNullable<HttpOptions['db']>> = token('db')
/** `components.webhooks`. */
export const KEELSON_WEBHOOKS: InjectionToken<WebhooksLike> = token('webhooks')
/** `components.health`. */
export const KEELSON_HEALTH: InjectionToken<HealthLike> = token('health')
/** `components.pipelines[name]`. */
export const pipelineToken = <T>(name: string): InjectionToken<T> => token('pipelines', name)
/** `components.limiters[name]`. */
export const limiterToken = <T>(name: string): InjectionToken<T> => token('limiters', name)
/** A constructor's parameter: `Inject(pipelineToken(name))`. A name that is not registered stops the start. */
export const Pipeline = (name: string): ParameterDecorator => Inject(pipelineToken(name))

/** The options with their defaults, and each component under its token. */
export type CheckedOptions = { http: Http; problems: 'keelson' | 'all'; components: Map<InjectionToken, any> }

/** How this package refuses an option. */
export const optionFailure = (message: string): HttpError => new HttpError('OPTION_INVALID', message)
const object = opt.custom<object>('an object', (given) => typeof given === 'object' && given !== null)
const COMPONENTS = ['idempotency', 'cache', 'audit', 'db', 'webhooks', 'health', 'pipelines', 'limiters']
const SPEC = {
  http: opt.required(opt.port<Http>(['begin', 'compile', 'problem', 'adapter'])),
  components: opt.group(Object.fromEntries(COMPONENTS.map((name) => [name, object]))),
  problems: opt.oneOf(['keelson', 'all'], 'keelson'),
  global: opt.boolean(true),
}

/** @throws HttpError OPTION_INVALID */
export function checkModuleOptions(given: KeelsonModuleOptions): CheckedOptions {
  const { http, problems, components } = checkOptions('KeelsonModule', given, SPEC, optionFailure)
  const { pipelines, limiters, ...single } = components as KeelsonComponents
  const all = [[single], [pipelines, 'pipelines'], [limiters, 'limiters']] as const
  const pairs = all.flatMap(([group = {}, ...path]) =>
    Object.entries(group).map(([name, one]) => [token(...path, name), one] as const),
  )
  return { http, problems, components: new Map(pairs.filter(([, one]) => one !== undefined)) }
}
