import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, test } from 'vitest'
import { context, type Clock } from '@keelson/kernel'
import { virtualClock } from '@keelson/kernel/testing'
import { createChaos } from '../../src/chaos/index.ts'
import { createPipeline } from '../../src/index.ts'
import { expectNoUnhandled } from '../no-unhandled.ts'
import { fails, never, on, seen, upstreamError } from './on-virtual-clock.ts'

expectNoUnhandled()

test.each(['a timeout', 'the deadline'])('the pipeline may be closed by a work that is told of %s', async (what) => {
  const { pipeline, clock } = on(what === 'a timeout' ? { attempt: 10, retry: true } : { deadline: 10 })
  const other = seen(pipeline.try(never, { key: 'other' }))
  const outcome = seen(
    pipeline.try(({ signal }) => {
      signal.addEventListener('abort', () => void pipeline.close())
      return never()
    }),
  )
  await clock.advance(1_000)
  expect(outcome.value).toMatchObject({ kind: what === 'a timeout' ? 'closed' : 'deadline' })
  expect(other.value).toMatchObject({ ok: false })
  expect(clock.pending()).toBe(0)
})

test('an abort in the first line of the work ends the call, and its place is free when the work ends', async () => {
  const { pipeline, clock } = on({ limit: 1 })
  const controller = new AbortController()
  const reason = new Error('gone')
  const outcome = seen(
    pipeline.try(
      () => {
        controller.abort(reason)
        return clock.sleep(10)
      },
      { signal: controller.signal },
    ),
  )
  await clock.advance(0)
  expect(outcome.value).toMatchObject({ kind: 'aborted', error: reason, attempts: 1 })
  expect(await pipeline.try(() => 1)).toMatchObject({ kind: 'shed' })
  await clock.advance(10)
  expect(await pipeline.try(() => 1)).toMatchObject({ ok: true })
})

test('chaos strikes each attempt as if the upstream did', async () => {
  const chaos = createChaos({ seed: 1, rules: [{ rate: 1, fault: 'error' }] })
  const { pipeline, clock } = on({ retry: { base: 0 }, chaos })
  let works = 0
  const outcome = seen(pipeline.try(() => works++))
  await clock.advance(10)
  expect(outcome.value).toMatchObject({ kind: 'failed', error: { code: 'CHAOS' }, attempts: 3 })
  expect(works).toBe(0)
  chaos.enabled = false
  expect(await pipeline.run(({ attempt }) => attempt)).toBe(1)
})

test.each(['an attempt', 'a call', 'a caller'])('a latency of chaos that outlasts %s begins no work', async (whose) => {
  const clock = virtualClock()
  const chaos = createChaos({ seed: 1, rules: [{ rate: 1, fault: 'latency', ms: [50, 50] }], clock })
  const policies = { 'an attempt': { attempt: 10, retry: { base: 0 } }, 'a call': { deadline: 10 }, 'a caller': {} }
  const pipeline = createPipeline({ name: 'up', clock, chaos, ...policies[whose as keyof typeof policies] })
  const caller = new AbortController()
  let works = 0
  const outcome = seen(pipeline.try(() => ++works, { signal: caller.signal }))
  await clock.advance(10)
  caller.abort(new Error('gone'))
  await clock.advance(1_000)
  expect(outcome.value).toMatchObject({ ok: false })
  expect(works).toBe(0)
  expect(await pipeline.inspect()).toMatchObject({ inFlight: 0 })
})

test('nothing is tried again for a caller who leaves when an attempt times out', async () => {
  const { pipeline, clock } = on({ attempt: 10, retry: { base: 5 } })
  const controller = new AbortController()
  let works = 0
  const outcome = seen(
    pipeline.try(
      ({ signal }) => {
        works++
        signal.addEventListener('abort', () => controller.abort(new Error('gone')))
        return never()
      },
      { signal: controller.signal },
    ),
  )
  await clock.advance(1_000)
  expect(outcome.value).toMatchObject({ kind: 'aborted', attempts: 1 })
  expect(works).toBe(1)
  expect((await pipeline.inspect()).counts).toMatchObject({ aborted: 1, timeout: 0, failed: 0 })
})

