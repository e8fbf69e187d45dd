import { tracingChannel } from 'node:diagnostics_channel'
import { expect, onTestFinished, test } from 'vitest'
import { context, createStoreGuard, kernelMetrics, KernelError, type StoreGuardOptions } from '../src/index.ts'
import { virtualClock } from '../src/testing/index.ts'

const refused = (): Promise<never> =>
  Promise.reject(Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }))
const hangs = (): Promise<never> => new Promise(() => {})
const ended = (promise: Promise<unknown>): Promise<unknown> => promise.catch((error: unknown) => error)

/** What is counted of one store, by outcome. */
const callsOf = (store: string): Record<string, number> =>
  countsOf('keelson_kernel_store_calls_total', store, 'outcome')
const openOf = (store: string): number | undefined => countsOf('keelson_kernel_store_open', store, 'store')[store]

function countsOf(name: string, store: string, by: string): Record<string, number> {
  const family = kernelMetrics.metrics().find((family) => family.name === name)!
  const samples = family.samples.filter(({ labels }) => labels['store'] === store)
  return Object.fromEntries(samples.map(({ labels, value }) => [labels[by], value]))
}

function guarded(name: string, o: Partial<StoreGuardOptions> = {}) {
  const clock = virtualClock()
  return { clock, guard: createStoreGuard({ name, clock, ...o }) }
}

test('each call through a guard is counted once, by how it ended for its caller', async () => {
  const { clock, guard } = guarded('by outcome', { maxPending: 1 })
  const call = (fn: () => Promise<unknown>): Promise<unknown> => ended(guard.call(fn))
  await call(async () => 1)
  await call(async () => 2)
  await call(() => Promise.reject(new Error('no such row')))
  await call(() => Promise.reject(new KernelError('CLOSED', 'ours')))
  await call(() => {
    throw new Error('thrown')
  })
  expect(callsOf('by outcome')).toEqual({ ok: 2, error: 3 })

  const slow = Promise.withResolvers<number>()
  const late = call(() => slow.promise)
  await call(async () => 'too many')
  await clock.advance(250)
  await late
  slow.resolve(1)
  await clock.advance(1)
  // The late answer closed the guard; it was told as a timeout, once.
  expect(callsOf('by outcome')).toEqual({ ok: 2, error: 3, rejected: 1, timeout: 1 })

  await call(refused)
  await call(async () => 'open')
  expect(callsOf('by outcome')).toEqual({ ok: 2, error: 3, rejected: 2, timeout: 1, failed: 1 })
})

test('a call whose caller had no time left is a timeout; a wrong option and a ping are no call', async () => {
  const { clock, guard } = guarded('no call', { ping: async () => 'pong' })
  const hurried = context.run({ deadline: clock.monotonic() + 10 }, () => ended(guard.call(hangs)))
  await clock.advance(10)
  await hurried
  await ended(guard.call(hangs, { timeout: NaN }))
  await ended(guard.call(refused))
  await clock.advance('1m')
  expect(guard.state).toBe('closed')
  expect(callsOf('no call')).toEqual({ timeout: 1, failed: 1 })
})

test('a store is open while a guard of it is, whoever has several', async () => {
  const [first, second] = [guarded('twice'), guarded('twice')]
  expect(openOf('twice')).toBe(0)
  await ended(first.guard.call(refused))
  await ended(first.guard.call(async () => 1))
  expect(openOf('twice')).toBe(1)
  await ended(second.guard.call(refused))
  expect(openOf('twice')).toBe(2)
  await first.clock.advance(500)
  await first.guard.call(async () => 1)
  expect(openOf('twice')).toBe(1)
})

test('a guard that was closed is not counted as open any more, whatever it does', async () => {
  const { clock, guard } = guarded('shut')
  await ended(guard.call(refused))
  guard.close()
  guard.close()
  expect(openOf('shut')).toBe(0)
  await clock.advance(500)
  await guard.call(async () => 1)
  expect(openOf('shut')).toBe(0)
  await ended(guard.call(refused))
  expect(openOf('shut')).toBe(0)
})

test('who listens to keelson:kernel:store hears of each call, its store and its outcome', async () => {
  const heard: unknown[] = []
  const tracing = tracingChannel<unknown, { store: string; outcome?: string }>('keelson:kernel:store')
  const subscribers = {
    start: ({ store, outcome }: { store: string; outcome?: string }) => void heard.push(['start', store, outcome]),
    end: () => {},
    asyncStart: () => {},
    asyncEnd: ({ store, outcome }: { store: string; outcome?: string }) =>
      void heard.push(['asyncEnd', store, outcome]),
    error: ({ outcome, error }: { outcome?: string; error?: unknown }) => void heard.push(['error', outcome, error]),
  }
  tracing.subscribe(subscribers)
  onTestFinished(() => tracing.unsubscribe(subscribers))
  const { guard } = guarded('heard')
  expect(await guard.call(async () => 5)).toBe(5)
  const error = await ended(guard.call(refused))
  const open = await ended(guard.call(async () => 1))
  expect(heard).toEqual([
    ['start', 'heard', undefined],
    ['asyncEnd', 'heard', 'ok'],
    ['start', 'heard', undefined],
    ['error', 'failed', error],
    ['asyncEnd', 'heard', 'failed'],
    ['start', 'heard', undefined],
    ['error', 'rejected', open],
    ['asyncEnd', 'heard', 'rejected'],
  ])
})
