import { expect, test } from 'vitest'
import { linesOf } from '../crash/lines.ts'
import { aboutOf, boundariesOf, planDeaths, writeAt, type Death } from '../crash/plan.ts'
import { wholeOnce } from '../crash/scenario.ts'

const boundaries = boundariesOf({ pay: 2, refund: 1 })
const plan = (seed: number, kills: number): Death[] => planDeaths({ seed, kills, inFlight: 8, boundaries })

test('a plan has every boundary once and the rest at random, in full work', () => {
  const deaths = plan(1, 20)
  const met = deaths.flatMap((death) => ('boundary' in death ? [death] : []))
  expect(met.map(({ boundary }) => JSON.stringify(boundary)).sort()).toEqual(
    boundaries.map((boundary) => JSON.stringify(boundary)).sort(),
  )
  expect(boundaries).toHaveLength(9)
  for (const { from } of met) expect(from).toBeGreaterThanOrEqual(7)
  expect(deaths).toHaveLength(20)
})

test('with few kills a fifth stays random', () => {
  const deaths = plan(1, 5)
  expect(deaths.filter((death) => 'afterMs' in death)).toHaveLength(1)
  expect(deaths).toHaveLength(5)
})

test('a seed decides all', () => {
  expect(plan(7, 20)).toEqual(plan(7, 20))
  expect(plan(7, 20)).not.toEqual(plan(8, 20))
})

test('kinds come by weight, and the write that is to die has its kind', () => {
  const job = { seed: 3, round: 1, kinds: { often: 9, rare: 1 }, death: { afterMs: 1 } }
  const kinds = Array.from({ length: 1_000 }, (_, i) => writeAt(job, i).kind)
  expect(kinds.filter((kind) => kind === 'rare').length).toBeGreaterThan(50)
  expect(kinds.filter((kind) => kind === 'rare').length).toBeLessThan(200)
  const death: Death = { boundary: { kind: 'rare', flight: 1, when: 'sent' }, from: 9 }
  expect(writeAt({ ...job, death }, 9)).toEqual({ key: '1-9', kind: 'rare' })
})

test('fewer than eight writes in flight are refused', () => {
  expect(() => aboutOf({ inFlight: 7, open: () => Promise.reject() })).toThrow('inFlight must be at least 8 (got 7)')
})

test.each([
  [{ rows: 1, effects: 1 }, 'yes', undefined],
  [{ rows: 1, effects: 1 }, undefined, undefined],
  [{ rows: 0, effects: 0 }, undefined, undefined],
  [{}, undefined, undefined],
  [{ rows: 0, effects: 0 }, 'yes', 'its client was told, but it is not there'],
  [{}, 'yes', 'its client was told, but it is not there'],
  [{ rows: 1, effects: 0 }, undefined, 'a part is missing'],
  [{ rows: 2, effects: 2 }, 'yes', 'there more than once'],
])('%j, told %s: %s', (counts, told, wrong) => {
  expect(wholeOnce({ key: 'k', kind: 'write', told, counts })).toBe(wrong)
})

test('at most twenty findings are printed', () => {
  const broken = Array.from({ length: 23 }, (_, i) => `write 1-${i}: a part is missing`)
  const lines = linesOf({ seed: 1, kills: 2, boundaries: { met: 1, all: 3 }, runs: 16, retries: 4, broken })
  expect(lines.slice(0, 7)).toEqual([
    'seed       1',
    'kills      2',
    'boundaries 1 of 3; more runs meet the others',
    'runs       16',
    'retries    4',
    'broken     23',
    '  write 1-0: a part is missing',
  ])
  expect(lines).toHaveLength(27)
  expect(lines.at(-1)).toBe('  and 3 more')
})
