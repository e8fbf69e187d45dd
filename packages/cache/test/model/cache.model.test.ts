import fc from 'fast-check'
import { expect, test } from 'vitest'
import { play, type Scenario, type Step } from './world.ts'

const RUNS = process.env['LONG'] === '1' ? 2_000 : 200

const node = fc.nat(2)
// Mostly one: races are about the same entry.
const key = fc.constantFrom(0, 0, 0, 0, 0, 1, 3)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 40,
    arbitrary: fc.record({
      kind: fc.constant('read' as const),
      node,
      key,
      how: fc.constantFrom('getOrSet' as const, 'getOrSet' as const, 'getOrSet' as const, 'get', 'peek', 'at', 'many'),
      loadMs: fc.constantFrom(0, 0, 0, 10, 30, 120),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      node,
      key,
      how: fc.constantFrom('tag' as const, 'tag' as const, 'key', 'prefix', 'scope', 'all'),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('drop' as const),
      node,
      key,
      end: fc.constantFrom('commit' as const, 'commit' as const, 'rollback', 'die'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('soft' as const), node, key }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('line' as const),
      node,
      fault: fc.constantFrom('none' as const, 'refused', 'mute'),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('lag' as const), node, ms: fc.constantFrom(0, 30, 100, 400) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('pause' as const, 'restart', 'crash'), node }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('lose' as const),
      what: fc.constantFrom('state' as const, 'members', 'all'),
      cut: fc.boolean(),
    }),
  },
  {
    weight: 20,
    arbitrary: fc.record({
      kind: fc.constant('elapse' as const),
      ms: fc.constantFrom(10, 10, 10, 10, 30, 60, 150, 400),
    }),
  },
)

const scenario: fc.Arbitrary<Scenario> = fc.record({
  tier: fc.constantFrom('leased' as const, 'leased' as const, 'leased' as const, 'memory'),
  coherence: fc.constantFrom('strong' as const, 'strong' as const, 'bounded'),
  lagsMs: fc.array(fc.constantFrom(0, 0, 30, 100), { minLength: 1, maxLength: 4, size: 'max' }),
  steps: fc.array(step, { minLength: 10, maxLength: 80, size: 'max' }),
})

test('whatever happens to whom: no read is older than what was acknowledged before it', async () => {
  const sum = { reads: 0, loads: 0 }
  await fc.assert(
    fc.asyncProperty(scenario, async (given) => {
      const { reads, loads } = await play(given)
      sum.reads += reads
      sum.loads += loads
    }),
    { numRuns: RUNS, ...seeded() },
  )
  // A cache that never hits passes every test of staleness.
  expect(sum.loads).toBeLessThan(0.8 * sum.reads)
}, 1_200_000)

/** The seed that a failure printed. */
function seeded(): { seed?: number } {
  const seed = process.env['SEED']
  return seed === undefined ? {} : { seed: Number(seed) }
}
