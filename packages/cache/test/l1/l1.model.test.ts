import fc from 'fast-check'
import { virtualClock } from '@keelson/kernel/testing'
import { expect, test } from 'vitest'
import { keyOf, type Key } from '@keelson/cache'
import { createL1, type L1, type L1Limits, type NewL1Entry } from '../../src/l1/l1.ts'
import { SCOPE_TAG } from '../../src/tag.ts'
import { entryOf } from './entry.ts'

const SCOPES = ['a', 'b']
const KEYS: Key[] = ['x', 'y', ['x'], ['x', 1], ['x', '1'], ['x', 1, 'z']]
const TAGS = ['t', 'u', 'v']
const BYTES = 100

const scope = fc.constantFrom(...SCOPES)
const key = fc.constantFrom(...KEYS)
const tags = fc.subarray(TAGS)
const bumped = fc.oneof(fc.constantFrom(...TAGS), key.map(keyOf), fc.constant(SCOPE_TAG))
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read'), scope }) },
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('put'),
      back: fc.nat(3),
      key,
      tags,
      grace: fc.boolean(),
      bytes: fc.nat(BYTES),
    }),
  },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('get'), scope, key }) },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('bump'),
      scope,
      tags: fc.array(bumped, { minLength: 1, maxLength: 3 }),
      soft: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('drop') }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('elapse'), ms: fc.integer({ min: 1, max: 100_000 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('purge') }) },
) as fc.Arbitrary<Step>

type Step =
  | { kind: 'read'; scope: string }
  | { kind: 'put'; back: number; key: Key; tags: string[]; grace: boolean; bytes: number }
  | { kind: 'get'; scope: string; key: Key }
  | { kind: 'bump'; scope: string; tags: string[]; soft: boolean }
  | { kind: 'drop' | 'purge' }
  | { kind: 'elapse'; ms: number }

/** What was invalidated when, and nothing is ever forgotten. */
interface Invalidation {
  readonly scope: string | undefined
  readonly tags: readonly string[]
  readonly soft: boolean
}

/** A read that was sent, by how many invalidations there were. */
interface Read {
  readonly scope: string
  readonly generation: number
  readonly moment: number
}

interface Known {
  readonly read: Read
  readonly given: NewL1Entry
  readonly grace: boolean
}

/** Plays the steps on an L1 beside a model. With `exact` both say the same; else L1 may know less. */
async function play(limits: L1Limits, steps: readonly Step[], exact: boolean): Promise<L1> {
  const clock = virtualClock()
  const l1 = createL1(limits, { clock, seed: 1 })
  const held = SCOPES.map((name) => l1.scope(name)) // with nobody holding them they may be forgotten
  const past: Invalidation[] = []
  const reads: Read[] = []
  const entries = new Map<string, Known>()
  let value = 0

  const stateOf = (scope: string, moment: number, tags: readonly string[], grace: boolean) => {
    const since = past.slice(moment).filter((one) => one.scope === undefined || one.scope === scope)
    if (since.some((one) => one.scope === undefined)) return 'gone'
    const touching = since.filter((one) => one.tags.some((tag) => tags.includes(tag)))
    if (touching.some(({ soft }) => !soft)) return 'gone'
    return touching.length === 0 ? 'fresh' : grace ? 'stale' : 'gone'
  }

  for (const one of steps) {
    switch (one.kind) {
      case 'read':
        reads.push({ scope: one.scope, generation: l1.scope(one.scope).generation, moment: past.length })
        break
      case 'put': {
        const read = reads.at(-1 - one.back)
        if (read === undefined) break
        const endsMs = 1e8
        const given = entryOf(one.key, one.tags, {
          value: ++value,
          bytes: one.bytes,
          endsMs,
          goneMs: one.grace ? 2e8 : endsMs,
        })
        const state = stateOf(read.scope, read.moment, given.tags, one.grace)
        const answer = l1.scope(read.scope).put(one.key, read.generation, given)
        if (state === 'gone') expect(answer).toBeUndefined()
        else if (exact) expect(answer).toBeDefined()
        if (answer === undefined) break
        expect([answer.value, answer.endsMs]).toEqual([value, state === 'stale' ? 0 : endsMs])
        entries.set(JSON.stringify([read.scope, one.key]), { read, given, grace: one.grace })
        break
      }
      case 'get': {
        const entry = l1.scope(one.scope).get(one.key)
        const known = entries.get(JSON.stringify([one.scope, one.key]))
        const state = known && stateOf(one.scope, known.read.moment, known.given.tags, known.grace)
        if (entry === undefined) {
          if (exact) expect(state ?? 'gone').toBe('gone')
          break
        }
        expect([entry.value, entry.endsMs === 0 ? 'stale' : 'fresh']).toEqual([known!.given.value, state])
        expect(entry.tags()).toEqual(known!.given.tags)
        break
      }
      case 'bump':
        past.push({ scope: one.scope, tags: one.tags, soft: one.soft })
        l1.scope(one.scope).bump(one.tags, one.soft)
        break
      case 'drop':
        past.push({ scope: undefined, tags: [], soft: false })
        l1.drop()
        break
      case 'elapse':
        await clock.advance(one.ms)
        break
      case 'purge':
        l1.purge()
        break
    }
    expect(l1.entries).toBeLessThanOrEqual(limits.maxEntries)
    expect(l1.bytes).toBeLessThanOrEqual(limits.maxBytes)
  }
  expect(held).toHaveLength(SCOPES.length)
  return l1
}

const steps = fc.array(step, { maxLength: 80, size: 'max' })
const withoutTime = fc.array(
  step.filter(({ kind }) => kind !== 'elapse'),
  { maxLength: 80, size: 'max' },
)

test('with room for everything it says what a map and a list of all invalidations say', async () => {
  await fc.assert(
    fc.asyncProperty(withoutTime, async (given) => {
      await play({ maxEntries: 1_000, maxBytes: 1e9 }, given, true)
    }),
    { numRuns: 1_000 },
  )
})

test('short of room and of time it knows less, and nothing that is not so; what is empty is gone', async () => {
  const limits = fc.record({
    maxEntries: fc.integer({ min: 1, max: 6 }),
    maxBytes: fc.integer({ min: 1, max: 4 * BYTES }),
  })
  await fc.assert(
    fc.asyncProperty(limits, steps, async (limits, given) => {
      const l1 = await play(limits, given, false)
      for (const name of SCOPES) l1.purge(name)
      expect([l1.entries, l1.bytes]).toEqual([0, 0])
      // What is left are notes: three tags, six keys, of two scopes.
      expect(l1.tags).toBeLessThanOrEqual(2 * (TAGS.length + KEYS.length))
      l1.drop()
      expect(l1.tags).toBe(0)
    }),
    { numRuns: 1_000 },
  )
})
