import { EventEmitter } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import fc from 'fast-check'
import pg from 'pg'
import { afterAll, describe, expect, inject, test } from 'vitest'
import { context, isTraceparent, type KeelsonContext } from '../src/index.ts'
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

test.each([7, null, {}, '', 'x'.repeat(129), 'a\0b', '\ud800'] as never[])(
  'a correlation id that no store could keep (%j) counts as not given',
  (correlationId) => {
    expect(context.run({ correlationId, tenant: 't' }, context.get)).toEqual({ tenant: 't' })
    const inner = context.run({ correlationId: 'outer' }, () => context.run({ correlationId }, context.get))
    expect(inner).toEqual({ correlationId: 'outer' })
  },
)

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

test('an inner deadline may be nearer than the outer one, never further', () => {
  const deadline = (): number | undefined => context.get()?.deadline
  context.run({ deadline: 100 }, () => {
    expect(context.run({ deadline: 50 }, deadline)).toBe(50)
    expect(context.run({ deadline: 150 }, deadline)).toBe(100)
    expect(context.run({ tenant: 't' }, deadline)).toBe(100)
    expect(context.run({ deadline: 50 }, () => context.run({ deadline: 80 }, deadline))).toBe(50)
    for (const none of [Infinity, NaN, undefined, null, '5']) {
      expect(context.run({ deadline: none as never }, deadline)).toBe(100)
    }
    expect(context.run({ deadline: -Infinity }, () => context.remaining())).toBe(0)
  })
  expect(context.run({ deadline: NaN }, () => context.remaining())).toBe(Infinity)
})

const trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01'
const otherTrace = '00-0af7651916cd43dd8448eb211c80319c-0000000000000001-00'

describe('a traceparent', () => {
  test.each([
    trace,
    otherTrace,
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff',
    // Of a version to come, which may say more.
    'cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    'cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-',
    'cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-what.the-future-holds',
  ])('is valid: %s', (value) => {
    expect(isTraceparent(value)).toBe(true)
    expect(context.run({ traceparent: value }, () => context.get())).toEqual({ traceparent: value })
  })

  test.each<unknown>([
    '',
    'ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    '00-00000000000000000000000000000000-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01',
    '00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-',
    '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-1',
    'cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01.more',
    'cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-a\nb',
    `cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-${'x'.repeat(200)}`,
    ` ${trace}`,
    `${trace} `,
    `${trace}\n`,
    `${trace},${trace}`,
    [trace],
    null,
    7,
  ])('is dropped, not repaired: %j', (value) => {
    expect(isTraceparent(value)).toBe(false)
    expect(context.run({ traceparent: value as string, tenant: 't' }, () => context.get())).toEqual({ tenant: 't' })
    // As if it were not given: the outer one goes on.
    const inner = context.run({ traceparent: trace }, () => context.run({ traceparent: value as string }, context.get))
    expect(inner).toEqual({ traceparent: trace })
  })

  test('an inner one takes the place of the outer one', () => {
    const inner = context.run({ traceparent: trace }, () => context.run({ traceparent: otherTrace }, context.get))
    expect(inner).toEqual({ traceparent: otherTrace })
  })
})

