import fc from 'fast-check'
import { afterAll, expect, test } from 'vitest'
import { context, createStoreGuard, isKeelsonError, KernelError } from '../src/index.ts'
import { virtualClock } from '../src/testing/index.ts'

const RUNS = process.env['LONG'] === '1' ? 1_000 : 100

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))
afterAll(() => expect(unhandled).toEqual([]))

type Answer = 'ok' | 'refused' | 'conflict' | 'overload'
/** How the store treats one call: its answer and when; undefined is never. */
interface Treatment {
  readonly answer: Answer
  readonly afterMs: number | undefined
}
type Step =
  | { readonly kind: 'advance'; readonly byMs: number }
  | ({ readonly kind: 'call'; readonly timeoutMs: number | undefined; readonly leftMs: number | undefined } & Treatment)

const MAX_PENDING = 4

// Near multiples of the limits, where things meet.
const span = fc.oneof(fc.constantFrom(0, 100, 249, 250, 251, 499, 500, 501), fc.integer({ min: 0, max: 900 }))
const treatment = {
  answer: fc.constantFrom<Answer>('ok', 'refused', 'refused', 'conflict', 'overload'),
  afterMs: fc.option(span, { nil: undefined, freq: 4 }),
}
const steps = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('advance' as const), byMs: span }),
    fc.record({
      kind: fc.constant('call' as const),
      ...treatment,
      timeoutMs: fc.option(fc.integer({ min: 1, max: 1_500 }), { nil: undefined, freq: 2 }),
      leftMs: fc.option(span, { nil: undefined, freq: 2 }),
    }),
  ),
  { maxLength: 40, size: 'max' },
)
const pings = fc.option(fc.array(fc.record(treatment), { minLength: 1, maxLength: 8 }), { nil: undefined, freq: 3 })

/** One call as the model knows it. */
interface Call {
  readonly id: number
  readonly startMs: number
  readonly limitMs: number
  readonly isOwnDeadline: boolean
  /** A ping has no caller, so nothing of it is owed. */
  readonly isPing: boolean
  readonly successesAtStart: number
  /** Told no before the store answered. */
  told: boolean
  answered: boolean
}

interface Limits {
  readonly timeoutMs: number
  readonly probeMs: number
}
const limits = fc.constantFrom<Limits>({ timeoutMs: 250, probeMs: 500 }, { timeoutMs: 900, probeMs: 100 })

