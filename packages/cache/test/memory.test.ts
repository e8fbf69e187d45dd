import fc from 'fast-check'
import { virtualClock } from '@keelson/kernel/testing'
import { describe, expect, expectTypeOf, it, test } from 'vitest'
import {
  CacheError,
  keyOf,
  memoryStore,
  type CacheStore,
  type CacheTier,
  type Entry,
  type Key,
  type Ref,
} from '@keelson/cache'
import { decodeKey, encodeKey } from '../src/key.ts'
import { memoryL1 } from '../src/memory.ts'
import { implicitTags, SCOPE_TAG } from '../src/tag.ts'
import { mayFill, validityOf } from '../src/validity.ts'

const LIMITS = { maxTtlMs: 3_600_000, maxLoadMs: 60_000 }
const LOCK = { lockMs: 2_000, node: 'n1', body: true }
const NO_LOCK = { ...LOCK, lockMs: 0 }

function refOf(key: Key, ...tags: string[]): Ref {
  const encoded = encodeKey(key)
  return { scope: 'acme', key: encoded, declared: [...implicitTags(key, encoded, 1), ...tags] }
}

function entryOf(ref: Ref, value: unknown = 1, more: Partial<Entry> = {}): Entry {
  return {
    value,
    bytes: 10,
    codec: 'json',
    tags: ref.declared,
    fill: 'f',
    ttlMs: 1_000,
    graceMs: 0,
    loadMs: 1,
    ...more,
  }
}

async function load(tier: CacheTier, ref: Ref, value: unknown): Promise<void> {
  const [miss] = await tier.read([ref], LOCK)
  if (miss?.kind !== 'miss') throw new Error('it was a hit')
  expect(await tier.fill(ref, miss.lease, entryOf(ref, value), LOCK.node)).toMatchObject({ stored: true })
}