describe('carry and resume', () => {
  test('correlation id, traceparent, tenant and principal go along as text; deadline and retries stay', () => {
    const principal = { id: 'u1', type: 'user', name: 'Ann', roles: ['clerk'] }
    const request = { correlationId: 'c1', traceparent: trace, tenant: 'm1', principal }
    const carried = context.run({ ...request, deadline: 5, retryAttempt: 2 }, context.carry)
    expect(carried).toEqual({ ...request, principal: JSON.stringify(principal) })
    const resumed = context.resume(carried, context.get)
    expect(resumed).toEqual(request)
    expect(Object.isFrozen(resumed)).toBe(true)
    expect(context.get()).toBeUndefined()
  })

  test('outside of a run there is nothing to carry', () => {
    expect(context.carry()).toEqual({})
    expect(context.resume({}, context.get)).toEqual({})
  })

  test('what was carried replaces the context of the worker: a job has nothing of another one', () => {
    const worker = { correlationId: 'w', traceparent: trace, tenant: 'A', principal: { id: 'worker' }, deadline: 1 }
    context.run({ ...worker, retryAttempt: 1 }, () => {
      expect(context.resume({ tenant: 'B' }, context.get)).toEqual({ tenant: 'B' })
      expect(context.resume({ tenant: 'B' }, () => context.remaining())).toBe(Infinity)
      expect(context.resume({}, context.get)).toEqual({})
      expect(context.resume({ tenant: '', principal: '{}' }, context.get)).toEqual({})
      expect(context.get()).toMatchObject(worker)
    })
  })

  test('what is run inside is merged over it, and the answer or throw of the function comes out', () => {
    const inner = context.resume({ tenant: 'm1' }, () => context.run({ deadline: 9 }, context.get))
    expect(inner).toEqual({ tenant: 'm1', deadline: 9 })
    expect(() =>
      context.resume({}, () => {
        throw new Error('own')
      }),
    ).toThrow('own')
  })

  test.each<[string, unknown, KeelsonContext]>([
    ['a correlation id that is empty', { correlationId: '' }, {}],
    ['a correlation id that is too long', { correlationId: 'x'.repeat(129) }, {}],
    ['a correlation id with a line break', { correlationId: 'a\nb' }, {}],
    ['a correlation id with a lone surrogate', { correlationId: 'a\ud800' }, {}],
    ['an invalid traceparent', { traceparent: 'ff-x', correlationId: 'c1' }, { correlationId: 'c1' }],
    ['a tenant that is no scope', { tenant: 'ä'.repeat(65) }, {}],
    ['a principal that is no JSON', { principal: '{', tenant: 'm1' }, { tenant: 'm1' }],
    ['a principal that is an object already', { principal: { id: 'u1' } }, {}],
    ['a principal that is text', { principal: '"u1"' }, {}],
    ['a principal that is null', { principal: 'null' }, {}],
    ['a principal that is a list', { principal: '[{"id":"u1"}]' }, {}],
    ['a principal without an id', { principal: '{"name":"Ann"}' }, {}],
    ['a principal with an empty id', { principal: '{"id":""}' }, {}],
    ['a principal with a number as id', { principal: '{"id":5}' }, {}],
    ['a principal with its id in __proto__', { principal: '{"__proto__":{"id":"u1"}}' }, {}],
    [
      'members of a principal that are wrong or unknown',
      { principal: '{"id":"u1","type":1,"name":null,"roles":["clerk",{}],"admin":true}' },
      { principal: { id: 'u1' } },
    ],
    ['unknown members', { tenant: 'm1', deadline: '5', retryAttempt: '1', admin: 'true' }, { tenant: 'm1' }],
    ['numbers', { correlationId: 5, tenant: 5, traceparent: 5, principal: 5 }, {}],
    ['nothing', undefined, {}],
    ['null', null, {}],
    ['text', 'tenant', {}],
    [
      'a getter that throws',
      {
        get tenant(): string {
          throw new Error('hostile')
        },
      },
      {},
    ],
  ])('%s: dropped, and the function runs', (_, carried, expected) => {
    expect(context.resume(carried as Record<string, string>, context.get)).toEqual(expected)
  })

  const text = fc.string({ unit: 'binary' })
  const hex = (length: number) =>
    fc
      .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
      .filter((id) => !/^0+$/.test(id))
  const plain = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 128 })
  const valid: fc.Arbitrary<KeelsonContext> = fc.record(
    {
      correlationId: plain,
      traceparent: fc.tuple(hex(32), hex(16)).map(([traceId, parentId]) => `00-${traceId}-${parentId}-01`),
      tenant: plain,
      principal: fc.record(
        { id: text.filter((id) => id !== ''), type: text, name: text, roles: fc.array(text) },
        { requiredKeys: ['id'], noNullPrototype: true },
      ),
    },
    { requiredKeys: [], noNullPrototype: true },
  ) as fc.Arbitrary<KeelsonContext>

  test('what is valid comes back equal, through a queue and any number of hops', () => {
    fc.assert(
      fc.property(valid, fc.integer({ min: 1, max: 3 }), (request, hops) => {
        let now: KeelsonContext | undefined = context.run({ ...request, deadline: 1, retryAttempt: 1 }, () =>
          context.get(),
        )
        for (let hop = 0; hop < hops; hop++) {
          const carried = JSON.parse(JSON.stringify(context.run(now!, context.carry))) as Record<string, string>
          expect(Object.values(carried).every((value) => typeof value === 'string')).toBe(true)
          now = context.run({ tenant: 'worker', deadline: 5 }, () => context.resume(carried, context.get))
        }
        expect(now).toEqual(request)
      }),
    )
  })

  test('whatever was carried, resume runs its function with valid members only', () => {
    const hostile = fc.oneof(
      fc.anything(),
      fc.json(),
      text,
      fc.object().map((value) => JSON.stringify(value)),
    )
    const member = fc.constantFrom('correlationId', 'traceparent', 'tenant', 'principal', 'deadline', '__proto__')
    const carried = fc.oneof(fc.anything(), fc.dictionary(member, hostile), fc.object())
    fc.assert(
      fc.property(carried, (carried) => {
        const resumed = context.resume(carried as Record<string, string>, context.get)!
        expect(
          Object.keys(resumed).filter((key) => !['correlationId', 'traceparent', 'tenant', 'principal'].includes(key)),
        ).toEqual([])
        // What is valid stays as it is at the next hop.
        expect(context.run(resumed, () => context.resume(context.carry(), context.get))).toEqual(resumed)
      }),
      { numRuns: 1_000 },
    )
  })
})

