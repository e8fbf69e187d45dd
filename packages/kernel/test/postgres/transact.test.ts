import { beforeEach, describe, expect, test } from 'vitest'
import { context, type Effect, type EffectContext } from '../../src/index.ts'
import { transact } from '../../src/postgres/index.ts'
import { virtualClock } from '../../src/testing/index.ts'
import { effect, failure, insertEffect, isQuiet, nothing, openWorld, watchProcess } from './world.ts'

watchProcess()
const world = await openWorld('kernel_transact')
const pool = world.openPool({ max: 2 })
beforeEach(() => world.clear())

const addItem = 'insert into items(sku) values ($1)'

test('the caller’s SQL and the effects are one commit, and the value is returned after it', async () => {
  const value = await transact(pool, async (tx) => {
    await tx.query(addItem, ['tea'])
    return { value: 'order 1', effects: [effect('audit'), effect('outbox')] }
  })
  expect(value).toBe('order 1')
  expect(await world.committed()).toEqual({ items: ['tea'], effects: ['audit', 'outbox'] })
})

test('effects may be missing, and any value may be returned', async () => {
  for (const value of [undefined, null, 0, 'text', { a: 1 }])
    expect(await transact(pool, async () => ({ value }))).toBe(value)
})

test('a failing effect leaves nothing and is the driver’s error', async () => {
  const bad = effect('', { kind: 'test.bad', statements: () => [{ text: 'insert into effects(label) values (null)' }] })
  const failing = transact(pool, async (tx) => {
    await tx.query(addItem, ['tea'])
    return { value: 1, effects: [effect('a'), bad, effect('b')] }
  })
  expect(await failure(failing)).toMatchObject({ code: '23502' })
  expect(await world.committed()).toEqual(nothing)
})

test('what an effect’s statements() throws is thrown, and nothing stays', async () => {
  const own = new Error('own')
  const bad = effect('', {
    statements: () => {
      throw own
    },
  })
  const failing = transact(pool, async (tx) => {
    await tx.query(addItem, ['tea'])
    return { value: 1, effects: [effect('a'), bad] }
  })
  expect(await failure(failing)).toBe(own)
  expect(await world.committed()).toEqual(nothing)
})

describe('an effect without statements', () => {
  let seen: string[]
  const mail = (perform: () => Promise<void>): Effect => ({ kind: 'mail.send', perform })
  beforeEach(() => {
    seen = []
  })

  test('is refused before anything of the tail is sent', async () => {
    const watched = effect('a', {
      statements: () => [
        { text: `select pg_notify('kernel_transact', 'sent'), set_config('kernel.sent', 'yes', false)` },
      ],
    })
    const failing = transact(pool, async (tx) => {
      await tx.query(addItem, ['tea'])
      return { value: 1, effects: [watched, mail(async () => void seen.push('performed'))] }
    })
    expect(await failure(failing)).toMatchObject({
      code: 'EFFECT_NOT_TRANSACTIONAL',
      message: expect.stringMatching(/'mail\.send'/),
    })
    await isQuiet(pool)
    expect(await world.committed()).toEqual(nothing)
    expect(seen).toEqual([])
  })

  test('under bestEffort it is performed before the tail', async () => {
    const performed = mail(async () => {
      seen.push('performed', ...(await world.committed()).effects)
    })
    const first = effect('a', {
      statements: () => {
        seen.push('asked')
        return [insertEffect('a')]
      },
    })
    await transact(pool, async () => ({ value: 1, effects: [performed, first] }), { bestEffort: true })
    expect(seen).toEqual(['asked', 'performed'])
    expect((await world.committed()).effects).toEqual(['a'])
  })

  test('when it throws, everything rolls back with its error', async () => {
    const own = new Error('smtp')
    const failing = transact(
      pool,
      async (tx) => {
        await tx.query(addItem, ['tea'])
        return { value: 1, effects: [effect('a'), mail(() => Promise.reject(own))] }
      },
      { bestEffort: true },
    )
    expect(await failure(failing)).toBe(own)
    expect(await world.committed()).toEqual(nothing)
  })
})