describe('memoryStore', () => {
  it('is a store', () => {
    expectTypeOf(memoryStore()).toEqualTypeOf<CacheStore>()
    expect(memoryStore()).toMatchObject({ kind: 'memory' })
  })

  it('refuses what is no clock', () => {
    const wrong = { clock: Date } as never
    expect(() => memoryStore(wrong)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
    expect(() => memoryStore({ size: 1 } as never)).toThrow(CacheError)
  })

  it('has one tier and one memory for each name', async () => {
    const store = memoryStore()
    const [a, again, b] = ['a', 'a', 'b'].map((name) => store.open(name, LIMITS)) as [CacheTier, CacheTier, CacheTier]
    const ref = refOf(['user', 7])
    await load(a, ref, 'of a')
    expect(await again.read([ref], NO_LOCK)).toMatchObject([{ kind: 'hit', value: 'of a' }])
    expect(await b.read([ref], NO_LOCK)).toMatchObject([{ kind: 'miss' }])
    expect(memoryL1(a)).toBe(memoryL1(again))
    expect(memoryL1(a)!.scope('acme').get(['user', 7])?.value).toBe('of a')
    expect(memoryL1({ ...a })).toBeUndefined()
  })

  it('has the limits that are named first', async () => {
    const tier = memoryStore().open('a', LIMITS)
    const l1 = memoryL1(tier, { maxEntries: 3, maxBytes: 1e6 })!
    expect(memoryL1(tier, { maxEntries: 100, maxBytes: 1e6 })).toBe(l1)
    for (let i = 0; i < 10; i++) await load(tier, refOf(['user', i]), i)
    expect([l1.entries, l1.evictions]).toEqual([3, 7])
  })

  it('keeps bytes as copies: who is answered cannot change them', async () => {
    const tier = memoryStore().open('a', LIMITS)
    const ref = refOf('k')
    const body = new Uint8Array([1, 2])
    const [miss] = await tier.read([ref], LOCK)
    if (miss?.kind !== 'miss') throw new Error('it was a hit')
    const { value: _, bytes: __, ...entry } = entryOf(ref)
    await tier.fill(ref, miss.lease, { ...entry, body, codec: 'json+zstd' }, LOCK.node)
    body[0] = 9
    const [hit] = await tier.read([ref], NO_LOCK)
    ;(hit as { body: Uint8Array }).body[1] = 9
    expect(await tier.read([ref], NO_LOCK)).toMatchObject([{ body: new Uint8Array([1, 2]), codec: 'json+zstd' }])
  })

  it('wakes who was told that a lock is held, and nobody else', async () => {
    const clock = virtualClock()
    const tier = memoryStore({ clock }).open('a', LIMITS)
    const woken: string[] = []
    for (const node of ['n1', 'n2', 'n3']) {
      const silent = { bump() {}, ack() {}, lost() {} }
      await tier.join!(node, {
        leaseMs: 1_000,
        on: { ...silent, filled: (scope, key) => woken.push(`${node} ${scope} ${key}`) },
      })
    }
    const ref = refOf('k')
    const read = async (node: string) =>
      (await tier.read([ref], { ...LOCK, node }))[0] as { lock: string; lease: string }
    const mine = await read('n1')
    expect([mine.lock, (await read('n2')).lock]).toEqual(['yours', 'held'])
    await tier.unlock(ref, mine.lease, 'n2')
    expect(woken).toEqual([])
    await tier.unlock(ref, mine.lease, 'n1')
    expect(woken).toEqual(['n2 acme =k'])
    const second = await read('n3')
    expect((await read('n2')).lock).toBe('held')
    await clock.advance(LOCK.lockMs)
    // n3 has died; n1 takes over, and n2 still waits.
    const third = await read('n1')
    expect([second.lock, third.lock]).toEqual(['yours', 'yours'])
    await tier.fill(ref, third.lease, entryOf(ref), 'n1')
    expect(woken).toEqual(['n2 acme =k', 'n2 acme =k'])
  })

  it('tells all other members of an invalidation, after it was applied', async () => {
    const tier = memoryStore().open('a', LIMITS)
    const heard: unknown[] = []
    for (const node of ['n1', 'n2']) {
      await tier.join!(node, {
        leaseMs: 1_000,
        on: {
          filled() {},
          ack: (stamp, from) => heard.push([node, 'ack', stamp, from]),
          lost() {},
          bump: (message) => heard.push([node, message]),
        },
      })
    }
    const list = [{ scope: 'acme', tags: ['t'] }]
    const { stamp, peers, unknownMs } = await tier.bump(list, 'n1')
    expect(heard).toEqual([['n2', { stamp, from: 'n1', list }]])
    // What reads here reads behind it: nobody is to be waited for.
    expect([peers, unknownMs]).toEqual([[], 0])
  })

  it('lets locks of the dead go', async () => {
    const clock = virtualClock()
    const tier = memoryStore({ clock }).open('a', LIMITS)
    for (let round = 0; round < 30; round++) {
      const refs = Array.from({ length: 100 }, (_, i) => refOf(['user', round, i]))
      expect((await tier.read(refs, LOCK)).every((found) => found.kind === 'miss' && found.lock === 'yours')).toBe(true)
      await clock.advance(LOCK.lockMs)
    }
    expect(await tier.purge()).toBe(0)
  })

  it('forgets all with a new epoch: entries, leases, locks', async () => {
    const tier = memoryStore().open('a', LIMITS)
    const [ref, other] = [refOf('k'), refOf('l')]
    await load(tier, ref, 1)
    const [before] = await tier.read([other], LOCK)
    const epoch = await tier.epoch()
    await tier.bump([{ tags: [], epoch: true }], 'n1')
    expect(await tier.epoch()).not.toBe(epoch)
    expect(await tier.read([ref], NO_LOCK)).toMatchObject([{ kind: 'miss' }])
    expect(await tier.fill(other, (before as { lease: string }).lease, entryOf(other), LOCK.node)).toMatchObject({
      stored: false,
    })
    expect(await tier.read([other], { ...LOCK, node: 'n2' })).toMatchObject([{ kind: 'miss', lock: 'yours' }])
  })
})

test('the rule, in its order', () => {
  const known = { floor: 5, hard: (tag: string) => (tag === 'h' ? 7 : 0), soft: (tag: string) => (tag === 's' ? 7 : 0) }
  expect(validityOf(4, [], known)).toBe('invalid')
  expect(validityOf(5, [], known)).toBe('valid')
  expect([6, 7].map((stamp) => validityOf(stamp, ['s', 'h'], known))).toEqual(['invalid', 'valid'])
  expect([6, 7].map((stamp) => validityOf(stamp, ['x', 's'], known))).toEqual(['stale', 'valid'])
  const lease = { epoch: 'e', stamp: 5, atMs: 100 }
  const state = { epoch: 'e', nowMs: 200, maxLoadMs: 100, storedStamp: 5 }
  expect(mayFill(lease, state)).toBe(true)
  for (const change of [{ epoch: 'f' }, { nowMs: 201 }, { storedStamp: 6 }])
    expect(mayFill(lease, { ...state, ...change })).toBe(false)
})

test('a key comes back from its encoding; what is none is like no key', () => {
  const part = fc.oneof(fc.string(), fc.integer(), fc.double({ noNaN: true, noDefaultInfinity: true }))
  const keys = fc.oneof(
    fc.string({ minLength: 1 }),
    fc.tuple(part),
    fc.tuple(part, part, part),
  ) as unknown as fc.Arbitrary<Key>
  fc.assert(
    fc.property(keys, (key) => {
      expect(decodeKey(encodeKey(key))).toEqual(
        typeof key === 'string' ? key : key.map((part) => (part === 0 ? 0 : part)),
      )
    }),
  )
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^([sn]-?\d{0,2}:[a1.]*){1,3}$/)), (text) => {
      const key = decodeKey(text)
      const isKey = typeof key !== 'string' || key.isWellFormed()
      if (isKey && key !== '') expect(encodeKey(key)).toBe(text)
    }),
  )
})

