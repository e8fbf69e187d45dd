import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import pg from 'pg'
import { afterAll, expect, inject, test } from 'vitest'
import { context } from '../src/index.ts'
import { virtualClock } from '../src/testing/index.ts'
import { secondCopy } from './second-copy.ts'

const pool = new pg.Pool({ connectionString: inject('databaseUrl'), max: 4 })
afterAll(() => pool.end())

test('outside of a run there is none, and no deadline', () => {
  expect(context.get()).toBeUndefined()
  expect(context.remaining()).toBe(Infinity)
})

test('a run is merged over the outer one, frozen, and ends with its function', () => {
  context.run({ correlationId: 'c1', tenant: 't1' }, () => {
    const inner = context.run({ tenant: 't2', retryAttempt: 1 }, () => context.get())
    expect(inner).toEqual({ correlationId: 'c1', tenant: 't2', retryAttempt: 1 })
    expect(Object.isFrozen(inner)).toBe(true)
    expect(context.get()).toEqual({ correlationId: 'c1', tenant: 't1' })
  })
  expect(context.get()).toBeUndefined()
  expect(() =>
    context.run({ tenant: 't' }, () => {
      throw new Error('own')
    }),
  ).toThrow('own')
  expect(context.get()).toBeUndefined()
})

test('what is given stays as it is and unfrozen', () => {
  const values = { tenant: 't1' }
  context.run(values, () => {})
  expect(Object.isFrozen(values)).toBe(false)
})

test('remaining counts down on the monotonic clock, never below 0, whatever the wall clock does', async () => {
  const clock = virtualClock()
  await clock.advance('1s')
  const left: number[] = []
  await context.run({ deadline: clock.monotonic() + 250 }, async () => {
    left.push(context.remaining(clock))
    clock.jumpWall(-1_000_000)
    await clock.advance(100)
    left.push(context.remaining(clock))
    await clock.advance(500)
    left.push(context.remaining(clock))
  })
  expect(left).toEqual([250, 150, 0])
})

test('a bound function runs in the context of its binding, with its own this, arguments and answer', () => {
  const emitter = new EventEmitter()
  const seen: unknown[] = []
  context.run({ correlationId: 'bound' }, () => {
    emitter.on(
      'ring',
      context.bind(function (this: unknown, n: number) {
        seen.push(this === emitter, n, context.get()?.correlationId)
      }),
    )
  })
  context.run({ correlationId: 'emitting' }, () => emitter.emit('ring', 7))
  expect(seen).toEqual([true, 7, 'bound'])

  const outside = context.bind((n: number) => [n + 1, context.get()])
  expect(context.run({ correlationId: 'inner' }, () => outside(1))).toEqual([2, undefined])
})

/** Ways in which a request waits; each answers the correlation id that it woke up with. */
const waits: Record<string, () => Promise<string | undefined>> = {
  timers: async () => {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
    return context.get()?.correlationId
  },
  immediates: () =>
    new Promise((resolve) => setImmediate(() => process.nextTick(() => resolve(context.get()?.correlationId)))),
  streams: async () => {
    let seen: string | undefined
    await pipeline(
      Readable.from(['a', 'b']),
      async function* (chunks) {
        for await (const chunk of chunks) {
          seen = context.get()?.correlationId
          yield chunk as string
        }
      },
      async (chunks) => {
        for await (const _ of chunks) if (context.get()?.correlationId !== seen) seen = 'crossed'
      },
    )
    return seen
  },
  'answers of a pool': async () => {
    await pool.query('select 1')
    return context.get()?.correlationId
  },
  'callbacks of a pool': () =>
    new Promise((resolve) =>
      pool.query(
        'select 1',
        context.bind(() => resolve(context.get()?.correlationId)),
      ),
    ),
}

test('10,000 interleaved contexts never cross', async () => {
  const kinds = Object.values(waits)
  const seen = await Promise.all(
    Array.from({ length: 10_000 }, (_, i) =>
      context.run({ correlationId: `c${i}` }, async () => {
        const first = await kinds[i % kinds.length]!()
        const second = await kinds[Math.floor(Math.random() * 3)]!()
        return [first, second, context.get()?.correlationId]
      }),
    ),
  )
  expect(seen.filter((ids, i) => ids.some((id) => id !== `c${i}`))).toEqual([])
})

test('two copies of the kernel share one context', async () => {
  const other = await secondCopy()
  expect(other.context).not.toBe(context)
  const seen = context.run({ correlationId: 'c1', tenant: 't1' }, () =>
    other.context.run({ tenant: 't2' }, () => context.get()),
  )
  expect(seen).toEqual({ correlationId: 'c1', tenant: 't2' })
})
