import { afterAll, describe, expect, test } from 'vitest'
import {
  context,
  createStoreGuard,
  KernelError,
  systemClock,
  type StoreGuard,
  type StoreGuardOptions,
} from '../src/index.ts'
import { virtualClock, type VirtualClock } from '../src/testing/index.ts'

const unhandled: unknown[] = []
process.on('unhandledRejection', (error) => unhandled.push(error))
afterAll(() => expect(unhandled).toEqual([]))

interface Guarded {
  readonly clock: VirtualClock
  readonly guard: StoreGuard
  readonly logged: [string, object, string][]
}

function guarded(options: Partial<StoreGuardOptions> = {}): Guarded {
  const clock = virtualClock()
  const logged: Guarded['logged'] = []
  const log = (level: string) => (fields: object, message: string) => void logged.push([level, fields, message])
  const logger = { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') }
  return { clock, logged, guard: createStoreGuard({ name: 'redis', clock, logger, ...options }) }
}

const refused = (): Promise<never> =>
  Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))
const hangs = (): Promise<never> => new Promise(() => {})
const outcome = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)
const unavailable = (reason: string, retryAfter: unknown = expect.any(Number)): unknown =>
  expect.objectContaining({ code: 'STORE_UNAVAILABLE', retryable: true, retryAfter, details: { reason } })

test('a closed guard passes values, errors and the signal through', async () => {
  const { guard } = guarded()
  expect(await guard.call(async (signal) => signal.aborted)).toBe(false)
  const own = new Error('no such row')
  await expect(guard.call(() => Promise.reject(own))).rejects.toBe(own)
  await expect(
    guard.call(() => {
      throw own
    }),
  ).rejects.toBe(own)
  expect(guard.state).toBe('closed')
  expect(guard.stats()).toEqual({ state: 'closed', pending: 0, failures: 0, timeouts: 0, rejected: 0 })
})

test('a call that takes too long is told no on time, its signal is aborted, and the guard opens', async () => {
  const { clock, guard, logged } = guarded()
  let heard: unknown
  const call = outcome(
    guard.call((signal) => {
      signal.addEventListener('abort', () => (heard = signal.reason))
      return hangs()
    }),
  )
  await clock.advance(249)
  expect(guard.state).toBe('closed')
  await clock.advance(1)
  expect(await call).toEqual(unavailable('timeout'))
  expect(await call).toMatchObject({ message: 'redis did not answer in 250 ms' })
  expect(heard).toBe(await call)
  expect(guard.state).toBe('open')
  expect(guard.stats()).toMatchObject({ failures: 1, timeouts: 1, pending: 1, openedAt: clock.now() })
  expect(logged).toEqual([
    ['warn', { store: 'redis', lastError: 'redis did not answer in 250 ms' }, 'store guard opened'],
  ])
})

test('a store failure opens it at once; open, nothing is started and retryAfter is the time to the next probe', async () => {
  const { clock, guard } = guarded({ ping: hangs })
  await expect(guard.call(refused)).rejects.toThrow('ECONNREFUSED')
  let started = 0
  const next = (): Promise<unknown> => outcome(guard.call(async () => ++started))
  expect(await next()).toEqual(unavailable('open', 500))
  await clock.advance(450)
  // At least 100 ms, so that callers do not spin.
  expect(await next()).toEqual(unavailable('open', 100))
  expect(await next()).toMatchObject({ message: 'redis is down (connect ECONNREFUSED)' })
  expect(started).toBe(0)
  expect(guard.stats()).toMatchObject({ rejected: 3, failures: 1, lastError: 'connect ECONNREFUSED' })
})

