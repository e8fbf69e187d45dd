import { Module } from '@nestjs/common'
import { Test } from '@nestjs/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createCache, prefix, type Caches } from '@keelson/cache'
import { createHttp } from '@keelson/http'
import { Cacheable, KeelsonModule } from '@keelson/nest'
import { Prices } from './cacheable.nest.ts'

describe('@Cacheable()', () => {
  let caches: Caches
  let prices: Prices

  beforeEach(async () => {
    caches = createCache({ name: 'app' })
    prices = await made(caches)
  })
  afterEach(() => caches.close())

  async function made(cache: Caches): Promise<Prices> {
    @Module({ imports: [KeelsonModule.forRoot({ http: createHttp({ cache }), components: { cache } })] })
    class App {}
    const app = await Test.createTestingModule({ imports: [App], providers: [Prices] }).compile()
    return app.get(Prices)
  }

  it('answers out of the cache for the same arguments, until a tag of the value is invalidated', async () => {
    expect([await prices.of('tea'), await prices.of('tea'), await prices.of('rum')]).toEqual(
      ['tea', 'tea', 'rum'].map((sku) => ({ sku })),
    )
    expect(prices.asked).toEqual([['tea'], ['rum']])
    await caches.scope('public').invalidate('tea string')
    await prices.of('tea')
    await prices.of('rum')
    expect(prices.asked).toEqual([['tea'], ['rum'], ['tea']])
    await caches.scope('public').invalidate(prefix('Prices.of'))
    await prices.of('rum')
    expect(prices.asked.length).toBe(4)
  })

  it('two lists of arguments never share a value', async () => {
    const lists = [
      ['["a"]'],
      [['a']],
      ['a', 'b'],
      ['a,b'],
      ['a', ['b']],
      [1],
      ['1'],
      [null],
      [{ a: 1 }],
      ['x'.repeat(999)],
    ]
    for (const list of [...lists, ...lists]) await prices.of(...(list as [string]))
    expect(prices.asked).toEqual(lists)
  })

  it('long arguments are a key, in any script', async () => {
    for (const text of ['ü'.repeat(150), '語'.repeat(150), '💧'.repeat(70), 'x'.repeat(160)]) {
      await prices.of(text)
      await prices.of(text)
    }
    expect(prices.asked.length).toBe(4)
  })

  it('what is no JSON is refused: two that differ must not share a value', async () => {
    const cycle: Record<string, unknown> = {}
    cycle['self'] = cycle
    const wrong: unknown[] = [
      Array(1),
      { [Symbol('a')]: 1 },
      Object.assign([1], { more: 1 }),
      cycle,
      [cycle],
      new Date(),
      undefined,
    ]
    for (const one of wrong) await expect(prices.of(one as string)).rejects.toMatchObject({ code: 'INPUT_INVALID' })
    await prices.of([[], {}, [null, { a: [1] }]] as unknown as string)
    expect(prices.asked.length).toBe(1)
  })

  it('takes scope and key from the arguments', async () => {
    const [monday, tuesday] = [new Date('2026-01-05T12:00Z'), new Date('2026-01-06T12:00Z')]
    for (const at of [monday, tuesday, monday]) for (const tenant of ['m1', 'm2']) await prices.at(tenant, at)
    expect(prices.asked).toEqual([
      ['m1', 1],
      ['m2', 1],
      ['m1', 2],
      ['m2', 2],
    ])
  })

  it.each([[new Map()], [() => 0], [{ at: new Date() }], [Number.NaN], [[undefined]]])(
    'refuses %o as an argument without a key',
    async (argument) => {
      await expect(prices.of('tea', argument)).rejects.toMatchObject({
        code: 'INPUT_INVALID',
        message: 'Prices.of: its arguments are no JSON: give it a "key"',
      })
      expect(prices.asked).toEqual([])
    },
  )

  it('two applications have a cache each', async () => {
    const other = createCache({ name: 'other' })
    const others = await made(other)
    await prices.of('tea')
    await others.of('tea')
    expect([prices.asked, others.asked]).toEqual([[['tea']], [['tea']]])
    await other.close()
  })

  it('an object that no container has made says so', async () => {
    await expect(new Prices().of('tea')).rejects.toMatchObject({ name: 'HttpError', code: 'NOT_INJECTED' })
  })

  it('is refused on an accessor and with a wrong rule, naming Class.method', () => {
    class Own {}
    const on = (rule: object, method: object): unknown =>
      Cacheable(rule as never)(Own.prototype, 'price', method as never)
    const right = { scope: 'public', ttl: '1m' }
    expect(() => on(right, { get: () => 0 })).toThrow(/^Own\.price: only a method can be cached/)
    expect(() => on({ ...right, scope: '' }, { value: async () => 0 })).toThrow(/^Own\.price: "scope" must be/)
    expect(() => on({ scope: 'public' }, { value: async () => 0 })).toThrow(/^Own\.price: "ttl" is required/)
    expect(() => on({ ...right, tag: [] }, { value: async () => 0 })).toThrow(/did you mean "tags"/)
  })
})
