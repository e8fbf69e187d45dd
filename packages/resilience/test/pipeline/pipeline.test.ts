import { AsyncLocalStorage } from 'node:async_hooks'
import { tracingChannel } from 'node:diagnostics_channel'
import { getEventListeners } from 'node:events'
import { runInNewContext } from 'node:vm'
import { describe, expect, test, vi } from 'vitest'
import { context } from '@keelson/kernel'
import {
  createBudget,
  createPipeline,
  ResilienceError,
  type Call,
  type Failure,
  type PipelineOptions,
} from '../../src/index.ts'
import { expectNoUnhandled } from '../no-unhandled.ts'
import { fails, never, on, seen, upstreamError } from './on-virtual-clock.ts'

expectNoUnhandled()

const withStatus = (status: number, more: object = {}): Error =>
  Object.assign(new Error(`status ${status}`), { status, ...more })

describe('a call', () => {
  test('answers what the work answers, now or later, and rejects with its error, thrown or rejected', async () => {
    const { pipeline } = on()
    expect(await pipeline.run(() => 1)).toBe(1)
    expect(await pipeline.run(async () => 2)).toBe(2)
    const foreign = runInNewContext('Promise.resolve(3)') as Promise<number>
    expect(foreign).not.toBeInstanceOf(Promise)
    expect(await pipeline.run(() => foreign)).toBe(3)
    await expect(pipeline.run(fails)).rejects.toBe(upstreamError)
    await expect(
      pipeline.run(() => {
        throw upstreamError
      }),
    ).rejects.toBe(upstreamError)
    expect(await pipeline.try(async () => 4)).toEqual({ ok: true, value: 4, attempts: 1, fallback: false })
    expect(await pipeline.try(fails)).toEqual({ ok: false, kind: 'failed', error: upstreamError, attempts: 1 })
    expect(await pipeline.try(() => Promise.reject(undefined))).toEqual({
      ok: false,
      kind: 'failed',
      error: undefined,
      attempts: 1,
    })
  })

  test('knows its attempt, its key and what is left of its time', async () => {
    const { pipeline, clock } = on({ deadline: 100, attempt: 80, retry: { base: 0 } })
    const calls: Partial<Call>[] = []
    const work = ({ attempt, key, remaining }: Call): Promise<void> => {
      calls.push({ attempt, key, remaining })
      return attempt < 3 ? Promise.reject(upstreamError) : Promise.resolve()
    }
    const done = pipeline.run(work, { key: 'eu' })
    await clock.advance(0)
    await done
    expect(calls).toEqual([
      { attempt: 1, key: 'eu', remaining: 80 },
      { attempt: 2, key: 'eu', remaining: 80 },
      { attempt: 3, key: 'eu', remaining: 80 },
    ])
  })

  test('ends at its deadline, the nearest of three, and its late result is swallowed', async () => {
    const { pipeline, clock } = on({ deadline: 100 })
    const signals: AbortSignal[] = []
    const work = ({ signal }: Call): Promise<never> => {
      signals.push(signal)
      return new Promise((_, reject) => clock.timer(() => reject(new Error('late')), 1_000))
    }
    const own = seen(pipeline.run(work))
    const calls = seen(pipeline.run(work, { deadline: 50 }))
    const contexts = seen(context.run({ deadline: clock.monotonic() + 20 }, () => pipeline.run(work)))
    await clock.advance(20)
    expect(contexts.error).toMatchObject({
      code: 'DEADLINE_EXCEEDED',
      message: 'pipeline "up": no answer within 20 ms',
    })
    await clock.advance(29)
    expect(calls).toEqual({})
    await clock.advance(1)
    expect(calls.error).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
    await clock.advance(49)
    expect(own).toEqual({})
    await clock.advance(1)
    expect(own.error).toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true, true])
    expect(signals[0]!.reason).toBe(own.error)
    await clock.advance(1_000)
    const gone = await context.run({ deadline: clock.monotonic() }, () => pipeline.try(vi.fn()))
    expect(gone).toMatchObject({ kind: 'deadline', attempts: 0 })
  })

  test("ends in the same tick when the caller aborts, with the signal's reason, wherever it is", async () => {
    const { pipeline, clock } = on({
      retry: { base: 1_000 },
      limit: { max: 1, queue: 1 },
      fallback: () => 'never asked',
    })
    const reason = new Error('gone')
    const inAttempt = new AbortController()
    const inQueue = new AbortController()
    const inBackoff = new AbortController()
    const backsOff = seen(pipeline.run(fails, { signal: inBackoff.signal }))
    await clock.advance(0)
    const runs = seen(pipeline.run(never, { signal: inAttempt.signal }))
    const waits = seen(pipeline.run(never, { signal: inQueue.signal }))
    expect((await pipeline.inspect()).queued).toBe(1)
    for (const controller of [inQueue, inBackoff, inAttempt]) controller.abort(reason)
    await Promise.resolve()
    expect([backsOff.error, waits.error, runs.error]).toEqual([reason, reason, reason])
    for (const { signal } of [inQueue, inBackoff, inAttempt]) expect(getEventListeners(signal, 'abort')).toEqual([])
    const work = vi.fn()
    expect(await pipeline.try(work, { signal: inQueue.signal })).toEqual({
      ok: false,
      kind: 'aborted',
      error: reason,
      attempts: 0,
    })
    expect(work).not.toHaveBeenCalled()
  })

  test('shares one listener with all that have the same signal', async () => {
    const { pipeline, clock } = on({ deadline: 100 })
    const { signal } = new AbortController()
    const all = Array.from({ length: 100 }, () => pipeline.try(never, { signal }))
    expect(getEventListeners(signal, 'abort')).toHaveLength(1)
    await clock.advance(100)
    expect((await Promise.all(all)).every((outcome) => !outcome.ok && outcome.kind === 'deadline')).toBe(true)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('leaves a signal that calls follow each other under when the event loop turns', async () => {
    const { pipeline } = on()
    const { signal } = new AbortController()
    const work = (): number => 1
    await pipeline.run(work, { signal })
    expect(getEventListeners(signal, 'abort')).toEqual([])
    for (let i = 0; i < 1_000; i++) await pipeline.run(work, { signal })
    await new Promise(setImmediate)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('never aborts its signal after a success, and a signal read too late tells how it ended', async () => {
    const { pipeline, clock } = on({ deadline: 100 })
    let ok: Call | undefined
    await pipeline.run((call) => void (ok = call))
    let cut: Call | undefined
    void pipeline.try((call) => ((cut = call), never()))
    await clock.advance(200)
    expect(ok!.signal.aborted).toBe(false)
    expect(cut!.signal.aborted).toBe(true)
    expect(cut!.signal.reason).toMatchObject({ code: 'DEADLINE_EXCEEDED' })
  })

  test('keeps the async context of its caller in every attempt, hedge and fallback, and says which retry it is', async () => {
    const als = new AsyncLocalStorage<string>()
    const { pipeline, clock } = on({
      attempt: 10,
      deadline: 100,
      retry: { attempts: 3, base: 1, budget: createBudget({ burst: 10 }) },
      hedge: { after: 5 },
      limit: { max: 1, queue: 5, abandonAfter: 1 },
      fallback: () => seenIn.push(`fallback ${als.getStore()}`),
    })
    const seenIn: string[] = []
    const work = (call: Call): Promise<never> => {
      seenIn.push(`${als.getStore()} ${call.attempt} ${context.get()?.retryAttempt}`)
      return never()
    }
    const all = ['a', 'b'].map((who) => als.run(who, () => pipeline.try(work, { idempotent: true, deadline: 60 })))
    await clock.advance(200)
    await Promise.all(all)
    expect(seenIn.every((each) => /^(fallback )?[ab]/.test(each))).toBe(true)
    expect(seenIn.slice(0, 3)).toEqual(['a 1 undefined', 'a 2 undefined', 'b 1 undefined'])
    expect(seenIn).toContain('a 3 1')
    expect(seenIn.filter((each) => each.startsWith('fallback'))).toEqual(['fallback a', 'fallback b'])
  })

  test('is refused when its options are wrong, naming option and value; try answers it', async () => {
    const { pipeline } = on()
    for (const [options, message] of [
      [{ key: '' }, `pipeline "up": "key" must be a string of 1 to 512 bytes (got '')`],
      [{ key: 'é'.repeat(257) }, /"key" must be a string of 1 to 512 bytes/],
      [{ key: 5 }, '"key" must be a string of 1 to 512 bytes (got 5)'],
      [{ key: Symbol('k') }, '"key" must be a string of 1 to 512 bytes (got Symbol(k))'],
      [{ priority: 4 }, '"priority" must be 0, 1, 2 or 3 (got 4)'],
      [{ deadline: '5 s' }, `"deadline" must be a Duration such as 250, '250ms', '5s' (got '5 s')`],
      [{ signal: {} }, '"signal" must be an AbortSignal (got an object)'],
      [{ idempotent: 'yes' }, '"idempotent" must be true or false'],
    ] as const) {
      await expect(pipeline.run(never, options as object)).rejects.toThrow(message)
      expect(await pipeline.try(never, options as object)).toMatchObject({
        kind: 'failed',
        error: { code: 'INPUT_INVALID' },
      })
    }
    await expect(pipeline.run(undefined as never)).rejects.toThrow('the work must be a function')
    expect(await pipeline.run(() => 1, { key: 'é'.repeat(256) })).toBe(1)
  })
})

describe('retries', () => {
  test('rejects with the last error itself, or resolves with the last value, and says why there was no more', async () => {
    const errors = [new Error('1'), new Error('2'), new Error('3')]
    const { pipeline, clock } = on({ retry: { base: 10 } })
    let at = 0
    const answer = seen(pipeline.try(() => Promise.reject(errors[at++]!)))
    await clock.advance(10 + 20)
    expect(answer.value).toEqual({ ok: false, kind: 'failed', error: errors[2], attempts: 3 })

    const judged = on({ retry: { base: 0 }, classify: { value: () => 'retry' } })
    let value = 0
    const kept = seen(judged.pipeline.run(() => ++value))
    await judged.clock.advance(0)
    expect(kept.value).toBe(3)
  })

  test.each([
    ['ignore', withStatus(404), 1],
    ['ignore', withStatus(501), 1],
    ['ignore', Object.assign(new Error(), { retryable: false }), 1],
    ['ignore', new ResilienceError('SHED', 'inner'), 1],
    ['retry', withStatus(500), 3],
    ['retry', withStatus(502), 3],
    ['retry', Object.assign(new Error(), { response: { statusCode: 504 } }), 3],
    ['retry', 'a string', 3],
    ['throttle', withStatus(429), 3],
    ['throttle', withStatus(503), 3],
  ] as const)('%s: %s', async (_, error, attempts) => {
    const { pipeline, clock } = on({ retry: { base: 0 } })
    const answer = seen(pipeline.try(() => Promise.reject(error)))
    await clock.advance(0)
    expect(answer.value).toMatchObject({ ok: false, error, attempts })
  })

  test("wait at least as long as the upstream asks, over the cap's head", async () => {
    const { pipeline, clock } = on({ retry: { attempts: 2, base: 10, cap: 10 } })
    const starts: number[] = []
    void pipeline.try(() => {
      starts.push(clock.monotonic())
      return Promise.reject(withStatus(503, { retryAfter: 5_000 }))
    })
    await clock.advance(20_000)
    expect(starts).toEqual([0, 5_010])
  })

  test('are not made when the time, the budget, the breaker or the places do not suffice', async () => {
    const time = on({ deadline: 100, retry: { base: 200 } })
    const late = seen(time.pipeline.try(fails))
    await time.clock.advance(0)
    expect(late.value).toMatchObject({ kind: 'failed', error: upstreamError, suppressed: 'deadline' })

    const budget = createBudget({ burst: 1, ratio: 0, perSecond: 0 })
    const spent = on({ retry: { base: 0, budget } })
    const two = seen(spent.pipeline.try(fails))
    await spent.clock.advance(0)
    expect(two.value).toMatchObject({ attempts: 2, suppressed: 'budget', error: upstreamError })

    const broken = on({ retry: { base: 0 }, breaker: { minCalls: 2 } })
    const opened = seen(broken.pipeline.try(fails))
    await broken.clock.advance(0)
    expect(opened.value).toMatchObject({ attempts: 2, suppressed: 'open', error: upstreamError })

    const full = on({ retry: { base: 10, budget: createBudget({ burst: 1, ratio: 0, perSecond: 0 }) }, limit: 1 })
    const shed = seen(full.pipeline.try(fails))
    await full.clock.advance(0)
    void full.pipeline.try(never)
    await full.clock.advance(10)
    expect(shed.value).toMatchObject({ attempts: 1, suppressed: 'shed', error: upstreamError })
    // What was not begun is not spent.
    expect((await full.pipeline.inspect()).budget).toBe(1)
  })

  test('are made by one layer: not of what another pipeline gave up on, nor inside a retry', async () => {
    const inner = on({ retry: { base: 0 } })
    const outer = createPipeline({ name: 'outer', retry: { base: 0 }, clock: inner.clock })
    let works = 0
    const answer = seen(outer.try(() => inner.pipeline.run(() => (works++, fails()))))
    await inner.clock.advance(0)
    expect(answer.value).toMatchObject({ error: upstreamError, suppressed: 'layer', attempts: 1 })
    expect(works).toBe(3)
    // The same error of a new attempt is new.
    const again = seen(outer.try(fails))
    await inner.clock.advance(0)
    expect(again.value).toMatchObject({ attempts: 3 })
    const nested = seen(context.run({ retryAttempt: 1 }, () => outer.try(fails)))
    await inner.clock.advance(0)
    expect(nested.value).toMatchObject({ attempts: 1, suppressed: 'layer' })
  })

  test('a judge that fails, or answers what is no class, is the answer, and the upstream is not blamed', async () => {
    const wrong = new Error('judge')
    const throwing = on({
      breaker: { minCalls: 1 },
      classify: {
        error: () => {
          throw wrong
        },
      },
    })
    await expect(throwing.pipeline.run(fails)).rejects.toBe(wrong)
    expect(throwing.pipeline.state()).toBe('closed')
    const odd = on({ classify: { value: () => 'okay' as 'ok' } })
    await expect(odd.pipeline.run(() => 1)).rejects.toThrow(
      `pipeline "up": "classify.value" must answer 'ok', 'ignore', 'retry', 'throttle', 'fatal' (got okay)`,
    )
  })
})

describe('a breaker', () => {
  test('opens, refuses with what remains of its time, probes, and closes', async () => {
    const { pipeline, clock } = on({ breaker: { minCalls: 4, open: 1_000, probes: 2 } })
    for (let i = 0; i < 4; i++) await pipeline.try(fails)
    expect(pipeline.state()).toBe('open')
    await clock.advance(400)
    const [one, two] = [await pipeline.try(never), await pipeline.try(never)]
    expect(one).toBe(two)
    expect(Object.isFrozen(one)).toBe(true)
    expect(one).toMatchObject({ ok: false, kind: 'open', retryAfter: 600, attempts: 0 })
    expect((one as Failure).error).toMatchObject({ code: 'BREAKER_OPEN', retryAfter: 600, retryable: true })
    await expect(pipeline.run(never)).rejects.toMatchObject({ code: 'BREAKER_OPEN', retryAfter: 600 })
    await clock.advance(600)
    expect(pipeline.state()).toBe('half-open')
    const first = pipeline.run(() => 1)
    const probe = pipeline.try(() => clock.sleep(10))
    expect(await pipeline.try(never)).toMatchObject({ kind: 'open' })
    await clock.advance(10)
    expect(await first).toBe(1)
    await probe
    expect(pipeline.state()).toBe('closed')
    expect((await pipeline.inspect()).window).toEqual({ total: 0, failed: 0, slow: 0 })
  })

  test('whose probe fails or overstays opens again, for longer each time', async () => {
    const { pipeline, clock } = on({
      breaker: { minCalls: 1, open: { min: 100, max: 1_000 }, probes: 1, probeLease: 50 },
    })
    const left = async (): Promise<number | undefined> => {
      const outcome = await pipeline.try(never)
      return outcome.ok ? undefined : outcome.retryAfter
    }
    await pipeline.try(fails)
    expect(await left()).toBe(100)
    await clock.advance(100)
    await pipeline.try(fails)
    expect(await left()).toBe(200)
    await clock.advance(200)
    void pipeline.try(never)
    await clock.advance(50)
    expect(await left()).toBe(400)
    await clock.advance(400)
    await pipeline.try(fails)
    expect(await left()).toBe(800)
    await clock.advance(800)
    await pipeline.try(fails)
    expect(await left()).toBe(1_000)
  })

  test('counts slow calls, a row of failures, and not what is ignored', async () => {
    const slow = on({ breaker: { minCalls: 2, slow: { over: 100, rate: 0.5 } } })
    const sleeps = [slow.pipeline.run(() => slow.clock.sleep(101)), slow.pipeline.run(() => slow.clock.sleep(101))]
    await slow.clock.advance(101)
    await Promise.all(sleeps)
    expect(slow.pipeline.state()).toBe('open')

    const row = on({ breaker: { minCalls: 100, consecutive: 3 } })
    for (let i = 0; i < 50; i++) await row.pipeline.try(() => 1)
    for (let i = 0; i < 2; i++) await row.pipeline.try(fails)
    await row.pipeline.try(() => 1)
    for (let i = 0; i < 2; i++) await row.pipeline.try(fails)
    expect(row.pipeline.state()).toBe('closed')
    await row.clock.advance('11s')
    await row.pipeline.try(fails)
    // Three in a row, but not inside one window.
    expect(row.pipeline.state()).toBe('closed')
    for (let i = 0; i < 2; i++) await row.pipeline.try(fails)
    expect(row.pipeline.state()).toBe('open')

    const yours = on({ breaker: { minCalls: 1 } })
    await yours.pipeline.try(() => Promise.reject(withStatus(404)))
    expect(yours.pipeline.state()).toBe('closed')
  })

  test('stays open for as long as a throttling upstream asks', async () => {
    const { pipeline, clock } = on({ breaker: { minCalls: 1, open: 100 } })
    await pipeline.try(() => Promise.reject(withStatus(503, { retryAfter: 30_000 })))
    await clock.advance(29_999)
    expect(pipeline.state()).toBe('open')
    await clock.advance(1)
    expect(pipeline.state()).toBe('half-open')
  })

  test('takes no result of an older generation', async () => {
    const { pipeline, clock } = on({ breaker: { minCalls: 1, open: 100, probes: 1 } })
    let failLate: (error: Error) => void = () => {}
    const late = pipeline.try(() => new Promise((_, reject) => (failLate = reject)))
    await pipeline.try(fails)
    await clock.advance(100)
    await pipeline.try(() => 1)
    expect(pipeline.state()).toBe('closed')
    failLate(upstreamError)
    await late
    expect(pipeline.state()).toBe('closed')
  })

  test('is forced open, closed or to observe, one key or all, and given back', async () => {
    const { pipeline } = on({ breaker: { minCalls: 1 } })
    pipeline.force('open', 'a')
    expect([pipeline.state('a'), pipeline.state('b'), pipeline.state()]).toEqual(['open', 'closed', 'closed'])
    expect(await pipeline.try(() => 1, { key: 'a' })).toMatchObject({ kind: 'open' })
    pipeline.force('closed')
    pipeline.force(null, 'a')
    for (let i = 0; i < 3; i++) await pipeline.try(fails, { key: 'a' })
    expect(await pipeline.try(() => 1, { key: 'a' })).toMatchObject({ ok: true })
    pipeline.force(null)
    expect(pipeline.state('a')).toBe('closed')
    pipeline.force('observe')
    await pipeline.try(fails)
    expect(pipeline.state()).toBe('open')
    expect(await pipeline.try(() => 1)).toMatchObject({ ok: true })
    pipeline.force(null)
    expect(await pipeline.try(() => 1)).toMatchObject({ kind: 'open' })
    expect(() => pipeline.force('shut' as 'open')).toThrow(
      `"to" must be 'open', 'closed', 'observe' or null (got shut)`,
    )
    expect(() => on().pipeline.force('open')).toThrow('has no "breaker"')
  })

  test('has a state for each key, and a window of calls', async () => {
    const { pipeline } = on({ breaker: { window: { calls: 4 }, minCalls: 4 } })
    for (let i = 0; i < 4; i++) await pipeline.try(fails, { key: 'a' })
    expect([pipeline.state('a'), pipeline.state('b')]).toEqual(['open', 'closed'])
    expect(await pipeline.inspect()).toMatchObject({ state: 'degraded', breaker: 'open', keys: 1, notClosed: ['a'] })
  })
})

describe('a limit', () => {
  test('sheds what is over it, and frees a place when the work has really ended', async () => {
    const { pipeline, clock } = on({ deadline: 50, limit: { max: 1, abandonAfter: '1m' } })
    const cut = pipeline.try(() => clock.sleep(80))
    await clock.advance(50)
    expect(await cut).toMatchObject({ kind: 'deadline' })
    expect(await pipeline.try(() => 1)).toMatchObject({ kind: 'shed' })
    await expect(pipeline.run(() => 1)).rejects.toMatchObject({ code: 'SHED' })
    await clock.advance(30)
    expect(await pipeline.try(() => 1)).toMatchObject({ ok: true })
  })

  test('takes the place of a work that never ends back', async () => {
    const { pipeline, clock } = on({ deadline: 50, limit: { max: 1, abandonAfter: 200 } })
    void pipeline.try(never)
    await clock.advance(249)
    expect(await pipeline.try(() => 1)).toMatchObject({ kind: 'shed' })
    await clock.advance(1)
    expect(await pipeline.try(() => 1)).toMatchObject({ ok: true })
    expect((await pipeline.inspect()).counts).toMatchObject({ abandoned: 1 })
  })

  test('queues by priority, oldest first, and newest first once the oldest has waited half of its time', async () => {
    const { pipeline, clock } = on({ deadline: 1_000, limit: { max: 1, queue: 10 } })
    const order: string[] = []
    const call = (name: string, priority: 0 | 1 | 2 | 3) =>
      pipeline.try(() => (order.push(name), clock.sleep(10)), { priority })
    const all = [call('first', 1), call('b1', 2), call('b2', 2), call('a1', 1), call('z', 0), call('a2', 1)]
    await clock.advance(60)
    await Promise.all(all)
    expect(order).toEqual(['first', 'z', 'a1', 'a2', 'b1', 'b2'])

    order.length = 0
    const long = on({ deadline: 1_000, limit: { max: 1, queue: 10 } })
    const blocks = long.pipeline.admit()
    const names = ['old', 'new'].map((name) => long.pipeline.try(() => (order.push(name), long.clock.sleep(1))))
    await long.clock.advance(600)
    blocks.settle('ignore')
    await long.clock.advance(10)
    await Promise.all(names)
    expect(order).toEqual(['new', 'old'])
  })

  test('full, sheds the least important one, or the one that comes', async () => {
    const { pipeline, clock } = on({ limit: { max: 1, queue: 2 } })
    void pipeline.try(() => clock.sleep(10))
    const [low, mid] = [
      seen(pipeline.try(() => 'low', { priority: 3 })),
      seen(pipeline.try(() => 'mid', { priority: 2 })),
    ]
    const high = seen(pipeline.try(() => 'high', { priority: 0 }))
    const lower = seen(pipeline.try(() => 'lower', { priority: 3 }))
    await clock.advance(0)
    expect(low.value).toMatchObject({ kind: 'shed' })
    expect(lower.value).toMatchObject({ kind: 'shed' })
    await clock.advance(10)
    expect(mid.value).toMatchObject({ value: 'mid' })
    expect(high.value).toMatchObject({ value: 'high' })
  })

  test('lets nobody wait who cannot be served in time, nor behind a breaker that has opened', async () => {
    const { pipeline, clock } = on({ limit: { max: 1, queue: 5 }, breaker: { minCalls: 2 } })
    const usual = pipeline.try(() => clock.sleep(60))
    await clock.advance(60)
    await usual
    void pipeline.try(() => clock.sleep(10).then(fails))
    expect(await pipeline.try(() => 1, { deadline: 30 })).toMatchObject({ kind: 'shed' })
    const waits = seen(pipeline.try(() => 1))
    await clock.advance(10)
    expect(waits.value).toMatchObject({ kind: 'open' })
  })
})

describe('the rest', () => {
  test('a hedge answers for a slow attempt, which is told to stop, and costs the budget', async () => {
    const { pipeline, clock } = on({ retry: true, hedge: { after: 20 }, limit: 1 })
    const signals: AbortSignal[] = []
    const work = ({ attempt, signal }: Call): Promise<number> => {
      signals.push(signal)
      return attempt === 1 ? never() : clock.sleep(5).then(() => attempt)
    }
    const answer = seen(pipeline.try(work, { idempotent: true }))
    await clock.advance(25)
    expect(answer.value).toEqual({ ok: true, value: 2, attempts: 2, fallback: false })
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, false])
    expect((await pipeline.inspect()).budget).toBeLessThan(9.2)
    const alone = seen(pipeline.try(() => never(), { deadline: 30 }))
    await clock.advance(30)
    expect(alone.value).toMatchObject({ kind: 'shed' })
  })

  test('a hedge that fails does not end the call', async () => {
    const { pipeline, clock } = on({ retry: { attempts: 1 }, hedge: { after: 10 } })
    const answer = seen(
      pipeline.run(({ attempt }) => (attempt === 1 ? clock.sleep(50).then(() => 'slow') : fails()), {
        idempotent: true,
      }),
    )
    await clock.advance(50)
    expect(answer.value).toBe('slow')
  })

  test('a fallback answers for every failure but the abort of the caller; its own error has the first as its cause', async () => {
    const failures: Failure[] = []
    const wrong = new Error('fallback')
    const { pipeline, clock } = on({
      deadline: 50,
      limit: 1,
      fallback: (failure) => {
        failures.push(failure)
        if (failures.length === 4) throw wrong
        return 'instead'
      },
    })
    expect(await pipeline.run(fails)).toBe('instead')
    const late = seen(pipeline.try(never))
    expect(await pipeline.run(() => 1)).toBe('instead')
    await clock.advance(50)
    expect(late.value).toEqual({ ok: true, value: 'instead', attempts: 1, fallback: true })
    expect(failures.map(({ kind }) => kind)).toEqual(['failed', 'shed', 'deadline'])
    await expect(pipeline.run(never)).rejects.toBe(wrong)
    expect(wrong.cause).toMatchObject({ code: 'SHED' })
  })

  test('a fallback that hangs ends with its caller or its pipeline', async () => {
    const { pipeline } = on({ breaker: { minCalls: 1, open: 60_000 }, fallback: never })
    const reason = new Error('gone')
    const controller = new AbortController()
    const { signal } = controller
    const behindWork = seen(pipeline.run(fails, { signal }))
    await new Promise(setImmediate)
    const atOnce = seen(pipeline.try(() => 1, { signal }))
    const closed = seen(pipeline.run(() => 1))
    const closedOutcome = seen(pipeline.try(() => 1))
    await new Promise(setImmediate)
    expect([behindWork, atOnce]).toEqual([{}, {}])
    controller.abort(reason)
    await new Promise(setImmediate)
    expect(behindWork.error).toBe(reason)
    expect(atOnce.value).toEqual({ ok: false, kind: 'aborted', error: reason, attempts: 0 })
    expect(getEventListeners(signal, 'abort')).toEqual([])
    expect(closed).toEqual({})
    await pipeline.close()
    await new Promise(setImmediate)
    expect(closed.error).toMatchObject({ code: 'CLOSED' })
    expect(closedOutcome.value).toMatchObject({ kind: 'closed' })
  })

  test('a judge may leave a result to the default, and what it throws comes with what it judged', async () => {
    const { pipeline } = on({ breaker: { minCalls: 1 }, classify: { value: () => undefined, error: () => undefined } })
    expect(await pipeline.run(() => 1)).toBe(1)
    await pipeline.try(() => Promise.reject(withStatus(404)))
    expect(pipeline.state()).toBe('closed')
    await pipeline.try(fails)
    expect(pipeline.state()).toBe('open')
    const wrong = new Error('judge')
    const throwing = on({
      classify: {
        error: () => {
          throw wrong
        },
      },
    })
    await expect(throwing.pipeline.run(fails)).rejects.toBe(wrong)
    expect(wrong.cause).toBe(upstreamError)
  })

  test('a rate is of calls that go out, not of those that are refused', async () => {
    const { pipeline } = on({ rate: { limit: 3, per: '1h' }, limit: 1, breaker: { minCalls: 1 } })
    void pipeline.try(never)
    for (let i = 0; i < 10; i++) expect(await pipeline.try(() => 1)).toMatchObject({ kind: 'shed' })
    expect(() => pipeline.admit()).toThrow(expect.objectContaining({ code: 'SHED' }) as Error)
    pipeline.force('open')
    expect(() => pipeline.admit()).toThrow(expect.objectContaining({ code: 'BREAKER_OPEN' }) as Error)
    pipeline.force(null)
    expect(await pipeline.try(() => 1, { key: 'a' })).toMatchObject({ ok: true })
    expect(await pipeline.try(() => 1, { key: 'a' })).toMatchObject({ ok: true })
    expect(await pipeline.try(() => 1, { key: 'a' })).toMatchObject({ kind: 'rate' })
  })

  test('forced open refuses those who wait too, and takes keys that calls may have', async () => {
    const { pipeline, clock } = on({ limit: { max: 1, queue: 5 }, breaker: true })
    void pipeline.try(never)
    const waits = seen(pipeline.try(() => 1))
    await clock.advance(0)
    pipeline.force('open')
    await clock.advance(0)
    expect(waits.value).toMatchObject({ kind: 'open' })
    expect(() => pipeline.force('open', '')).toThrow('"key" must be a string of 1 to 512 bytes')
  })

  test('a rate lets out its burst and says when there is more', async () => {
    const { pipeline, clock } = on({ rate: { limit: 10, per: '1s', burst: 2 } })
    await pipeline.run(() => 1)
    await pipeline.run(() => 1)
    expect(await pipeline.try(() => 1)).toMatchObject({ kind: 'rate', retryAfter: 100 })
    await clock.advance(100)
    expect(await pipeline.run(() => 1)).toBe(1)
  })

  test('a permit is held until it is settled, once', async () => {
    const { pipeline } = on({ limit: 1, breaker: { minCalls: 1 } })
    const permit = pipeline.admit()
    expect(() => pipeline.admit()).toThrow(expect.objectContaining({ code: 'SHED' }) as Error)
    expect(() => permit.settle('nice' as 'ok')).toThrow(
      `must be 'ok', 'ignore', 'retry', 'throttle', 'fatal' (got 'nice')`,
    )
    permit.settle('ignore')
    permit.settle('retry')
    expect(pipeline.state()).toBe('closed')
    {
      using held = pipeline.admit({ key: 'a' })
      void held
    }
    pipeline.admit().settle('retry')
    expect(() => pipeline.admit()).toThrow(expect.objectContaining({ code: 'BREAKER_OPEN' }) as Error)
    expect((await pipeline.inspect()).inFlight).toBe(0)
  })

  test('a closed pipeline ends what is under way, begins nothing and leaves no timer', async () => {
    const { pipeline, clock } = on({ attempt: 100, retry: { base: 50 }, limit: { max: 2, queue: 5 } })
    const all = [
      seen(pipeline.try(never)),
      seen(pipeline.run(fails)),
      seen(pipeline.try(never)),
      seen(pipeline.try(never)),
    ]
    await clock.advance(0)
    await pipeline.close()
    await clock.advance(0)
    expect(
      all.map(({ value, error }) => (value as Failure | undefined)?.kind ?? (error as ResilienceError).code),
    ).toEqual(['closed', 'CLOSED', 'closed', 'closed'])
    expect(await pipeline.try(() => 1)).toMatchObject({ kind: 'closed', attempts: 0 })
    await expect(pipeline.run(() => 1)).rejects.toMatchObject({ code: 'CLOSED' })
    await clock.advance('2m')
    expect(clock.pending()).toBe(0)
  })

  test('a call is told to the tracing channel, with its outcome', async () => {
    const { pipeline } = on()
    const messages: object[] = []
    const tracing = tracingChannel('keelson:resilience:call')
    const subscriber = { asyncEnd: (message: object) => void messages.push({ ...message }) }
    tracing.subscribe(subscriber as never)
    try {
      await pipeline.run(() => 1)
      await pipeline.run(fails).catch(() => {})
      await pipeline.try(fails)
    } finally {
      tracing.unsubscribe(subscriber as never)
    }
    expect(messages).toMatchObject([
      { pipeline: 'up', outcome: 'ok', attempts: 1 },
      { pipeline: 'up', outcome: 'failed' },
      { pipeline: 'up', outcome: 'failed' },
    ])
  })

  test('numbers and status follow what happened', async () => {
    const { pipeline } = on({ retry: { base: 0, attempts: 1 }, breaker: true, limit: 5 })
    await pipeline.run(() => 1)
    await pipeline.try(fails)
    const value = (name: string, labels: object): number | undefined =>
      pipeline
        .metrics()
        .flatMap(({ samples }) => samples)
        .find(
          (sample) =>
            sample.name === name && Object.entries(labels).every(([label, is]) => sample.labels[label] === is),
        )?.value
    expect(value('keelson_resilience_calls_total', { outcome: 'ok' })).toBe(1)
    expect(value('keelson_resilience_calls_total', { outcome: 'failed' })).toBe(1)
    expect(value('keelson_resilience_attempts_total', {})).toBe(2)
    expect(value('keelson_resilience_breaker_state', { state: 'closed' })).toBe(1)
    expect(value('keelson_resilience_limit', {})).toBe(5)
    expect(value('keelson_resilience_latency_seconds_count', {})).toBe(1)
    expect(await pipeline.inspect()).toMatchObject({ name: 'up', state: 'ok', counts: { ok: 1, failed: 1 }, limit: 5 })
  })
})