test.each(['ok', 'retry', 'fatal'] as const)('a judge may abort the call, close or force; %s', async (verdict) => {
  const controller = new AbortController()
  const { pipeline, clock } = on({
    retry: { base: 0 },
    limit: { max: 2, queue: 5, abandonAfter: 10 },
    breaker: { minCalls: 100 },
    keys: { max: 1 },
    classify: {
      value: (value) => {
        if (value === 'abort') controller.abort(new Error('gone'))
        if (value === 'force') pipeline.force('open', 'a')
        if (value === 'close') void pipeline.close()
        return verdict
      },
    },
  })
  const live: { value?: unknown }[] = [seen(pipeline.try(never, { key: 'a' }))]
  const aborted = seen(pipeline.try(async () => 'abort', { key: 'a', signal: controller.signal }))
  await clock.advance(100)
  expect(aborted.value).toMatchObject({ kind: 'aborted', attempts: 1 })
  expect(Object.values((await pipeline.inspect()).counts).reduce((sum, count) => sum + count)).toBe(1 + 2)
  const forced = seen(pipeline.try(async () => 'force', { key: 'a' }))
  await clock.advance(100)
  expect(forced.value).toMatchObject({ ok: true, value: 'force' })
  pipeline.force(null)
  live.push(seen(pipeline.try(async () => 'close', { key: 'a' })))
  await clock.advance(100)
  expect(live.map(({ value }) => value)).toMatchObject([{ kind: 'closed' }, { kind: 'closed' }])
  expect(clock.pending()).toBe(0)
})

test('an answer whose `then` throws is a failure of the work', async () => {
  const { pipeline } = on({ limit: 1 })
  const wrong = new Error('then')
  const then = 'then' as string
  const fail = (): never => {
    throw wrong
  }
  const throwing: object = Object.defineProperty({}, then, { get: fail })
  const odd = Object.defineProperty(new Promise(() => {}), then, { value: fail })
  expect(await pipeline.try(() => throwing)).toMatchObject({ kind: 'failed', error: wrong })
  expect(await pipeline.try(() => odd)).toMatchObject({ kind: 'failed', error: wrong })
  expect(await pipeline.try(() => 1)).toMatchObject({ ok: true })
})

test('a work that frees a place of another key lets in who waits there', async () => {
  const { pipeline, clock } = on({ limit: { max: 1, queue: 5 } })
  const a = pipeline.admit({ key: 'a' })
  const b = pipeline.admit({ key: 'b' })
  const waitsForA = seen(pipeline.try(() => b.settle('ok'), { key: 'a' }))
  const waitsForB = seen(pipeline.try(() => 'b', { key: 'b' }))
  a.settle('ok')
  await clock.advance(0)
  expect([waitsForA.value, waitsForB.value]).toMatchObject([{ ok: true }, { value: 'b' }])
})

test('works that answer at once in a full queue do not deepen the stack', async () => {
  const { pipeline, clock } = on({ limit: { max: 1, queue: 20_000 } })
  const permit = pipeline.admit()
  let served = 0
  for (let i = 0; i < 20_000; i++) void pipeline.run(() => void served++)
  permit.settle('ignore')
  await clock.advance(0)
  expect(served).toBe(20_000)
})

test('observe refuses nobody, nor those who wait while the breaker opens', async () => {
  const { pipeline, clock } = on({ limit: { max: 1, queue: 5 }, breaker: { minCalls: 1 } })
  pipeline.force('observe')
  void pipeline.try(() => clock.sleep(10).then(fails))
  const waits = seen(pipeline.try(() => 'served'))
  await clock.advance(10)
  expect(pipeline.state()).toBe('open')
  expect(waits.value).toMatchObject({ value: 'served' })
})

test('what is important is not hopeless because others wait behind it', async () => {
  const { pipeline, clock } = on({ limit: { max: 1, queue: 100 } })
  const usual = pipeline.try(() => clock.sleep(10))
  await clock.advance(10)
  await usual
  void pipeline.try(() => clock.sleep(10))
  for (let i = 0; i < 50; i++) void pipeline.try(() => clock.sleep(10), { priority: 3 })
  const first = seen(pipeline.try(() => 'first', { priority: 0, deadline: 100 }))
  await clock.advance(10)
  expect(first.value).toMatchObject({ value: 'first' })
})

/** A clock that a work can move on: what a work that computes for long does to everybody else. */
function movableClock() {
  const clock = virtualClock()
  let aheadMs = 0
  const moved: Clock = { ...clock, monotonic: () => clock.monotonic() + aheadMs }
  return { clock, moved, block: (forMs: number): void => void (aheadMs += forMs) }
}