/** Who it runs for, in one word. */
const who = (): string => {
  const { correlationId, tenant, principal } = context.get() ?? {}
  return `${correlationId}/${tenant}/${principal?.id}`
}

/** Jobs of all requests, done by one worker that has a context of its own. */
const jobs: { readonly carried: string; readonly done: (who: string) => void }[] = []
let isWorking = false
function work(): void {
  if (isWorking) return
  isWorking = true
  context.run({ tenant: 'worker', principal: { id: 'worker' }, deadline: 1 }, () =>
    setImmediate(() => {
      isWorking = false
      for (const { carried, done } of jobs.splice(0)) {
        void context.resume(JSON.parse(carried) as Record<string, string>, async () => {
          await new Promise((resolve) => setTimeout(resolve, Math.random() * 3))
          done(context.remaining() === Infinity ? who() : 'a deadline of the worker')
        })
      }
    }),
  )
}

/** Ways in which a request waits; each answers whom it woke up for. */
const waits: Record<string, () => Promise<string>> = {
  timers: async () => {
    for (let i = 0; i < 3; i++) await new Promise((resolve) => setTimeout(resolve, Math.random() * 5))
    return who()
  },
  immediates: () => new Promise((resolve) => setImmediate(() => process.nextTick(() => resolve(who())))),
  streams: async () => {
    let seen = ''
    await pipeline(
      Readable.from(['a', 'b']),
      async function* (chunks) {
        for await (const chunk of chunks) {
          seen = who()
          yield chunk as string
        }
      },
      async (chunks) => {
        for await (const _ of chunks) if (who() !== seen) seen = 'crossed'
      },
    )
    return seen
  },
  jobs: () =>
    new Promise((done) => {
      jobs.push({ carried: JSON.stringify(context.carry()), done })
      work()
    }),
  'answers of a pool': async () => {
    await pool.query('select 1')
    return who()
  },
  'callbacks of a pool': () =>
    new Promise((resolve) =>
      pool.query(
        'select 1',
        context.bind(() => resolve(who())),
      ),
    ),
}

test('10,000 interleaved contexts never cross, over timers, streams, pools and jobs', async () => {
  const kinds = Object.values(waits)
  const seen = await Promise.all(
    Array.from({ length: 10_000 }, (_, i) =>
      context.run({ correlationId: `c${i}`, tenant: `t${i}`, principal: { id: `p${i}` } }, async () => {
        const first = await kinds[i % kinds.length]!()
        const second = await kinds[Math.floor(Math.random() * 4)]!()
        return [first, second, who()]
      }),
    ),
  )
  expect(seen.filter((each, i) => each.some((one) => one !== `c${i}/t${i}/p${i}`))).toEqual([])
})

test('two copies of the kernel share one context', async () => {
  const other = await secondCopy()
  expect(other.context).not.toBe(context)
  const seen = context.run({ correlationId: 'c1', tenant: 't1' }, () =>
    other.context.run({ tenant: 't2' }, () => context.get()),
  )
  expect(seen).toEqual({ correlationId: 'c1', tenant: 't2' })
})
