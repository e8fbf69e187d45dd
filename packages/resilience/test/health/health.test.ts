import { expect, test } from 'vitest'
import { context } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createPipeline } from '../../src/index.ts'
import { createHealth, type Health, type HealthOptions } from '../../src/health/index.ts'

interface Watched {
  readonly clock: ReturnType<typeof virtualClock>
  readonly health: Health
}

function started(options: HealthOptions = {}): Watched {
  const clock = virtualClock()
  const health = createHealth({ clock, ...options })
  health.started()
  return { clock, health }
}

const failing = (message = 'refused') => ({
  check: () => {
    throw new Error(message)
  },
})
const passes = { check: () => true }
const hangs = { check: () => new Promise(() => {}) }

test('a process is not ready before started(), and never again after drain(), whose first reason stays', async () => {
  const health = createHealth()
  let asked = 0
  health.add('db', { check: () => void asked++ })
  const starting = { ok: false, status: 'down', reason: 'not started', checks: {} }
  expect(await health.readiness()).toEqual(starting)
  expect(await health.startup()).toEqual(starting)
  health.started()
  expect(await health.readiness()).toMatchObject({ ok: true, status: 'ok', checks: { db: { ok: true } } })
  expect(await health.startup()).toEqual({ ok: true, status: 'ok', checks: {} })
  health.drain('SIGTERM')
  health.drain('again')
  health.started()
  expect(await health.readiness()).toEqual({ ok: false, status: 'down', reason: 'draining: SIGTERM', checks: {} })
  // It is alive and has started: nobody should restart it while it drains.
  expect(await health.startup()).toMatchObject({ ok: true })
  expect(await health.liveness()).toMatchObject({ ok: true })
  expect(asked).toBe(1)
})

test('a drain that begins while checks run counts', async () => {
  const { clock, health } = started()
  health.add('slow', { check: () => clock.sleep(100) })
  const report = health.readiness()
  health.drain('SIGTERM')
  await clock.advance(100)
  expect(await report).toMatchObject({ ok: false, reason: 'draining: SIGTERM' })
})

test('a failed check degrades, a critical one takes the node out of traffic, and the reason names only those', async () => {
  const { health } = started()
  health.add('db', { ...passes, critical: true })
  health.add('search', failing())
  expect(await health.readiness()).toEqual({
    ok: true,
    status: 'degraded',
    reason: 'failed: search',
    checks: {
      db: { ok: true, critical: true, ms: 0 },
      search: { ok: false, critical: false, ms: 0, error: 'refused' },
    },
  })
  health.add('queue', { ...failing(), critical: true })
  expect(await health.readiness()).toMatchObject({ ok: false, status: 'down', reason: 'failed: queue' })
})

