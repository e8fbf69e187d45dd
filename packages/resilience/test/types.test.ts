/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { PGlite } from '@electric-sql/pglite'
import { Cluster, Redis } from 'ioredis'
import pg from 'pg'
import type { createClient } from 'redis'
import { expectTypeOf, test } from 'vitest'
import type { Component } from '@keelson/kernel'
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
