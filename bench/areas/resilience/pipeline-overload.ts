import { createPipeline, type PipelineOptions } from '@keelson/resilience'
import { seededRandom, virtualClock, type VirtualClock } from '@keelson/kernel/testing'
import type { Case, Contender, Figures } from '../../src/case.ts'

const CAPACITY = 1_000
const WORKERS = 10
const SERVICE_MS = 10
const DEADLINE_MS = 100
const STEP_MS = 1
const WITHOUT = 'deadline alone'
const WITH = 'with an adaptive limit'
const ONE = 'one layer'
const THREE = 'three layers'

/** What retries and overload do to an upstream, on a virtual clock: equal in each run. */
export function overload(): Case[] {
  return [
    {
      name: 'attempts for a call, 60 s without any answer, 1,000 calls a second',
      exact: true,
      contenders: [
        simulated(ONE, () => amplification([{ retry: true, breaker: true }])),
        simulated(THREE, () => amplification(Array.from({ length: 3 }, () => ({ retry: true, breaker: true })))),
        simulated('one layer, no breaker', () => amplification([{ retry: true }])),
        simulated('three layers, no breaker', () => amplification(Array.from({ length: 3 }, () => ({ retry: true })))),
        simulated('one layer, neither breaker nor budget', () => amplification([{ retry: { budget: false } }])),
      ],
      targets: [
        { of: ONE, figure: 'attempts a call', atMost: 1.1 },
        { of: THREE, figure: 'attempts a call', atMost: 1.25 },
      ],
    },
    {
      name: 'ten times as many calls as the upstream can answer',
      note: `${WORKERS} workers, ${SERVICE_MS} ms each, a line without end before them; calls have ${DEADLINE_MS} ms; of its capacity, the second half of 20 s`,
      exact: true,
      contenders: [
        simulated(WITHOUT, () => goodput({})),
        simulated(WITH, () => goodput({ limit: { adaptive: true } })),
        simulated('with an adaptive limit and a queue', () => goodput({ limit: { adaptive: true, queue: 100 } })),
      ],
      targets: [{ of: WITH, figure: 'goodput', atLeast: 0.95 }],
    },
    {
      name: 'after five seconds in which the upstream answered nothing, at half of its capacity',
      note: 'until nine of ten calls of 100 ms are answered again; of the breaker open for at most a second',
      exact: true,
      contenders: [
        simulated('full stack', () =>
          recovery({ limit: { adaptive: true, queue: 100 }, breaker: { open: 1_000 }, retry: true }),
        ),
        simulated('deadline alone', () => recovery({})),
      ],
      targets: [{ of: 'full stack', figure: 'ms', atMost: 2_000 }],
    },
  ]
}

function simulated(name: string, run: () => Promise<Figures>): Contender {
  return { name, open: () => ({ run }) }
}

/** An upstream with few workers, which does not notice that a caller has left. */
function upstreamOn(clock: VirtualClock) {
  const line: { readonly answer: () => void; readonly reset: (error: Error) => void }[] = []
  let idle = WORKERS
  let isUp = true
  const next = (): void => {
    while (isUp && idle > 0 && line.length > 0) {
      const { answer } = line.shift()!
      idle--
      clock.timer(() => {
        idle++
        answer()
        next()
      }, SERVICE_MS)
    }
  }
  return {
    ask: () =>
      new Promise<void>((answer, reset) => {
        line.push({ answer, reset })
        next()
      }),
    /** The connections of those who waited are reset. */
    turn(up: boolean): void {
      isUp = up
      for (const { reset } of line.splice(0)) reset(new Error('reset'))
      next()
    },
  }
}

async function amplification(layers: readonly Partial<PipelineOptions>[]): Promise<Figures> {
  const clock = virtualClock()
  const random = seededRandom(1)
  const pipelines = layers.map((layer, at) => createPipeline({ name: `layer-${at}`, clock, random, ...layer }))
  let attempts = 0
  const down = async (): Promise<never> => {
    attempts++
    throw new Error('down')
  }
  const call = pipelines.reduce<() => Promise<unknown>>((inner, pipeline) => () => pipeline.run(inner), down)
  const calls = 60 * CAPACITY
  for (let i = 0; i < calls; i += 10) {
    for (let n = 0; n < 10; n++) void call().catch(() => {})
    await clock.advance(10)
  }
  await clock.advance('1m')
  return { 'attempts a call': attempts / calls }
}

async function goodput(policies: Partial<PipelineOptions>): Promise<Figures> {
  const clock = virtualClock()
  const upstream = upstreamOn(clock)
  const pipeline = createPipeline({ name: 'up', clock, deadline: DEADLINE_MS, random: seededRandom(1), ...policies })
  let answered = 0
  const seconds = 20
  for (let ms = 0; ms < seconds * 1000; ms += STEP_MS) {
    const counts = ms >= (seconds * 1000) / 2
    for (let n = 0; n < (10 * CAPACITY * STEP_MS) / 1000; n++) {
      void pipeline.try(upstream.ask).then(({ ok }) => {
        if (ok && counts) answered++
      })
    }
    await clock.advance(STEP_MS)
  }
  await pipeline.close()
  return { goodput: answered / ((seconds / 2) * CAPACITY) }
}

async function recovery(policies: Partial<PipelineOptions>): Promise<Figures> {
  const clock = virtualClock()
  const upstream = upstreamOn(clock)
  const pipeline = createPipeline({ name: 'up', clock, deadline: DEADLINE_MS, random: seededRandom(1), ...policies })
  /** How many of 100 ms are answered. */
  const share = async (): Promise<number> => {
    let [answered, made] = [0, 0]
    for (let ms = 0; ms < 100; ms += 2) {
      made++
      void pipeline.try(upstream.ask).then(({ ok }) => void (answered += ok ? 1 : 0))
      await clock.advance(2)
    }
    return answered / made
  }
  for (let i = 0; i < 100; i++) await share()
  upstream.turn(false)
  for (let i = 0; i < 50; i++) await share()
  upstream.turn(true)
  let ms = 0
  while ((await share()) < 0.9 && ms < 60_000) ms += 100
  await pipeline.close()
  return { ms }
}