describe('after the commit', () => {
  test('hooks run once the rows are there, and before the value is returned', async () => {
    let found: unknown
    await transact(pool, async () => ({
      value: 1,
      effects: [effect('a', { afterCommit: async () => void (found = (await world.committed()).effects) })],
    }))
    expect(found).toEqual(['a'])
  })

  test('a hook that throws or hangs changes nothing', async () => {
    const clock = virtualClock()
    const logged: string[] = []
    const silent = (): void => {}
    const logger = {
      debug: silent,
      info: silent,
      error: silent,
      warn: (_: object, message: string) => void logged.push(message),
    }
    const hanging = Promise.withResolvers<void>()
    const effects = [
      effect('a', {
        afterCommit: () => {
          throw new Error('own')
        },
      }),
      effect('b', {
        afterCommit: () => {
          hanging.resolve()
          return new Promise(() => {})
        },
      }),
    ]
    const done = transact(pool, async () => ({ value: 'done', effects }), { afterCommitTimeout: '1m', clock, logger })
    await hanging.promise
    await clock.advance('1m')
    expect(await done).toBe('done')
    expect((await world.committed()).effects).toEqual(['a', 'b'])
    expect(logged).toEqual(['afterCommit failed', 'afterCommit hooks took too long and go on unawaited'])
  })

  test.each(['throws', 'fails in its tail'])('no hook runs when the unit %s', async (how) => {
    let hooks = 0
    const statements = () => [{ text: how === 'throws' ? 'select 1' : 'select 1/0' }]
    const failing = transact(pool, async () => {
      if (how === 'throws') throw new Error('own')
      return { value: 1, effects: [effect('a', { statements, afterCommit: () => void hooks++ })] }
    })
    await failure(failing)
    expect(hooks).toBe(0)
  })

  test('hooks of a run that was repeated do not run', async () => {
    const hooks: number[] = []
    let runs = 0
    await transact(pool, async () => {
      const run = ++runs
      const fail = { text: `do $$ begin raise exception 'again' using errcode = '40001'; end $$` }
      return {
        value: 1,
        effects: [effect('a', { statements: () => (run < 3 ? [fail] : []), afterCommit: () => void hooks.push(run) })],
      }
    })
    expect(hooks).toEqual([3])
  })
})

test('the effects’ context carries the request, and is one for all runs, effects and hooks of a unit', async () => {
  const seen: EffectContext[] = []
  const note = (ctx: EffectContext): [] => {
    seen.push(ctx)
    return []
  }
  const request = {
    correlationId: 'c1',
    traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    principal: { id: 'u1', roles: ['clerk'] },
  }
  let runs = 0
  const effects = [
    effect('a', { statements: note, afterCommit: (ctx) => void note(ctx) }),
    effect('b', { statements: note }),
  ]
  await context.run(request, () =>
    transact(
      pool,
      async (tx, ctx) => {
        note(ctx)
        await tx.query('select 1')
        expect(context.get()).toEqual(request)
        if (++runs === 1) await tx.query(`do $$ begin raise exception 'again' using errcode = '40001'; end $$`)
        return { value: 1, effects }
      },
      { scope: 'm1', op: 'POST /x' },
    ),
  )
  expect(seen.length).toBe(5)
  expect(new Set(seen).size).toBe(1)
  expect(seen[0]).toEqual({
    ...request,
    scope: 'm1',
    op: 'POST /x',
    operationId: expect.any(String),
    now: expect.any(Number),
  })
})

test.each<[unknown, object]>([
  [undefined, { code: 'INPUT_INVALID', message: 'transact: work must answer { value, effects? } (got undefined)' }],
  ['text', { code: 'INPUT_INVALID' }],
  [{ effects: [] }, { code: 'INPUT_INVALID' }],
  [
    { value: 1, effects: effect('a') },
    { code: 'EFFECT_INVALID', message: 'transact: effects must be an array (got an object)' },
  ],
  [{ value: 1, effects: [effect('a'), null] }, { code: 'EFFECT_INVALID' }],
])('work that answers %o is refused, and nothing stays', async (answer, expected) => {
  const failing = transact(pool, async (tx) => {
    await tx.query(addItem, ['tea'])
    return answer as never
  })
  expect(await failure(failing)).toMatchObject(expected)
  expect(await world.committed()).toEqual(nothing)
})

test.each<[object, RegExp]>([
  [{ retries: 101 }, /^transact: "retries" must be an integer from 0 to 100 \(got 101\)$/],
  [{ scope: 'a\nb' }, /^transact: "scope" must be a scope .* \(got 'a\\u000ab'\)$/],
  [{ bestEffort: 'yes' }, /"bestEffort" must be true or false/],
  [{ afterCommitTimeout: '1 s' }, /"afterCommitTimeout" must be a Duration/],
  [{ stall: '25d' }, /"stall" .*at most 24d/],
  [{ isolation: 'SERIALIZABLE' }, /"isolation"/],
  [{ logger: console.log }, /"logger" must be an object with debug\(\), info\(\), warn\(\), error\(\)/],
  [{ timeout: 1 }, /unknown option "timeout"/],
])('a wrong option is refused and no work runs: %o', async (options, message) => {
  let ran = false
  const work = async (): Promise<{ value: number }> => {
    ran = true
    return { value: 1 }
  }
  expect(await failure(transact(pool, work, options))).toMatchObject({
    code: 'OPTION_INVALID',
    message: expect.stringMatching(message),
  })
  expect(ran).toBe(false)
})