async function play(
  script: readonly Step[],
  pingScript: readonly Treatment[] | undefined,
  { timeoutMs, probeMs }: Limits,
): Promise<void> {
  const clock = virtualClock()
  let recovered = false
  // Kept, not thrown: a throw inside of a call would pass for the store's answer.
  const problems: string[] = []
  const must = (holds: boolean, what: string): void => void (holds || problems.push(`${clock.monotonic()} ms: ${what}`))

  // The model: what the guard must think.
  let state: 'closed' | 'open' = 'closed'
  let successes = 0
  let pending = 0
  let nextProbeMs = 0
  let probes = 0
  const success = (): void => {
    successes++
    state = 'closed'
  }
  const failure = (call: Call): void => {
    if (state === 'open' || successes > call.successesAtStart) return
    state = 'open'
    nextProbeMs = clock.monotonic() + probeMs
  }

  let ids = 0
  const begin = (limitMs: number, kind: { isOwnDeadline: boolean; isPing: boolean }): Call => {
    pending++
    const startMs = clock.monotonic()
    return { id: ids++, startMs, limitMs, ...kind, successesAtStart: successes, told: false, answered: false }
  }
  const timedOut = (call: Call): void => {
    must(clock.monotonic() === call.startMs + call.limitMs, 'a call ends at its deadline')
    call.told = true
    if (!call.isOwnDeadline) failure(call)
  }
  /** The store: answers after a while, whoever still listens. */
  const treat = (call: Call, { answer, afterMs }: Treatment): Promise<number> =>
    new Promise((resolve, reject) => {
      if (afterMs === undefined) return
      clock.timer(() => {
        pending--
        call.answered = true
        if (answer === 'ok') success()
        else if (!call.told && answer === 'refused') failure(call)
        else if (!call.told && answer === 'conflict') success()
        if (answer === 'ok' && call.told && !call.isPing) owed.add(call.id)
        if (answer === 'ok') resolve(call.id)
        else reject(errors[answer]())
      }, afterMs)
    })

  /** Values that came after their caller was told no. */
  const owed = new Set<number>()
  let pingCount = 0
  const ping = async (): Promise<unknown> => {
    must(state === 'open', 'a healthy store is not probed')
    must(++probes === 1, 'there is at most one probe')
    const call = begin(timeoutMs, { isOwnDeadline: false, isPing: true })
    const how = recovered ? { answer: 'ok' as const, afterMs: 0 } : pingScript![pingCount++ % pingScript!.length]!
    // A probe is over with its answer or its time, whatever comes first.
    const answer = treat(call, how)
    clock.timer(
      () => {
        if (!call.answered) timedOut(call)
        probes--
      },
      Math.min(how.afterMs ?? Infinity, timeoutMs),
    )
    return answer
  }

  const late: number[] = []
  const guard = createStoreGuard({
    name: 'store',
    clock,
    timeout: timeoutMs,
    probeEvery: probeMs,
    maxPending: MAX_PENDING,
    ...(pingScript === undefined ? {} : { ping }),
  })

  const start = (step: Extract<Step, { kind: 'call' }>): void => {
    const isClosed = state === 'closed'
    const isProbe = !isClosed && pingScript === undefined && probes === 0 && clock.monotonic() >= nextProbeMs
    const mayStart = isClosed ? pending < MAX_PENDING : isProbe
    const own = step.timeoutMs ?? timeoutMs
    const leftMs = step.leftMs ?? Infinity
    let call: Call | undefined
    const fn = (): Promise<number> => {
      call = begin(Math.min(own, leftMs), { isOwnDeadline: leftMs < own, isPing: false })
      if (isProbe) {
        probes++
        nextProbeMs = clock.monotonic() + probeMs
      }
      return treat(call, step)
    }
    const options = {
      ...(step.timeoutMs === undefined ? {} : { timeout: step.timeoutMs }),
      late: (id: number) => void late.push(id),
    }
    const deadline = step.leftMs === undefined ? {} : { deadline: clock.monotonic() + step.leftMs }
    const result = context.run(deadline, () => guard.call(fn, options))
    must((call !== undefined) === mayStart, 'open, nothing starts but a probe; overloaded, nothing starts')
    void result.then(
      (id) => {
        if (isProbe) probes--
        must(id === call!.id && !call!.told, 'a value in time is its own')
      },
      (error: unknown) => {
        if (isProbe) probes--
        const reason = isKeelsonError(error) ? (error.details as { reason: string }).reason : undefined
        if (call === undefined) {
          must(reason === (isClosed ? 'overload' : 'open'), `a refusal has its reason (${reason})`)
          must((error as KernelError).retryAfter! >= 100, 'a refusal does not make callers spin')
        } else if (reason === 'timeout') {
          timedOut(call)
        } else {
          must(call.answered, 'an error is the answer of the store')
        }
      },
    )
  }

  for (const step of script) {
    if (step.kind === 'call') start(step)
    await clock.advance(step.kind === 'advance' ? step.byMs : 0)
    expect({ problems, state: guard.state, pending: guard.stats().pending }).toEqual({ problems: [], state, pending })
  }

  // The store is well again: whoever asks long enough gets in, and nothing is left over.
  recovered = true
  await clock.advance('10s')
  const hung = pending
  if (pingScript === undefined && guard.state === 'open')
    start({ kind: 'call', answer: 'ok', afterMs: 0, timeoutMs: 10, leftMs: undefined })
  await clock.advance('1s')
  expect({ state: guard.state, pending: guard.stats().pending }).toEqual({ state: 'closed', pending: hung })
  expect(clock.pending(), 'no timer is left').toBe(0)
  expect(late.toSorted(byId), 'no late value is lost, none is given twice').toEqual([...owed].toSorted(byId))
  expect(problems).toEqual([])
}

const byId = (a: number, b: number): number => a - b

const errors: Record<Exclude<Answer, 'ok'>, () => Error> = {
  refused: () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }),
  conflict: () => Object.assign(new Error('duplicate key'), { code: '23505' }),
  overload: () => new KernelError('STORE_UNAVAILABLE', 'pool is full', { details: { reason: 'overload' } }),
}

test('the guard does what its model says, whatever the store does', async () => {
  await fc.assert(fc.asyncProperty(steps, pings, limits, play), { numRuns: RUNS })
})
