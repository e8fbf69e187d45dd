import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { getEventListeners } from 'node:events'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { seededRandom, virtualClock } from '@keelson/kernel/testing'
import { createBudget, createPipeline, type PipelineOptions } from '../../src/index.ts'
import { expectNoUnhandled } from '../no-unhandled.ts'

const SCHEDULES = process.env['LONG'] === '1' ? 1_000_000 : 20_000

expectNoUnhandled()

/** What one attempt does. */
interface Behaviour {
  readonly ends: 'ok' | 'error' | 'throttle' | 'ignore' | 'sync' | 'throws'
  readonly afterMs: number
}
type Step =
  | { readonly kind: 'advance'; readonly byMs: number }
  | { readonly kind: 'abort'; readonly call: number }
  | {
      readonly kind: 'call'
      readonly via: 'run' | 'try'
      readonly key: string | undefined
      readonly attempts: readonly Behaviour[]
      readonly deadlineMs: number | undefined
      readonly priority: 0 | 1 | 2 | 3 | undefined
      readonly idempotent: boolean
    }

const time = fc.constantFrom(0, 1, 5, 9, 10, 11, 20, 50, 99, 100, 101, 250)
const behaviour: fc.Arbitrary<Behaviour> = fc.record({
  ends: fc.constantFrom('ok', 'ok', 'error', 'error', 'throttle', 'ignore', 'sync', 'throws'),
  afterMs: fc.constantFrom(0, 1, 8, 10, 30, 60, 400, 5_000),
})
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 2, arbitrary: fc.record({ kind: fc.constant('advance' as const), byMs: time }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('abort' as const), call: fc.nat(10) }) },
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant('call' as const),
        via: fc.constantFrom('run' as const, 'try' as const),
        key: fc.constantFrom(undefined, 'a', 'a', 'b', 'c', 'd'),
        attempts: fc.array(behaviour, { minLength: 1, maxLength: 4 }),
        deadlineMs: fc.option(fc.constantFrom(5, 50, 200), { nil: undefined, freq: 3 }),
        priority: fc.constantFrom(undefined, 0 as const, 1 as const, 3 as const),
        idempotent: fc.boolean(),
      }),
    },
  ),
  { minLength: 1, maxLength: 24 },
)

const settings = fc.record({
  deadline: fc.constantFrom(false as const, 60, 300),
  attempt: fc.constantFrom(false as const, 10, 40),
  attempts: fc.constantFrom(1, 2, 4),
  base: fc.constantFrom(0, 5, 20),
  budget: fc.record({
    ratio: fc.constantFrom(0, 0.1, 1),
    perSecond: fc.constantFrom(0, 1, 10),
    burst: fc.constantFrom(0, 1, 5),
  }),
  breaker: fc.option(
    fc.record({
      window: fc.constantFrom(100, 1_000, { calls: 5 }),
      minCalls: fc.constantFrom(1, 3),
      consecutive: fc.constantFrom(false as const, 1, 2),
      open: fc.constantFrom(20, { min: 10, max: 80 }),
      probes: fc.constantFrom(1, 2, 3),
      probeLease: fc.constantFrom(30, 500),
      rampUp: fc.constantFrom(false as const, 50),
    }),
    { nil: undefined, freq: 5 },
  ),
  limit: fc.option(
    fc.record({
      max: fc.constantFrom(1, 2, 4),
      adaptive: fc.boolean(),
      queue: fc.constantFrom(0, 1, 3),
      abandonAfter: fc.constantFrom(20, 200),
    }),
    { nil: undefined, freq: 5 },
  ),
  hedge: fc.option(fc.record({ after: fc.constantFrom(3, 10), max: fc.constantFrom(1, 2) }), {
    nil: undefined,
    freq: 2,
  }),
  throttle: fc.boolean(),
  fallback: fc.boolean(),
  keys: fc.constantFrom(1, 2, 10),
  seed: fc.integer(),
})

