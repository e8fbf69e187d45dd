/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { expectTypeOf, test } from 'vitest'
import type { Component, Principal } from '@keelson/kernel'
import type { Health, Report } from '@keelson/resilience/health'
import type { FetchHandler, Http } from '@keelson/http'
import {
  healthApi,
  opsApi,
  syncApi,
  type Authorize,
  type HealthLike,
  type HealthReport,
  type OpsApiOptions,
  type OpsComponent,
  type OpsHttp,
  type PipelineLike,
  type SyncApiOptions,
  type SyncLike,
} from '@keelson/http/apis'
import { createSync, type Sync } from '@keelson/sync'
import { apiOf, type ApiCall, type ParamsOf } from '../../src/apis/router.ts'

declare const http: Http
declare const health: Health
declare const options: Omit<OpsApiOptions, 'authorize'>
declare const principal: Principal
declare const forSync: Omit<SyncApiOptions, 'authorize'>

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use

test('what our packages make fits', () => {
  expectTypeOf<Health>().toExtend<HealthLike>()
  expectTypeOf<Report>().toEqualTypeOf<HealthReport>()
  expectTypeOf<Http>().toExtend<OpsHttp>()
  expectTypeOf<Component>().toExtend<OpsComponent>()
  expectTypeOf<Sync>().toExtend<SyncLike>()
  const collections = { task: { fields: { title: 'lww' }, scope: ({ title }: { title: string }) => title } } as const
  compiled(() => createSync({ store: {} as never, scopes: () => [], collections }) satisfies SyncLike)
  expectTypeOf(healthApi).returns.toEqualTypeOf<FetchHandler>()
  expectTypeOf(opsApi).returns.toEqualTypeOf<FetchHandler>()
})

test('authorize is required, and answers who it is', () => {
  compiled(() => [
    opsApi({ ...options, authorize: 'public' }),
    opsApi({ ...options, authorize: () => principal }),
    opsApi({ ...options, authorize: async (request) => (request.headers.has('x') ? principal : undefined) }),
    opsApi({ ...options, authorize: () => new Response(null, { status: 403 }) }),
    // @ts-expect-error nobody is let in by default
    opsApi(options),
    // @ts-expect-error not who, only that
    opsApi({ ...options, authorize: () => true }),
    // @ts-expect-error no such word
    opsApi({ ...options, authorize: 'private' }),
    // @ts-expect-error probes send no credentials
    healthApi({ health, authorize: 'public' }),
    syncApi({ ...forSync, authorize: () => principal }),
    // @ts-expect-error every edit is somebody's
    syncApi({ ...forSync, authorize: 'public' }),
  ])
  expectTypeOf<OpsApiOptions['authorize']>().toEqualTypeOf<Authorize>()
})

test('what is given must be able to answer', () => {
  compiled(() => [
    // @ts-expect-error a component is inspected
    opsApi({ http, components: [{ metrics: () => [] }], authorize: 'public' }),
    // @ts-expect-error a pipeline has a state
    opsApi({ http, components: [], pipelines: [{ name: 'stripe' }], authorize: 'public' }),
    // @ts-expect-error http renders problems
    opsApi({ http: {}, components: [], authorize: 'public' }),
    // @ts-expect-error a health has readiness
    healthApi({ health: { liveness: health.liveness } }),
  ])
  expectTypeOf<ReturnType<PipelineLike['state']>>().toEqualTypeOf<'closed' | 'open' | 'half-open' | 'ramp'>()
})

test('a route knows its parameters', () => {
  expectTypeOf<ParamsOf<'/endpoints/:id/attempts/:attempt'>>().toEqualTypeOf<'id' | 'attempt'>()
  expectTypeOf<ParamsOf<'/endpoints'>>().toBeNever()
  expectTypeOf<ApiCall<'/explain/:correlationId'>['params']>().toEqualTypeOf<
    Readonly<Record<'correlationId', string>>
  >()
  compiled(() =>
    apiOf(
      {
        '/endpoints/:id': {
          GET: ({ params }) => new Response(params.id),
          // @ts-expect-error no such parameter
          DELETE: ({ params }) => new Response(params.name),
        },
      },
      { authorize: 'public', problem: (error) => http.problem(error) },
    ),
  )
})