test('no attempt begins after its deadline because another work has held the process', async () => {
  const { clock, moved, block } = movableClock()
  const pipeline = createPipeline({
    name: 'up',
    limit: { max: 1, queue: 5 },
    retry: { base: 5, jitter: 'none' },
    clock: moved,
  })
  const permit = pipeline.admit()
  const begun: string[] = []
  const hog = pipeline.try(() => (begun.push('hog'), block(500)))
  const late = seen(pipeline.try(() => begun.push('late'), { deadline: 100 }))
  permit.settle('ok')
  await hog
  await clock.advance(200)
  expect(begun).toEqual(['hog'])
  expect(late.value).toMatchObject({ kind: 'shed' })

  const free = createPipeline({ name: 'up', retry: { base: 5, jitter: 'none' }, clock: moved })
  const times: number[] = []
  void free.try(({ attempt }) => (attempt === 1 ? fails() : block(500)))
  const second = seen(free.try(({ remaining }) => (times.push(remaining), fails()), { deadline: 100 }))
  await clock.advance(200)
  expect(times).toEqual([100])
  expect(second.value).toMatchObject({ kind: 'deadline' })
})

test('a hedge of a retry is a retry', async () => {
  const { pipeline, clock } = on({ attempt: 20, retry: { base: 0 }, hedge: { after: 5 } })
  const retries: unknown[] = []
  void pipeline.try(() => (retries.push(context.get()?.retryAttempt), never()), { idempotent: true })
  await clock.advance(100)
  expect(retries).toEqual([undefined, undefined, 1, 1, 2, 2])
})

test('a call that was given up at its deadline after retries is not made again by an outer pipeline', async () => {
  const { pipeline, clock } = on({ deadline: 100, retry: { base: 0 } })
  const outer = createPipeline({ name: 'outer', retry: { base: 0 }, clock })
  let works = 0
  const outcome = seen(outer.try(() => pipeline.run(() => (works++, clock.sleep(60).then(fails)))))
  await clock.advance(1_000)
  expect(works).toBe(2)
  expect(outcome.value).toMatchObject({ suppressed: 'layer', error: { code: 'DEADLINE_EXCEEDED' } })
})

test('times that an upstream asks for and that are no times count as none; one that never ends is not waited for', async () => {
  for (const retryAfter of [Number.NaN, -5_000, '5' as unknown as number]) {
    const { pipeline, clock } = on({
      deadline: false,
      retry: { base: 10, attempts: 2 },
      breaker: { minCalls: 2, open: 100 },
      classify: { error: () => ({ class: 'throttle', retryAfter }) },
    })
    const starts: number[] = []
    const outcome = seen(pipeline.try(() => (starts.push(clock.monotonic()), fails())))
    await clock.advance(10)
    expect(starts).toEqual([0, 10])
    expect(outcome.value).toEqual({ ok: false, kind: 'failed', error: upstreamError, attempts: 2 })
    await clock.advance(99)
    expect(pipeline.state()).toBe('open')
  }
  const { pipeline, clock } = on({
    deadline: false,
    retry: { base: 10 },
    classify: { error: () => ({ class: 'retry', retryAfter: Infinity }) },
  })
  const outcome = seen(pipeline.try(fails))
  await clock.advance(0)
  expect(outcome.value).toMatchObject({ kind: 'failed', suppressed: 'deadline' })
})

test('a fallback runs in the context of its call when somebody else closes the pipeline', async () => {
  const als = new AsyncLocalStorage<string>()
  const { pipeline, clock } = on({ deadline: false, fallback: () => als.getStore() })
  const outcome = seen(als.run('caller', () => pipeline.run(never)))
  await als.run('closer', () => pipeline.close())
  await clock.advance(0)
  expect(outcome.value).toBe('caller')
})

test('options that are no object are refused as others are', async () => {
  const { pipeline } = on()
  for (const wrong of [null, 'key', 5]) {
    expect(await pipeline.try(() => 1, wrong as never)).toMatchObject({ error: { code: 'INPUT_INVALID' } })
    await expect(pipeline.run(() => 1, wrong as never)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    expect(() => pipeline.admit(wrong as never)).toThrow('the options must be an object')
  }
})

test('a call within the work of the same pipeline is a call like others', async () => {
  const { pipeline, clock } = on({ deadline: 50, limit: { max: 1, queue: 1 } })
  const outcome = seen(pipeline.run(async () => pipeline.run(() => 'inner', { deadline: 20 })))
  await clock.advance(20)
  expect(outcome.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  expect(await pipeline.run(() => 'free')).toBe('free')
})

test('frozen errors, undefined and functions are thrown through', async () => {
  const { pipeline, clock } = on({ retry: { base: 0, budget: false } })
  for (const thrown of [undefined, null, Object.freeze(new Error('frozen')), () => {}, Symbol('s'), 0n]) {
    let works = 0
    const outcome = seen(
      pipeline
        .run(() => {
          works++
          throw thrown
        })
        .then(
          () => 'value',
          (error: unknown) => ({ error }),
        ),
    )
    await clock.advance(0)
    expect(outcome.value).toEqual({ error: thrown })
    expect(works).toBe(3)
  }
})