type Step =
  | { kind: 'read'; key: number }
  | { kind: 'fill'; back: number; tags: string[] }
  | { kind: 'put'; key: number; tags: string[] }
  | { kind: 'bump'; tags: string[]; soft: boolean }

test('whatever the order of steps, what it answers is what the rule says of all that happened', async () => {
  const KEYS: Key[] = ['k', ['k'], ['k', 1]]
  const tags = fc.subarray(['t', 'u', 'v'])
  const key = fc.nat(KEYS.length - 1)
  const bumped = fc.constantFrom('t', 'u', 'v', SCOPE_TAG, ...KEYS.map(keyOf))
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ kind: fc.constant('read'), key }) },
    { weight: 4, arbitrary: fc.record({ kind: fc.constant('fill'), back: fc.nat(3), tags }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant('put'), key, tags }) },
    {
      weight: 3,
      arbitrary: fc.record({
        kind: fc.constant('bump'),
        tags: fc.array(bumped, { minLength: 1, maxLength: 2 }),
        soft: fc.boolean(),
      }),
    },
  ) as fc.Arbitrary<Step>

  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 60, size: 'max' }), async (steps) => {
      const tier = memoryStore({ clock: virtualClock() }).open('a', LIMITS)
      const [hard, soft] = [new Map<string, number>(), new Map<string, number>()]
      const known = { floor: 0, hard: (tag: string) => hard.get(tag) ?? 0, soft: (tag: string) => soft.get(tag) ?? 0 }
      const kept = new Map<string, { value: number; stamp: number; tags: readonly string[] }>()
      const misses: { ref: Ref; lease: string; stamp: number }[] = []
      let now = 0
      let value = 0

      for (const one of steps) {
        if (one.kind === 'read') {
          const ref = refOf(KEYS[one.key]!)
          const [found] = await tier.read([ref], NO_LOCK)
          const there = kept.get(ref.key)
          const validity = there === undefined ? 'invalid' : validityOf(there.stamp, there.tags, known)
          if (found!.kind === 'hit') expect([validity, found!.value]).toEqual(['valid', there!.value])
          else {
            expect([validity, found!.stale?.value]).toEqual(
              validity === 'stale' ? ['stale', there!.value] : ['invalid', undefined],
            )
            misses.push({ ref, lease: found!.lease, stamp: now })
          }
        } else if (one.kind === 'fill') {
          const miss = misses.at(-1 - one.back)
          if (miss === undefined) continue
          const entry = entryOf(miss.ref, ++value, { tags: [...miss.ref.declared, ...one.tags], graceMs: 1_000 })
          const there = kept.get(miss.ref.key)
          const storedStamp = there && validityOf(there.stamp, there.tags, known) !== 'invalid' ? there.stamp : 0
          const may = validityOf(miss.stamp, entry.tags, known) !== 'invalid' && storedStamp <= miss.stamp
          expect((await tier.fill(miss.ref, miss.lease, entry, 'n1')).stored).toBe(may)
          if (may) kept.set(miss.ref.key, { value, stamp: miss.stamp, tags: entry.tags })
        } else if (one.kind === 'put') {
          const ref = refOf(KEYS[one.key]!)
          const entry = entryOf(ref, ++value, { tags: [...ref.declared, ...one.tags], graceMs: 1_000 })
          await tier.put(ref, entry, 'n1')
          hard.set(keyOf(KEYS[one.key]!), ++now)
          kept.set(ref.key, { value, stamp: now, tags: entry.tags })
        } else {
          await tier.bump([{ scope: 'acme', tags: one.tags, soft: one.soft }], 'n1')
          now++
          for (const tag of one.tags) (one.soft ? soft : hard).set(tag, now)
        }
      }
    }),
    { numRuns: 500 },
  )
})
