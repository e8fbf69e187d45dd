import { expect, test } from 'vitest'
import { context } from '@keelson/kernel'
import { seededRandom, virtualClock } from '@keelson/kernel/testing'
import { createBudget, createPipeline, type Outcome, type PipelineOptions } from '../../src/index.ts'

const never = (): Promise<never> => new Promise(() => {})
const fails = (): Promise<never> => Promise.reject(new Error('upstream'))
const throttled = (retryAfter: number) => (): Promise<never> =>
  Promise.reject(Object.assign(new Error('busy'), { status: 503, retryAfter }))

function on(options: Omit<PipelineOptions, 'name' | 'clock'> = {}) {
  const clock = virtualClock()
  const pipeline = createPipeline({ name: 'up', random: () => 1, ...options, clock })
  /** What a call has come to after so many ms. */
  const after = async (byMs: number, call: Promise<Outcome<unknown>>): Promise<Outcome<unknown> | undefined> => {
    let outcome: Outcome<unknown> | undefined
    void call.then((it) => (outcome = it))
    await clock.advance(byMs)
    return outcome
  }
  return { clock, pipeline, after }
}

test('calls fill the budget of retries', async () => {
  const { pipeline, after } = on({
    retry: { base: 0, attempts: 2, budget: createBudget({ burst: 1, ratio: 0.5, perSecond: 0 }) },
  })
  expect(await after(0, pipeline.try(fails))).toMatchObject({ attempts: 2 })
  expect(await after(0, pipeline.try(fails))).toMatchObject({ attempts: 1, suppressed: 'budget' })
  expect(await after(0, pipeline.try(fails))).toMatchObject({ attempts: 2 })
})

test('a work that ends after its call leaves no timer', async () => {
  const { pipeline, clock } = on({ deadline: 50, limit: 1 })
  void pipeline.try(() => clock.sleep(80))
  await clock.advance(100)
  await pipeline.close()
  expect(clock.pending()).toBe(0)
})

test('nobody waits for a place behind an open breaker, nor behind one that is probed', async () => {
  const { pipeline, after } = on({ attempt: 10, limit: { max: 1, queue: 5 }, breaker: { minCalls: 1 } })
  expect(await after(10, pipeline.try(never))).toMatchObject({ kind: 'timeout' })
  expect(await after(0, pipeline.try(never))).toMatchObject({ kind: 'open' })

  const probed = on({ limit: { max: 1, queue: 5 }, breaker: { minCalls: 1, open: 100, probes: 1 } })
  await probed.pipeline.try(fails)
  await probed.clock.advance(100)
  void probed.pipeline.try(never)
  expect(await probed.after(0, probed.pipeline.try(never))).toMatchObject({ kind: 'open' })
})

test('a probe that is ignored gives its place to another', async () => {
  const { pipeline, clock, after } = on({ breaker: { minCalls: 1, open: 100, probes: 1 } })
  await pipeline.try(fails)
  await clock.advance(100)
  expect(
    await after(
      0,
      pipeline.try(() => Promise.reject(Object.assign(new Error(), { status: 404 }))),
    ),
  ).toMatchObject({
    kind: 'failed',
  })
  expect(
    await after(
      0,
      pipeline.try(() => 1),
    ),
  ).toMatchObject({ ok: true })
  expect(pipeline.state()).toBe('closed')
})

test('an upstream that asks for days holds a breaker for an hour', async () => {
  const { pipeline, clock } = on({ breaker: { minCalls: 1 } })
  await pipeline.try(throttled(86_400_000))
  await clock.advance(3_599_999)
  expect(pipeline.state()).toBe('open')
  await clock.advance(1)
  expect(pipeline.state()).toBe('half-open')
})