test.each([
  ['a constraint', Object.assign(new Error('duplicate key'), { code: '23505' })],
  ['a lock time-out', Object.assign(new Error('lock timeout'), { code: '55P03' })],
  ['a programming error', new TypeError('x')],
  ['a full pool', new KernelError('STORE_UNAVAILABLE', 'full', { details: { reason: 'overload' } })],
  ['another open guard', new KernelError('STORE_UNAVAILABLE', 'down', { details: { reason: 'open' } })],
])('%s does not open it', async (_, error) => {
  const { guard } = guarded()
  await expect(guard.call(() => Promise.reject(error))).rejects.toBe(error)
  expect(guard.state).toBe('closed')
  expect(guard.stats().failures).toBe(0)
})

test('a COMMIT without an answer is a failure of the store', async () => {
  const { guard } = guarded()
  await outcome(guard.call(() => Promise.reject(new KernelError('COMMIT_UNKNOWN', 'x'))))
  expect(guard.state).toBe('open')
})

test('what counts as a failure can be said', async () => {
  const { guard } = guarded({ isStoreFailure: (error) => (error as Error).message === 'mine' })
  await outcome(guard.call(refused))
  expect(guard.state).toBe('closed')
  await outcome(guard.call(() => Promise.reject(new Error('mine'))))
  expect(guard.state).toBe('open')
})

test('a failure opens nothing if another call succeeded since it began', async () => {
  const { clock, guard } = guarded()
  const slow = outcome(guard.call(hangs))
  await clock.advance(100)
  await guard.call(async () => 1)
  await clock.advance(150)
  expect(await slow).toEqual(unavailable('timeout'))
  expect(guard.state).toBe('closed')
  // A success from before it began does not count.
  const next = outcome(guard.call(hangs))
  await clock.advance(250)
  await next
  expect(guard.state).toBe('open')
})

describe('the caller has a deadline of its own', () => {
  test('a call ends with it, and that says nothing of the store', async () => {
    const { clock, guard } = guarded()
    const call = context.run({ deadline: clock.monotonic() + 50 }, () => outcome(guard.call(hangs)))
    await clock.advance(50)
    expect(await call).toEqual(unavailable('timeout'))
    expect(guard.state).toBe('closed')
    expect(guard.stats()).toMatchObject({ failures: 0, timeouts: 1 })
  })

  test('a deadline that is further away than the time-out changes nothing', async () => {
    const { clock, guard } = guarded()
    const call = context.run({ deadline: clock.monotonic() + 300 }, () => outcome(guard.call(hangs)))
    await clock.advance(250)
    expect(await call).toEqual(unavailable('timeout'))
    expect(guard.state).toBe('open')
  })

  test('a probe runs outside of it and of its context', async () => {
    const heard = Promise.withResolvers<unknown>()
    // A real clock: a real timer carries the context of its creation.
    const guard = createStoreGuard({
      name: 'redis',
      probeEvery: 1,
      ping: async () => heard.resolve([context.get(), context.remaining()]),
    })
    const deadline = systemClock.monotonic() + 10_000
    await context.run({ correlationId: 'c1', deadline }, () => outcome(guard.call(refused)))
    expect(await heard.promise).toEqual([undefined, Infinity])
    guard.close()
  })
})

test('after close() an open guard lets callers probe, since nobody pings any more', async () => {
  const { clock, guard } = guarded({ ping: refused })
  await outcome(guard.call(refused))
  guard.close()
  expect(await outcome(guard.call(async () => 1))).toEqual(unavailable('open'))
  await clock.advance('1s')
  expect(await guard.call(async () => 1)).toBe(1)
  expect(guard.state).toBe('closed')
})

