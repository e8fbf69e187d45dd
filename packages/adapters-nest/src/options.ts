import { Inject, type DynamicModule, type FactoryProvider, type InjectionToken } from '@nestjs/common'
import { HttpError, type Http, type IdempotencyLike } from '@keelson/http'
import type { HealthLike } from '@keelson/http/apis'
import { checkOptions, opt } from '@keelson/kernel'
import type { DatabaseLike } from '@keelson/kernel/postgres'

/** What an application injects by its token; all optional. */
export interface KeelsonComponents extends Partial<Record<'pipelines' | 'limiters', Readonly<Record<string, object>>>> {
  readonly idempotency?: IdempotencyLike
  readonly db?: DatabaseLike
  readonly health?: HealthLike
}

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

/** By Symbol.for: an application may hold two copies of this package. */
export const token = <T>(...path: string[]): InjectionToken<T> => Symbol.for(`keelson.nest.${path.join('.')}`)
/** The Http of the module. */
export const KEELSON_HTTP: InjectionToken<Http> = token('http')
/** `components.idempotency`. */
export const KEELSON_IDEMPOTENCY: InjectionToken<IdempotencyLike> = token('idempotency')
/** `components.db`. */
export const KEELSON_DB: InjectionToken<DatabaseLike> = token('db')
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
const SPEC = {
  http: opt.required(opt.port<Http>(['begin', 'compile', 'problem', 'adapter'])),
  components: opt.group({ idempotency: object, db: object, health: object, pipelines: object, limiters: object }),
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