test.each([
  [{}, '"name" is required'],
  [{ name: 'A b' }, `"name" must be 1 to 64 of a-z, 0-9, '_', '.' and '-' (got 'A b')`],
  [{ name: 'x', retries: 3 }, 'unknown option "retries"'],
  [{ name: 'x', retry: { attempts: 0 } }, '"retry.attempts" must be an integer from 1 to 100 (got 0)'],
  [{ name: 'x', retry: { budget: {} } }, '"retry.budget" must be a createBudget() or false (got an object)'],
  [{ name: 'x', retry: { base: 100, cap: 50 } }, '"retry.base" must not be over "retry.cap" (got 100 ms and 50 ms)'],
  [{ name: 'x', breaker: { failRate: 0 } }, '"breaker.failRate" must be a number over 0, at most 1 (got 0)'],
  [{ name: 'x', breaker: { failRate: 1.1 } }, '(got 1.1)'],
  [{ name: 'x', breaker: { open: { min: 20, max: 10 } } }, '"breaker.open.min" must not be over "breaker.open.max"'],
  [
    { name: 'x', breaker: { window: { calls: 5 }, minCalls: 20 } },
    '"breaker.minCalls" must not be over "breaker.window.calls" (got 20 and 5)',
  ],
  [{ name: 'x', breaker: { slow: { over: 5 } } }, '"breaker.slow.rate" is required'],
  [{ name: 'x', attempt: '40s' }, '"attempt" must not be over "deadline" (got 40000 ms and 30000 ms)'],
  [{ name: 'x', hedge: { after: 5 } }, '"hedge" needs "retry" with a budget (got no "retry")'],
  [
    { name: 'x', hedge: { after: 5 }, retry: { budget: false } },
    '"hedge" needs "retry" with a budget (got "retry.budget" false)',
  ],
  [{ name: 'x', limit: 0 }, '"limit" must be an integer from 1 to 1,000,000'],
  [{ name: 'x', limit: {} }, '"limit.max" is required unless "limit.adaptive" is true'],
  [
    { name: 'x', limit: { adaptive: true, min: 20, max: 10 } },
    '"limit.min" must not be over "limit.max" (got 20 and 10)',
  ],
  [{ name: 'x', throttle: { max: 2 } }, '"throttle.max" must be a number over 0, at most 1 (got 2)'],
  [{ name: 'x', deadline: 0 }, '"deadline" must be false or a Duration'],
  [{ name: 'x', rate: { limit: 5 } }, '"rate.per" is required'],
  [{ name: 'x', keys: { max: 0 } }, '"keys.max" must be'],
] as const)('%j is refused', (options, message) => {
  const make = (): unknown => createPipeline(options as unknown as PipelineOptions)
  expect(make).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error)
  expect(make).toThrow(message)
})