test('a call may bring its own time-out, longer or shorter', async () => {
  const { clock, guard } = guarded()
  const [short, long] = [outcome(guard.call(hangs, { timeout: 10 })), outcome(guard.call(hangs, { timeout: '10s' }))]
  await clock.advance(10)
  expect(await short).toMatchObject({ message: 'redis did not answer in 10 ms' })
  await clock.advance(9_990)
  expect(await long).toMatchObject({ message: 'redis did not answer in 10000 ms' })
  await expect(guard.call(hangs, { timeout: '5 s' as never })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
})

describe('late answers', () => {
  test('a value that comes after the caller was told no goes to late, once', async () => {
    const { clock, guard } = guarded()
    const late: number[] = []
    const answer = Promise.withResolvers<number>()
    const call = outcome(guard.call(() => answer.promise, { late: (value) => late.push(value) }))
    await clock.advance(250)
    await call
    expect(late).toEqual([])
    answer.resolve(7)
    await clock.advance(0)
    expect(late).toEqual([7])
    expect(guard.stats().pending).toBe(0)
  })

  test('a value that comes in the very moment of the abort is late too', async () => {
    const { clock, guard } = guarded()
    const late: number[] = []
    const call = outcome(
      guard.call((signal) => new Promise<number>((resolve) => signal.addEventListener('abort', () => resolve(7))), {
        late: (value) => late.push(value),
      }),
    )
    await clock.advance(250)
    expect(await call).toEqual(unavailable('timeout'))
    expect(late).toEqual([7])
  })

  test('a value in time never goes to late', async () => {
    const { clock, guard } = guarded()
    const late: number[] = []
    expect(await guard.call(async () => 7, { late: (value) => late.push(value) })).toBe(7)
    await clock.advance('1s')
    expect(late).toEqual([])
    expect(clock.pending()).toBe(0)
  })

  test('a late rejection is swallowed, a late that throws is logged', async () => {
    const { clock, guard, logged } = guarded()
    const answers = [Promise.withResolvers<number>(), Promise.withResolvers<number>()]
    const late = (): never => {
      throw new Error('from late')
    }
    const calls = answers.map(({ promise }) => outcome(guard.call(() => promise, { late })))
    await clock.advance(250)
    await Promise.all(calls)
    answers[0]!.reject(new Error('late'))
    answers[1]!.resolve(1)
    await clock.advance(0)
    expect(logged.map(([level, , message]) => [level, message])).toContainEqual([
      'warn',
      'late of a store guard failed',
    ])
  })

  test('a late success closes the guard', async () => {
    const { clock, guard } = guarded()
    const answer = Promise.withResolvers<number>()
    const call = outcome(guard.call(() => answer.promise))
    await clock.advance(250)
    await call
    answer.resolve(1)
    await clock.advance(0)
    expect(guard.state).toBe('closed')
  })
})

describe('probes', () => {
  test('one ping at a time, every probeEvery, until the first success', async () => {
    const pings: PromiseWithResolvers<void>[] = []
    const ping = (): Promise<void> => {
      pings.push(Promise.withResolvers<void>())
      return pings.at(-1)!.promise
    }
    const { clock, guard, logged } = guarded({ ping, timeout: '2s', probeEvery: 100 })
    await outcome(guard.call(refused))
    await clock.advance(99)
    expect(pings.length).toBe(0)
    await clock.advance(1)
    expect(pings.length).toBe(1)
    await clock.advance(1_999)
    expect(pings.length).toBe(1)
    await clock.advance(101)
    expect(pings.length).toBe(2)
    pings[1]!.resolve()
    await clock.advance('1m')
    expect(pings.length).toBe(2)
    expect(guard.state).toBe('closed')
    expect(logged.map(([, , message]) => message)).toEqual(['store guard opened', 'store guard closed'])
  })

  test('a guard that closes and opens again during a probe still has one', async () => {
    let running = 0
    let most = 0
    const ping = async (): Promise<void> => {
      most = Math.max(most, ++running)
      await clock.sleep(10_000)
      running--
      throw new Error('late')
    }
    const { clock, guard } = guarded({ ping, timeout: '2s', probeEvery: 100 })
    const answer = Promise.withResolvers<number>()
    const early = guard.call(() => answer.promise)
    await outcome(guard.call(refused))
    await clock.advance(150)
    answer.resolve(1)
    await early
    expect(guard.state).toBe('closed')
    await outcome(guard.call(refused))
    await clock.advance(1_500)
    expect(most).toBe(1)
    guard.close()
  })

  test('without a ping one caller is the probe, whoever else ends meanwhile', async () => {
    const { clock, guard } = guarded({ probeEvery: 100 })
    const answer = Promise.withResolvers<number>()
    const early = outcome(guard.call(() => answer.promise, { timeout: '1m' }))
    await outcome(guard.call(refused))
    await clock.advance(99)
    expect(await outcome(guard.call(async () => 1))).toEqual(unavailable('open', 100))
    await clock.advance(1)
    let started = 0
    const probe = outcome(
      guard.call(
        () => {
          started++
          return hangs()
        },
        { timeout: '10s' },
      ),
    )
    answer.reject(Object.assign(new Error('reset'), { code: 'ECONNRESET' }))
    await early
    await clock.advance(5_000)
    expect(await outcome(guard.call(async () => ++started))).toEqual(unavailable('open', 100))
    expect(started).toBe(1)
    await clock.advance(5_000)
    await probe
    expect(await guard.call(async () => 'back')).toBe('back')
    expect(guard.state).toBe('closed')
  })

  test('a probe with a wrong option is no probe', async () => {
    const { clock, guard } = guarded()
    await outcome(guard.call(refused))
    await clock.advance(500)
    await expect(guard.call(async () => 1, { timeout: NaN })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    expect(await guard.call(async () => 1)).toBe(1)
  })

  test('close ends the probing', async () => {
    let pings = 0
    const { clock, guard } = guarded({
      ping: async () => {
        pings++
        throw new Error('down')
      },
    })
    await outcome(guard.call(refused))
    guard.close()
    await clock.advance('1m')
    expect([pings, clock.pending()]).toEqual([0, 0])
  })
})

test('over maxPending unanswered calls it is overloaded, which neither opens nor closes it', async () => {
  const { clock, guard } = guarded({ maxPending: 2 })
  const answer = Promise.withResolvers<number>()
  const calls = [guard.call(() => answer.promise), guard.call(() => answer.promise)]
  let started = 0
  expect(await outcome(guard.call(async () => ++started))).toEqual(unavailable('overload', 100))
  expect([started, guard.state]).toEqual([0, 'closed'])
  answer.resolve(1)
  expect(await Promise.all(calls)).toEqual([1, 1])
  expect(await guard.call(async () => 2)).toBe(2)

  const overload = new KernelError('STORE_UNAVAILABLE', 'full', { details: { reason: 'overload' } })
  await outcome(guard.call(refused))
  await clock.advance(500)
  await outcome(guard.call(() => Promise.reject(overload)))
  expect(guard.state).toBe('open')
})

test('onChange hears of each change until it is told to stop; one that throws harms nobody', async () => {
  const { clock, guard, logged } = guarded()
  const heard: string[] = []
  guard.onChange(() => {
    throw new Error('from a listener')
  })
  const stop = guard.onChange((state) => heard.push(state))
  const call = outcome(guard.call(hangs))
  await clock.advance(250)
  expect(await call).toEqual(unavailable('timeout'))
  await clock.advance(500)
  await guard.call(async () => 1)
  expect(heard).toEqual(['open', 'closed'])
  stop()
  await outcome(guard.call(refused))
  expect(heard).toEqual(['open', 'closed'])
  expect(logged.filter(([, , message]) => message === 'onChange of a store guard failed').length).toBe(3)
})

test.each([
  [{ name: undefined }, /"name" is required/],
  [{ name: 'x', timeout: 0 }, /"timeout" must be a Duration .*at least 1 \(got 0\)/],
  [{ name: 'x', probeEvery: '2s' }, /"probeEvery" must be .*at most 1s \(got '2s'\)/],
  [{ name: 'x', maxPending: 0 }, /"maxPending" must be an integer from 1/],
  [{ name: 'x', ping: true }, /"ping" must be a function/],
  [{ name: 'x', pings: () => {} }, /unknown option "pings"; did you mean "ping"\?/],
])('a wrong option is refused at creation: %o', (options, message) => {
  expect(() => createStoreGuard(options as never)).toThrow(
    expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(message) }),
  )
})
