import { afterEach, expect, test, vi } from 'vitest'
import { virtualClock } from '@keelson/kernel/testing'
import { createChaos, type ChaosOptions, type ChaosRule } from '../../src/chaos/index.ts'

afterEach(() => vi.unstubAllEnvs())

const struck = (seed: number, rules: readonly ChaosRule[], calls = 200): number[] => {
  const chaos = createChaos({ seed, rules })
  const work = chaos.wrap(() => 1)
  for (let i = 0; i < calls; i++) {
    try {
      work()
    } catch {}
  }
  return chaos.log().map(({ n }) => n)
}

test('what is broken depends on the seed and the number of the call alone', () => {
  const rules = [{ rate: 0.3, fault: 'error' }] as const
  expect(struck(7, rules)).toEqual(struck(7, rules))
  expect(struck(7, rules)).not.toEqual(struck(8, rules))
  expect(struck(7, rules).length).toBeGreaterThan(30)
  expect(struck(7, rules).length).toBeLessThan(90)
  // Fewer calls before it change nothing of call n.
  expect(struck(7, rules, 100)).toEqual(struck(7, rules).filter((n) => n < 100))
  expect(struck(7, [{ rate: 0, fault: 'error' }])).toEqual([])
  expect(struck(7, [{ rate: 1, fault: 'error' }])).toHaveLength(200)
})

test('an error, a value, a latency and a hang are what they are called', async () => {
  const clock = virtualClock()
  const wrapped = (rule: ChaosRule) => createChaos({ seed: 1, rules: [rule], clock }).wrap(async (n: number) => n)
  expect(() => wrapped({ rate: 1, fault: 'error' })(5)).toThrow(expect.objectContaining({ code: 'CHAOS' }) as Error)
  const own = new Error('own')
  expect(() => wrapped({ rate: 1, fault: 'error', error: () => own })(5)).toThrow(own)
  expect(await wrapped({ rate: 1, fault: 'value', value: () => 6 })(5)).toBe(6)
  const ends: string[] = []
  void wrapped({ rate: 1, fault: 'latency', ms: [10, 20] })(5).then((n) => ends.push(`${n} after`))
  void wrapped({ rate: 1, fault: 'hang' })(5).then(() => ends.push('never'))
  await clock.advance(9)
  expect(ends).toEqual([])
  await clock.advance(11)
  expect(ends).toEqual(['5 after'])
  await clock.advance('1d')
  expect(ends).toEqual(['5 after'])
})

test('it is turned off and on, keeps this and arguments, and says what it did', async () => {
  const clock = virtualClock()
  const chaos = createChaos({ seed: 1, rules: [{ rate: 1, fault: 'latency', ms: [5, 5] }], enabled: false, clock })
  const counter = {
    n: 2,
    add: chaos.wrap(async function (this: { n: number }, by: number) {
      return this.n + by
    }),
  }
  expect(await counter.add(3)).toBe(5)
  expect(chaos.log()).toEqual([])
  chaos.enabled = true
  const late = counter.add(4)
  await clock.advance(5)
  expect(await late).toBe(6)
  expect(chaos.log()).toEqual([{ n: 0, rule: 0, ms: 5 }])
})

test('production is refused unless it is allowed, and wrong rules are named', () => {
  vi.stubEnv('NODE_ENV', 'production')
  expect(() => createChaos({ seed: 1, rules: [] })).toThrow('"allowInProduction" must be true')
  createChaos({ seed: 1, rules: [], allowInProduction: true })
  vi.unstubAllEnvs()
  for (const [options, message] of [
    [{ rules: [] }, '"seed" is required'],
    [{ seed: 1.5, rules: [] }, '"seed" must be an integer (got 1.5)'],
    [{ seed: 1, rules: [{ rate: 2, fault: 'hang' }] }, '"rules[0].rate" must be a number from 0 to 1 (got 2)'],
    [
      { seed: 1, rules: [{ rate: 1, fault: 'fire' }] },
      `"rules[0].fault" must be 'error', 'latency', 'hang' or 'value'`,
    ],
    [{ seed: 1, rules: [{ rate: 1, fault: 'latency', ms: [9, 5] }] }, '"rules[0].ms" must be [least, most] in ms'],
    [{ seed: 1, rules: [{ rate: 1, fault: 'value' }] }, '"rules[0].value" must be a function'],
  ] as const) {
    const make = (): unknown => createChaos(options as unknown as ChaosOptions)
    expect(make).toThrow(message)
    expect(make).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }) as Error)
  }
})
