import { createPipeline } from '@keelson/resilience'
import type { Case, Contender, Figures } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'
import { hotAsyncPath } from '../../src/hot-path.ts'
import { COCKATIEL, cockatiel, FULL, KEELSON, keelson, OPOSSUM, opossum } from './pipeline-subjects.ts'

const BARE = 'bare await'
const TRY = 'keelson try'
const SIGNAL = 'keelson run, signal read'
const SHARED = "keelson run, one caller's signal"
const TRY_REFUSED = 'keelson try, refused'
const RUN_REFUSED = 'keelson run, refused'

const answer = async (): Promise<number> => 1
const fails = (): Promise<never> => Promise.reject(new Error('down'))

/** What a call costs that needs no help, or is refused. */
export function pipelines(): Case[] {
  return [
    {
      name: 'full stack around a work that answers',
      note: 'deadline, attempt, retry, breaker, limit; cockatiel and opossum: as far as they have them',
      base: BARE,
      contenders: [
        { name: BARE, open: () => hotAsyncPath('ns', answer) },
        { name: KEELSON, open: () => full(answer) },
        { name: TRY, open: () => fullTry() },
        { name: SIGNAL, open: () => full(({ signal }) => (signal.aborted ? 0 : answer())) },
        { name: SHARED, open: () => sharedSignal() },
        { name: COCKATIEL, open: () => hotAsyncPath('ns', cockatiel(answer)) },
        { name: OPOSSUM, open: () => viaOpossum() },
      ],
      targets: [
        { of: KEELSON, figure: 'ns', over: BARE, atMost: 8 },
        { of: SIGNAL, figure: 'ns', over: BARE, atMost: 16 },
        { of: SHARED, figure: 'ns', over: BARE, atMost: 10 },
        { of: COCKATIEL, figure: 'ns', over: KEELSON, atLeast: 25 },
        { of: OPOSSUM, figure: 'ns', over: KEELSON, atLeast: 3 },
      ],
    },
    {
      name: 'refused by an open breaker',
      base: BARE,
      contenders: [
        { name: BARE, open: () => hotAsyncPath('ns', answer) },
        { name: TRY_REFUSED, open: () => refusedByKeelson('try') },
        { name: RUN_REFUSED, open: () => refusedByKeelson('run') },
        { name: COCKATIEL, open: () => refusedByCockatiel() },
        { name: OPOSSUM, open: () => refusedByOpossum() },
      ],
      targets: [
        { of: TRY_REFUSED, figure: 'ns', over: BARE, atMost: 2 },
        { of: COCKATIEL, figure: 'ns', over: RUN_REFUSED, atLeast: 2 },
        { of: OPOSSUM, figure: 'ns', over: RUN_REFUSED, atLeast: 2 },
      ],
    },
    {
      name: 'memory',
      note: 'a call: bytes allocated over those of a bare await; a key: live bytes without its text',
      exact: true,
      contenders: [
        inChild('keelson run, a call', 'run'),
        inChild('keelson try refused, a call', 'refused'),
        inChild('keelson, a key with a breaker, of 10,000', 'keys'),
        inChild(`${COCKATIEL}, a call`, 'cockatiel'),
        inChild(`${OPOSSUM}, a call`, 'opossum'),
      ],
      targets: [
        { of: 'keelson run, a call', figure: 'bytes', atMost: 1_100 },
        { of: 'keelson try refused, a call', figure: 'bytes', atMost: 1 },
        { of: 'keelson, a key with a breaker, of 10,000', figure: 'bytes', atMost: 256 },
      ],
    },
    {
      name: 'a failure after a million calls',
      contenders: [{ name: KEELSON, open: () => failureLate() }],
      targets: [{ of: KEELSON, figure: 'us', atMost: 5 }],
    },
  ]
}

function full(work: Parameters<typeof keelson>[0]) {
  const { call, close } = keelson(work)
  return { ...hotAsyncPath('ns', call), close }
}

function fullTry() {
  const { pipeline, close } = keelson(answer)
  return { ...hotAsyncPath('ns', () => pipeline.try(answer)), close }
}

function sharedSignal() {
  const { pipeline, close } = keelson(answer)
  const { signal } = new AbortController()
  return { ...hotAsyncPath('ns', () => pipeline.run(answer, { signal })), close }
}

function viaOpossum() {
  const { call, close } = opossum(answer)
  return { ...hotAsyncPath('ns', call), close }
}

function refusedByKeelson(by: 'run' | 'try') {
  const pipeline = createPipeline(FULL)
  pipeline.force('open')
  const call = by === 'try' ? () => pipeline.try(answer) : () => pipeline.run(answer).catch(() => {})
  return { ...hotAsyncPath('ns', call), close: () => pipeline.close() }
}

/** Without its retries, which would ask again for each refusal. */
async function refusedByCockatiel() {
  const { circuitBreaker, ConsecutiveBreaker, handleAll } = await import('cockatiel')
  const policy = circuitBreaker(handleAll, { halfOpenAfter: 3_600_000, breaker: new ConsecutiveBreaker(1) })
  await policy.execute(fails).catch(() => {})
  return hotAsyncPath('ns', () => policy.execute(answer).catch(() => {}))
}

function refusedByOpossum() {
  const { breaker, close } = opossum(answer)
  breaker.open()
  return { ...hotAsyncPath('ns', () => breaker.fire().catch(() => {})), close }
}

async function failureLate() {
  const { pipeline, close } = keelson(answer, { ...FULL, retry: false, breaker: { consecutive: false, failRate: 1 } })
  for (let i = 0; i < 1_000_000; i++) await pipeline.run(answer)
  const down = new Error('down')
  return {
    ...hotAsyncPath('us', (i) => pipeline.try(i % 2 === 0 ? () => Promise.reject(down) : answer)),
    close,
  }
}

function inChild(name: string, what: string): Contender {
  return {
    name,
    async open() {
      const execArgv = ['--expose-gc', '--max-semi-space-size=128', '--min-semi-space-size=128']
      const child = await startChild(new URL('pipeline-heap.ts', import.meta.url), [], { execArgv })
      return { run: () => child.ask<Figures>({ what }), close: () => child.stop() }
    },
  }
}
