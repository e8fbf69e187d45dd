import { describe, expect, test } from 'vitest'
import { createLimiter, memoryStore, type LimiterOptions, type Quota } from '../../src/limiter/index.ts'
import { postgresStore } from '../../src/postgres/index.ts'
import { redisStore } from '../../src/redis/index.ts'

const good: LimiterOptions = { name: 'api', quotas: { name: 'minute', limit: 3, per: '1m' } }
const quota = (more: object): LimiterOptions => ({ ...good, quotas: { ...(good.quotas as Quota), ...more } })

describe('a wrong option is refused at creation, with its name, its value and what is allowed', () => {
  test.each<[name: string, options: unknown, message: RegExp]>([
    ['no name', { quotas: good.quotas }, /"name" is required: 1 to 64 of a-z/],
    ['a wrong name', { ...good, name: 'My API' }, /"name" must be 1 to 64 of a-z 0-9 _ . - \(got 'My API'\)/],
    ['an unknown option', { ...good, qoutas: 1 }, /unknown option "qoutas"; did you mean "quotas"/],
    ['leases', { ...good, lease: true }, /unknown option "lease"/],
    ['no quotas', { ...good, quotas: [] }, /"quotas" must be 1 to 16 quotas \(got 0\)/],
    ['equal names', { ...good, quotas: [good.quotas, good.quotas] }, /different names \(got 'minute' twice\)/],
    ['no limit', { ...good, quotas: { name: 'q', per: '1s' } }, /"limit" is required/],
    ['a limit of 0', quota({ limit: 0 }), /"limit" must be an integer from 1 to 1000000000.*\(got 0\)/],
    ['half a limit', quota({ limit: 1.5 }), /"limit" must be .*\(got 1.5\)/],
    ['no length', { ...good, quotas: { name: 'q', limit: 1 } }, /"per" of 'q' is required/],
    ['a wrong length', quota({ per: '1 m' }), /"per" must be a Duration .*\(got '1 m'\)/],
    ['no time at all', quota({ per: 0 }), /"per" must be .*at least 1.*\(got 0\)/],
    ['parts of a ms', quota({ per: 1.5 }), /"per" of 'minute' must be whole ms \(got 1.5\)/],
    ['an unknown algorithm', quota({ algorithm: 'leaky' }), /"algorithm" must be 'sliding', 'gcra' or 'fixed'/],
    ['a burst of no gcra', quota({ burst: 5 }), /"burst" of 'minute' needs algorithm: 'gcra'/],
    [
      'a burst that takes years',
      quota({ algorithm: 'gcra', per: '366d', limit: 1, burst: 1_000 }),
      /"burst" of 'minute' must fill within/,
    ],
    ['two lengths', quota({ calendar: 'day' }), /"per" of 'minute' must not stand beside "calendar"/],
    ['a zone of no calendar', quota({ timeZone: 'UTC' }), /"timeZone" of 'minute' needs "calendar"/],
    [
      'an unknown zone',
      { ...good, quotas: { name: 'q', limit: 1, calendar: 'day', timeZone: 'Europe/Bonn' } },
      /"timeZone" must be an IANA time zone such as 'Europe\/Berlin' \(got 'Europe\/Bonn'\)/,
    ],
    [
      'an unknown calendar',
      { ...good, quotas: { name: 'q', limit: 1, calendar: 'year' } },
      /"calendar" must be 'hour'/,
    ],
    ['no store', { ...good, store: {} }, /"store" must be an object with take\(\)/],
    [
      'an unknown fallback',
      { ...good, onStoreFailure: 'open' },
      /"onStoreFailure" must be 'local' or 'allow' or 'deny'/,
    ],
    ['no nodes', { ...good, nodes: 0 }, /"nodes" must be an integer of at least 1 or a function \(got 0\)/],
    ['a timeout of nothing', { ...good, storeTimeout: 0 }, /"storeTimeout" must be .*at least 10ms/],
  ])('%s', (_, options, message) => {
    expect(() => createLimiter(options as LimiterOptions)).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(message) }),
    )
  })

  test('and so are those of the stores', () => {
    expect(() => memoryStore({ maxSubjects: 0 })).toThrow(/memoryStore: "maxSubjects" must be .*\(got 0\)/)
    expect(() => redisStore({} as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    expect(() => postgresStore({} as never)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    expect(() => postgresStore({} as never, { schema: 'a b' })).toThrow(/"schema"/)
  })
})

describe('a wrong call is refused, and counts nothing', () => {
  const key = 'k'
  test.each<[name: string, subject: unknown, code: string]>([
    ['no subject', undefined, 'INPUT_INVALID'],
    ['no scope', { key }, 'SCOPE_INVALID'],
    ['an empty scope', { scope: '', key }, 'SCOPE_INVALID'],
    ['a scope with a control character', { scope: 'a\0b', key }, 'SCOPE_INVALID'],
    ['no key', { scope: 's' }, 'INPUT_INVALID'],
    ['an empty key', { scope: 's', key: '' }, 'INPUT_INVALID'],
    ['a key of 513 bytes', { scope: 's', key: 'é'.repeat(256) + 'x' }, 'INPUT_INVALID'],
    ['half a character', { scope: 's', key: '\ud800' }, 'INPUT_INVALID'],
    ['a negative cost', { scope: 's', key, cost: -1 }, 'INPUT_INVALID'],
    ['half a cost', { scope: 's', key, cost: 0.5 }, 'INPUT_INVALID'],
    ['no number', { scope: 's', key, cost: '1' }, 'INPUT_INVALID'],
    ['what a body may have for a number', { scope: 's', key, cost: JSON.parse('{ "toString": 1 }') }, 'INPUT_INVALID'],
    ['a symbol', { scope: 's', key, cost: Symbol('1') }, 'INPUT_INVALID'],
  ])('%s', async (_, subject, code) => {
    const limiter = createLimiter(good)
    for (const method of ['take', 'peek', 'reset'] as const)
      await expect(limiter[method](subject as never)).rejects.toMatchObject({ code, retryable: false })
  })

  test('a key of 512 bytes is fine', async () => {
    expect((await createLimiter(good).take({ scope: 's', key: 'é'.repeat(256) })).allowed).toBe(true)
  })

  test.each([0, -1, 1.5, NaN, undefined, Object.create(null)])('a limit function that answers %s', async (answer) => {
    const limiter = createLimiter(quota({ limit: () => answer }))
    await expect(limiter.take({ scope: 's', key })).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: `the limit function of quota 'minute' must answer an integer from 1 to 1000000000 (got ${typeof answer === 'object' ? 'an object' : answer})`,
    })
  })

  test('a limit function that throws is heard', async () => {
    const error = new Error('no such plan')
    const limit = (): never => {
      throw error
    }
    await expect(createLimiter(quota({ limit })).take({ scope: 's', key })).rejects.toBe(error)
  })

  test('a refund of a wrong cost, or of what is no decision of this limiter', async () => {
    const limiter = createLimiter(good)
    const decision = await limiter.take({ scope: 's', key })
    await expect(limiter.refund(decision, -1)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(createLimiter(good).refund(decision)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await expect(limiter.refund({ ...decision })).rejects.toMatchObject({ code: 'INPUT_INVALID' })
  })

  test('what is closed stays closed', async () => {
    const limiter = createLimiter(good)
    const decision = await limiter.take({ scope: 's', key })
    await limiter.close()
    await limiter.close()
    for (const call of [
      limiter.take({ scope: 's', key }),
      limiter.peek({ scope: 's', key }),
      limiter.reset({ scope: 's', key }),
      limiter.refund(decision),
      limiter.start(),
      limiter.runOnce(),
    ])
      await expect(call).rejects.toMatchObject({ code: 'CLOSED' })
  })
})