test('what has closed lets a tenth through at first, then more, then all', async () => {
  let chance = 0.09
  const { pipeline, clock } = on({
    breaker: { minCalls: 1, open: 100, probes: 1, rampUp: 1_000 },
    random: () => chance,
  })
  await pipeline.try(fails)
  await clock.advance(100)
  await pipeline.try(() => 1)
  expect(pipeline.state()).toBe('ramp')
  const isServed = async (): Promise<boolean> => (await pipeline.try(() => 1)).ok
  expect(await isServed()).toBe(true)
  chance = 0.5
  expect(await isServed()).toBe(false)
  await clock.advance(500)
  expect(await isServed()).toBe(true)
  chance = 0.99
  expect(await isServed()).toBe(false)
  await clock.advance(500)
  expect(pipeline.state()).toBe('closed')
  expect(await isServed()).toBe(true)
})

test('what an attempt answers after its time is given to nobody while the next one runs', async () => {
  const { pipeline, clock, after } = on({ attempt: 10, retry: { base: 0 } })
  const outcome = await after(
    100,
    pipeline.try(({ attempt }) => clock.sleep(attempt === 1 ? 15 : 8).then(() => attempt)),
  )
  expect(outcome).toMatchObject({ ok: true, value: 2, attempts: 2 })
})

test('a deadline of the context that is nearer than calls take does not blame the upstream', async () => {
  const { pipeline, clock, after } = on({ breaker: { minCalls: 2, failRate: 0.5, consecutive: 1 } })
  await after(
    100,
    pipeline.try(() => clock.sleep(100)),
  )
  const within = (ms: number) => context.run({ deadline: clock.monotonic() + ms }, () => pipeline.try(never))
  expect(await after(20, within(20))).toMatchObject({ kind: 'deadline' })
  expect(pipeline.state()).toBe('closed')
  expect(await after(300, within(300))).toMatchObject({ kind: 'deadline' })
  expect(pipeline.state()).toBe('open')
})

test('a key that is held open, or whose breaker is open, does not leave; one that left comes back with nothing', async () => {
  const { pipeline, clock } = on({ breaker: { minCalls: 2 }, keys: { max: 2 } })
  pipeline.force('open', 'held')
  for (let i = 0; i < 2; i++) await pipeline.try(fails, { key: 'open' })
  for (const key of ['a', 'b', 'c']) await pipeline.try(() => 1, { key })
  expect([pipeline.state('held'), pipeline.state('open')]).toEqual(['open', 'open'])
  pipeline.force(null, 'held')
  await pipeline.try(fails, { key: 'new' })
  await clock.advance(1)
  await pipeline.try(() => 1, { key: 'newer' })
  await pipeline.try(fails, { key: 'new' })
  expect(pipeline.state('new')).toBe('closed')
})

test('each period in which a breaker is open has its own refusal', async () => {
  const { pipeline, clock } = on({ breaker: { minCalls: 1, open: 100, probes: 1 } })
  await pipeline.try(fails)
  const first = await pipeline.try(never)
  await clock.advance(100)
  await pipeline.try(fails)
  expect(await pipeline.try(never)).not.toBe(first)
})

test('an adaptive limit falls when calls end at their deadline', async () => {
  const { pipeline, clock } = on({ deadline: 10, limit: { adaptive: true, initial: 20 } })
  for (let i = 0; i < 20; i++) void pipeline.try(() => clock.sleep(11))
  await clock.advance(200)
  for (let i = 0; i < 10; i++) await pipeline.try(() => 1)
  expect((await pipeline.inspect()).limit).toBeLessThan(20)
})

test('a throttle lets k times as many through as are accepted, and counts what it drops', async () => {
  const dropped = async (k: number): Promise<number> => {
    const { pipeline } = on({ throttle: { k }, random: seededRandom(3) })
    let count = 0
    for (let i = 0; i < 2_000; i++) {
      const outcome = await pipeline.try(() => (i % 2 === 0 ? 1 : fails()))
      if (!outcome.ok && outcome.kind === 'throttled') count++
    }
    return count
  }
  // Half of the calls are accepted: k = 2 drops next to none, k = 1 most.
  expect(await dropped(2)).toBeLessThan(200)
  expect(await dropped(1)).toBeGreaterThan(1_000)
})
