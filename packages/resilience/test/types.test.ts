/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { PGlite } from '@electric-sql/pglite'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import type { createClient } from 'redis'
import { expectTypeOf, test } from 'vitest'
import type { Component } from '@keelson/kernel'
import { resilientFetch, type ResilientFetch, verdicts } from '../src/fetch/index.ts'
import { createPipeline } from '../src/index.ts'
import { checks, type Check, type Health, type Report } from '../src/health/index.ts'
import type { Part, Shutdown, ShutdownOptions, ShutdownResult } from '../src/shutdown/index.ts'

declare const health: Health
declare const shutdown: Shutdown

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use

test('every client that is promised can be checked', () => {
  expectTypeOf<pg.Pool | PGlite>().toExtend<Parameters<typeof checks.database>[0]>()
  expectTypeOf<pg.Client>().not.toExtend<Parameters<typeof checks.database>[0]>()
  expectTypeOf<Redis | Cluster | ReturnType<typeof createClient>>().toExtend<Parameters<typeof checks.redis>[0]>()
  expectTypeOf(checks.component).returns.toEqualTypeOf<Check>()
  expectTypeOf<Component>().toExtend<Parameters<typeof checks.component>[0]>()
})

test('a check has check(), a name and a known option', () => {
  compiled(() => [
    health.add('db', { check: (signal) => signal.aborted, critical: true, timeout: '1s' }),
    // @ts-expect-error no check
    health.add('db', { critical: true }),
    // @ts-expect-error no such option
    health.add('db', { check: () => true, optional: true }),
    // @ts-expect-error a breaker has a state
    health.watch({ name: 'stripe' }),
  ])
  expectTypeOf<Health['readiness']>().returns.resolves.toEqualTypeOf<Report>()
  expectTypeOf<Report['status']>().toEqualTypeOf<'ok' | 'degraded' | 'down'>()
})

test('a part drains, closes, or both', () => {
  expectTypeOf<Component>().toExtend<Part>()
  expectTypeOf<{ drain(signal: AbortSignal): Promise<void> }>().toExtend<Part>()
  compiled(() => [
    shutdown.add('db', { close: () => 'closed' }),
    // @ts-expect-error neither
    shutdown.add('db', {}),
    // @ts-expect-error end() is not called
    shutdown.add('db', { end: () => {} }),
  ])
  expectTypeOf<Health>().toExtend<NonNullable<ShutdownOptions['health']>>()
  expectTypeOf<Shutdown['shutdown']>().returns.resolves.toEqualTypeOf<ShutdownResult>()
  expectTypeOf<ShutdownResult['code']>().toEqualTypeOf<0 | 1>()
})

test('a resilient fetch is a fetch, with a pipeline of its own judge', () => {
  expectTypeOf<ResilientFetch>().toExtend<typeof fetch>()
  expectTypeOf<ResilientFetch['pipeline']['name']>().toEqualTypeOf<string>()
  compiled(() => [
    resilientFetch({ name: 'up', retry: true, propagate: ['host'], idempotencyKey: true, bodyIdle: '5s' }),
    resilientFetch({ name: 'up', fallback: () => new Response() })('https://host/', { method: 'PUT', body: 'x' }),
    createPipeline<Response>({ name: 'up', classify: verdicts }),
    // @ts-expect-error no name
    resilientFetch({ retry: true }),
    // @ts-expect-error it has its own judge
    resilientFetch({ name: 'up', classify: verdicts }),
    // @ts-expect-error not yet
    resilientFetch({ name: 'up', obeyRateLimit: true }),
    // @ts-expect-error to none is its default
    resilientFetch({ name: 'up', propagate: false }),
    // @ts-expect-error no Response
    resilientFetch({ name: 'up', fallback: () => 'down' }),
    // @ts-expect-error a judge of answers of HTTP
    createPipeline<string>({ name: 'up', classify: verdicts }),
  ])
})