test('a check fails by a throw, a rejection, false and silence; anything else passes', async () => {
  const { clock, health } = started({ timeout: 800 })
  health.add('throws', failing('sync'))
  health.add('rejects', { check: () => Promise.reject(new Error('async')) })
  health.add('false', { check: () => false })
  health.add('code', { check: () => Promise.reject(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' })) })
  health.add('odd', { check: () => Promise.reject(undefined) })
  health.add('hangs', hangs)
  health.add('own-limit', { ...hangs, timeout: 300 })
  for (const value of [undefined, null, 0, '', true]) health.add(`value.${String(value)}`, { check: () => value })
  const asked = health.readiness()
  await clock.advance(800)
  const { checks } = await asked
  const errors = Object.entries(checks).flatMap(([name, { error }]) => (error === undefined ? [] : [[name, error]]))
  expect(Object.fromEntries(errors)).toEqual({
    throws: 'sync',
    rejects: 'async',
    false: 'it answered false',
    code: 'ECONNREFUSED',
    odd: 'threw undefined',
    hangs: 'no answer within 800 ms',
    'own-limit': 'no answer within 300 ms',
  })
  expect([checks['hangs']!.ms, checks['own-limit']!.ms]).toEqual([800, 300])
  expect(clock.pending()).toBe(0)
})

test('by default a frozen dependency is reported before a probe of 1 s gives up', async () => {
  const { clock, health } = started()
  health.add('db', { ...hangs, critical: true })
  let report: unknown
  void health.readiness().then((answer) => (report = answer))
  await clock.advance(800)
  expect(report).toMatchObject({ ok: false, status: 'down', reason: 'failed: db', checks: { db: { ms: 800 } } })
})

test('the text of an error is bounded', async () => {
  const { health } = started()
  health.add('chatty', failing('x'.repeat(10_000)))
  expect((await health.readiness()).checks['chatty']!.error).toHaveLength(200)
})

test('many askers share one run, and its result holds for `cache`', async () => {
  const { clock, health } = started({ cache: '1s' })
  let runs = 0
  health.add('db', {
    check: () => {
      runs++
      return clock.sleep(50)
    },
  })
  const reports = Promise.all(Array.from({ length: 100 }, () => health.readiness()))
  await clock.advance(50)
  expect((await reports).every(({ ok }) => ok)).toBe(true)
  await clock.advance(999)
  await health.readiness()
  expect(runs).toBe(1)
  await clock.advance(1)
  const next = health.readiness()
  await clock.advance(50)
  await next
  expect(runs).toBe(2)
})

test('with cache 0 each asker that comes later is a run of its own', async () => {
  const { health } = started({ cache: 0 })
  let runs = 0
  health.add('db', { check: () => void runs++ })
  await health.readiness()
  await health.readiness()
  expect(runs).toBe(2)
})

test('while a run hangs beyond its time, askers hear so at once; a new one begins only after ten times that', async () => {
  const { clock, health } = started({ timeout: 100, cache: 0 })
  let runs = 0
  health.add('db', {
    check: () => {
      runs++
      return new Promise(() => {})
    },
  })
  const first = health.readiness()
  await clock.advance(100)
  expect((await first).status).toBe('degraded')
  await clock.advance(899)
  expect((await health.readiness()).status).toBe('degraded')
  expect(runs).toBe(1)
  await clock.advance(1)
  const later = health.readiness()
  expect(runs).toBe(2)
  await clock.advance(100)
  expect((await later).status).toBe('degraded')
})

test('a late answer is no news, but the next run is', async () => {
  const { clock, health } = started({ timeout: 100, cache: 0 })
  let answers = 0
  health.add('db', { check: () => clock.sleep(answers++ === 0 ? 150 : 10) })
  const first = health.readiness()
  await clock.advance(150)
  expect((await first).status).toBe('degraded')
  const second = health.readiness()
  await clock.advance(10)
  expect((await second).status).toBe('ok')
})

test('the signal of a check aborts when its time is over, and only then', async () => {
  const { clock, health } = started({ timeout: 100 })
  const seen: Record<string, AbortSignal> = {}
  health.add('quick', { check: (signal) => void (seen['quick'] = signal) })
  health.add('slow', {
    check(signal) {
      seen['slow'] = signal
      return new Promise(() => {})
    },
  })
  const asked = health.readiness()
  await clock.advance(100)
  await asked
  expect(seen['quick']!.aborted).toBe(false)
  expect(seen['slow']!.reason).toMatchObject({ name: 'TimeoutError', message: 'no answer within 100 ms' })
})

test('a check does not run in the context of the request that happens to ask', async () => {
  const { health } = started()
  let seen: unknown = 'not asked'
  health.add('db', { check: () => void (seen = context.get()) })
  await context.run({ deadline: 1, tenant: 'm1' }, () => health.readiness())
  expect(seen).toBeUndefined()
})

test('a check that was taken away is not asked; taking it away twice does not take a later one of its name', async () => {
  const { health } = started()
  const remove = health.add('db', failing())
  remove()
  expect((await health.readiness()).checks).toEqual({})
  health.add('db', passes)
  remove()
  expect(Object.keys((await health.readiness()).checks)).toEqual(['db'])
})

test('a watched pipeline fails while its breaker is open; half-open and ramp pass', async () => {
  const { health } = started({ cache: 0 })
  let state: 'closed' | 'open' | 'half-open' | 'ramp' = 'closed'
  const asked: unknown[] = []
  health.watch({ name: 'stripe', state: (key) => (asked.push(key), state) }, { key: 'eu' })
  const ok = async (): Promise<boolean> => (await health.readiness()).checks['stripe']!.ok
  expect(await ok()).toBe(true)
  state = 'open'
  expect(await health.readiness()).toMatchObject({ ok: true, status: 'degraded', reason: 'failed: stripe' })
  state = 'half-open'
  expect(await ok()).toBe(true)
  state = 'ramp'
  expect(await ok()).toBe(true)
  expect(new Set(asked)).toEqual(new Set(['eu']))
})

test('without a key the breakers of all keys are watched: a pipeline that is called with keys uses no other', async () => {
  const { health } = started({ cache: 0 })
  const pipeline = createPipeline({ name: 'carrier', breaker: { minCalls: 1 } })
  health.watch(pipeline, { critical: true })
  expect((await health.readiness()).ok).toBe(true)
  await pipeline.try(() => Promise.reject(new Error('down')), { key: 'host-a' })
  expect(pipeline.state()).toBe('closed')
  expect(await health.readiness()).toMatchObject({ ok: false, reason: 'failed: carrier' })
  pipeline.force('closed', 'host-a')
  expect((await health.readiness()).ok).toBe(true)
})

test('an open critical pipeline: not ready, named, alive', async () => {
  const { health } = started()
  const remove = health.watch({ name: 'ledger', state: () => 'open' }, { critical: true })
  expect(await health.readiness()).toMatchObject({ ok: false, status: 'down', reason: 'failed: ledger' })
  expect((await createHealth().liveness()).ok).toBe(true)
  remove()
  expect((await health.readiness()).status).toBe('ok')
})

test('liveness asks the event loop and nothing else', async () => {
  const { clock, health } = started({ maxLag: '5s' })
  health.add('db', { ...failing(), critical: true })
  const quick = health.liveness()
  await clock.advance(0)
  expect(await quick).toEqual({ ok: true, status: 'ok', checks: { 'event-loop': { ok: true, critical: true, ms: 0 } } })
})

test('a loop whose turn takes over maxLag is down, measured on the real one', async () => {
  const health = createHealth({ maxLag: 20 })
  const asked = health.liveness()
  const sinceMs = performance.now()
  while (performance.now() - sinceMs < 60);
  const { ok, status, reason, checks } = await asked
  expect({ ok, status, reason }).toEqual({ ok: false, status: 'down', reason: 'failed: event-loop' })
  expect(checks['event-loop']!.ms).toBeGreaterThanOrEqual(20)
})

test.each([
  [{ cach: 1 }, /unknown option "cach"; did you mean "cache"\?/],
  [{ cache: -1 }, /"cache" must be .*\(got -1\)/],
  [{ timeout: 0 }, /"timeout" must be .*at least 1/],
  [{ timeout: '2h' }, /"timeout" must be .*at most 1h/],
  [{ maxLag: 'soon' }, /"maxLag" must be .*\(got 'soon'\)/],
  [{ clock: {} }, /"clock" must be an object with now\(\)/],
])('createHealth refuses %j', (options, message) => {
  const create = (): unknown => createHealth(options as HealthOptions)
  expect(create).toThrow(message)
  expect(create).toThrow(expect.objectContaining({ name: 'ResilienceError', code: 'OPTION_INVALID', retryable: false }))
})

test('add and watch refuse what they cannot do', () => {
  const { health } = started()
  health.add('db', passes)
  const add = (name: unknown, check: unknown): (() => unknown) => {
    return () => health.add(name as string, check as typeof passes)
  }
  expect(add('db', passes)).toThrow(/"name" must be new/)
  expect(add('', passes)).toThrow(/"name" must be 1 to 64/)
  expect(add('a\nb', passes)).toThrow(/"name" must be 1 to 64/)
  expect(add(undefined, passes)).toThrow(/"name" must be 1 to 64/)
  expect(add('x', {})).toThrow(/"check" is required/)
  expect(add('x', { check: true })).toThrow(/"check" must be a function/)
  expect(add('x', { ...passes, critical: 'yes' })).toThrow(/"critical" must be true or false/)
  expect(add('x', { ...passes, timeOut: 1 })).toThrow(/did you mean "timeout"/)
  const pipeline = { name: 'db', state: () => 'open' as const }
  expect(() => health.watch(pipeline)).toThrow(/"name" must be new/)
  expect(() => health.watch({ ...pipeline, name: 'p' }, { crit: true } as never)).toThrow(/unknown option "crit"/)
  expect(() => health.watch({ name: 'p' } as never)).toThrow(/state\(\)/)
})