type Given = typeof settings extends fc.Arbitrary<infer T> ? T : never

class Throttled extends Error {
  readonly status = 503
  readonly retryAfter = 15
}
const ERRORS: Record<string, () => Error> = {
  error: () => new Error('upstream'),
  throws: () => new Error('upstream'),
  throttle: () => new Throttled('busy'),
  ignore: () => Object.assign(new Error('yours'), { status: 404 }),
}

function optionsOf(given: Given, clock: ReturnType<typeof virtualClock>): PipelineOptions {
  const { deadline, attempt, attempts, base, budget, breaker, limit, hedge, throttle, fallback, keys, seed } = given
  return {
    name: 'model',
    deadline,
    attempt,
    retry: { attempts, base, cap: 40, budget: createBudget(budget) },
    keys: { max: keys },
    throttle,
    clock,
    random: seededRandom(seed),
    ...(breaker === undefined ? {} : { breaker }),
    ...(limit === undefined ? {} : { limit: { ...limit, min: 1, initial: 1 } }),
    ...(hedge === undefined ? {} : { hedge }),
    ...(fallback ? { fallback: () => 'instead' } : {}),
  }
}

/** Plays the schedule; answers all that could be seen. */
async function play(given: Given, schedule: readonly Step[]): Promise<string[]> {
  const clock = virtualClock()
  const pipeline = createPipeline(optionsOf(given, clock))
  /** Each key has a cell of its own, and each place one work. */
  const isAlone = given.hedge === undefined && given.keys === 10
  const seen: string[] = []
  const broken: string[] = []
  /** The pipeline takes what is thrown inside a work for the work's own. */
  const held = (what: string, holds: boolean): void => void (holds || broken.push(`${at()} ${what}`))
  const at = (): number => clock.monotonic()
  const controllers: AbortController[] = []
  const pending: Promise<unknown>[] = []
  const running = new Map<string, number>()
  const seconds = (): number => at() / 1000
  let calls = 0
  let retries = 0
  /** Of each key, while it is half-open: works begun, and those whose place was given back. */
  const probing = new Map<string, { begun: number; back: number }>()
  const onState = (message: unknown): void => {
    const { key = '', to, pipeline: of } = message as { key?: string; to: string; pipeline: string }
    if (of !== 'model') return
    seen.push(`${at()} ${key} ${to}`)
    if (to === 'half-open') probing.set(key, { begun: 0, back: 0 })
    else probing.delete(key)
  }
  subscribe('keelson:resilience:state', onState)

  function call(step: Extract<Step, { kind: 'call' }>): void {
    const id = calls
    const controller = new AbortController()
    controllers.push(controller)
    const key = step.key ?? ''
    const endsMs = at() + Math.min(given.deadline === false ? Infinity : given.deadline, step.deadlineMs ?? Infinity)
    let works = 0
    let tries = 0
    const mine = new Set<{ begun: number; back: number }>()
    const work = ({ attempt, remaining }: { attempt: number; remaining: number }): unknown => {
      const behaviour = step.attempts[Math.min(works, step.attempts.length - 1)]!
      works++
      held('attempts are numbered', attempt === works)
      // I5
      held('no attempt after the deadline', at() < endsMs && remaining > 0)
      if (works > 1) retries++
      // I4: hedges are paid as retries are.
      const { ratio, perSecond, burst } = given.budget
      held('the budget', retries <= burst + ratio * calls + perSecond * seconds() + 1e-9)
      tries++
      held('attempts at most', tries <= given.attempts * (1 + (given.hedge?.max ?? 0)))
      // I1
      const probe = probing.get(key)
      if (probe !== undefined && isAlone) {
        probe.begun++
        mine.add(probe)
        held('probes at most', probe.begun - probe.back <= given.breaker!.probes)
      }
      const count = (running.get(key) ?? 0) + 1
      running.set(key, count)
      // The place of a work is taken back only after it was given up for so long.
      if (given.limit !== undefined && isAlone && behaviour.afterMs < given.limit.abandonAfter) {
        held('places at most', count - overdue.get(key) <= given.limit.max)
      }
      const end = (): void => void running.set(key, running.get(key)! - 1)
      seen.push(`${at()} ${id} begins ${works}`)
      if (behaviour.ends === 'sync' || behaviour.ends === 'throws') {
        end()
        if (behaviour.ends === 'throws') throw ERRORS['throws']!()
        return id
      }
      const startedMs = at()
      return new Promise((resolve, reject) => {
        clock.timer(() => {
          end()
          late.delete(token)
          if (behaviour.ends === 'ok') return resolve(id)
          if (behaviour.ends === 'ignore') for (const each of mine) each.back++
          reject(ERRORS[behaviour.ends]!())
        }, behaviour.afterMs)
        const token = { key, startedMs }
        late.add(token)
      })
    }
    calls++
    const options = {
      signal: controller.signal,
      ...(step.key === undefined ? {} : { key: step.key }),
      ...(step.deadlineMs === undefined ? {} : { deadline: step.deadlineMs }),
      ...(step.priority === undefined ? {} : { priority: step.priority }),
      idempotent: step.idempotent,
    }
    const answer: Promise<unknown> = step.via === 'run' ? pipeline.run(work, options) : pipeline.try(work, options)
    pending.push(
      answer.then(
        (value) => {
          for (const each of mine) if (aborted.has(id)) each.back++
          const outcome = value as { ok?: boolean; kind?: string }
          seen.push(`${at()} ${id} ${outcome.ok === false ? outcome.kind : 'value'}`)
          if (step.via === 'run') expect(value === id || value === 'instead').toBe(true)
        },
        (error: unknown) => {
          expect(step.via).toBe('run')
          for (const each of mine) if (aborted.has(id)) each.back++
          seen.push(`${at()} ${id} ${(error as { code?: string }).code ?? (error as Error).message}`)
        },
      ),
    )
  }

  const aborted = new Set<number>()
  /** Works that run, to know which of them have run for so long that their place may be another's. */
  const late = new Set<{ readonly key: string; readonly startedMs: number }>()
  const overdue = {
    get(key: string): number {
      const afterMs = given.limit!.abandonAfter
      return [...late].filter((each) => each.key === key && at() - each.startedMs >= afterMs).length
    },
  }

  try {
    for (const step of schedule) {
      if (step.kind === 'advance') await clock.advance(step.byMs)
      else if (step.kind === 'abort') {
        aborted.add(step.call)
        // What is aborted gives its probe back before another may take it.
        controllers[step.call]?.abort(new Error('the caller left'))
        await clock.advance(0)
      } else call(step)
      expect((await pipeline.inspect()).keys).toBeLessThanOrEqual(given.keys) // I11
    }
    // All works end, so all calls do: each once (I6).
    await clock.advance(30_000)
    const { inFlight, queued } = await pipeline.inspect()
    expect({ inFlight, queued }).toEqual({ inFlight: 0, queued: 0 }) // I3
    await Promise.all(pending)
    expect(broken).toEqual([])
    await pipeline.close()
    // I12
    expect(clock.pending()).toBe(0)
    for (const { signal } of controllers) expect(getEventListeners(signal, 'abort')).toEqual([])
  } finally {
    unsubscribe('keelson:resilience:state', onState)
  }
  return seen
}

test(`${SCHEDULES} schedules: probes, places, budgets, deadlines and ends are kept, and nothing is left`, async () => {
  await fc.assert(
    fc.asyncProperty(settings, steps, async (given, schedule) => {
      await play(given, schedule)
    }),
    { numRuns: SCHEDULES },
  )
}, 3_600_000)

test('equal seeds are equal', async () => {
  await fc.assert(
    fc.asyncProperty(settings, steps, async (given, schedule) => {
      expect(await play(given, schedule)).toEqual(await play(given, schedule))
    }),
    { numRuns: SCHEDULES / 20 },
  )
}, 3_600_000)
