import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { virtualClock } from '@keelson/kernel/testing'
import { describe, expect, it } from 'vitest'
import { keyOf, prefix, type Key } from '@keelson/cache'
import { createL1 } from '../../src/l1/l1.ts'
import { SCOPE_TAG } from '../../src/tag.ts'
import { entryOf, put } from './entry.ts'

const ROOMY = { maxEntries: 100_000, maxBytes: 1e9 }
const MINUTE_MS = 60_000
const GRACE = { endsMs: 1e6, goneMs: 2e6 }

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

describe('keys', () => {
  const keys: Key[] = [
    'user',
    ['user'],
    ['user', 7],
    ['user', '7'],
    ['user', 7, 'orders'],
    '__proto__',
    ['__proto__'],
    'a\0b',
    [0],
    [''],
  ]

  it('each finds its own entry, and removing one leaves the others', () => {
    const l1 = createL1(ROOMY)
    const scope = l1.scope('acme')
    for (const key of keys) put(scope, key)
    for (const key of keys) expect(scope.get(key)?.value).toEqual({ key })
    for (const [i, key] of keys.entries()) {
      scope.bump([keyOf(key)])
      for (const [j, other] of keys.entries()) {
        expect(scope.get(other)?.value).toEqual(j <= i ? undefined : { key: other })
      }
    }
    expect([l1.entries, l1.bytes]).toEqual([0, 0])
  })

  it('0 and -0 are one', () => {
    const scope = createL1(ROOMY).scope('acme')
    put(scope, [-0])
    expect(scope.get([0])).toBeDefined()
    scope.bump([keyOf([0])])
    expect(scope.get([-0])).toBeUndefined()
  })

  it('that are gone leave no branches behind', () => {
    const l1 = createL1({ maxEntries: 10, maxBytes: 1e9 })
    const scope = l1.scope('acme')
    for (let i = 0; i < 20_000; i++) put(scope, ['user', i, 'orders', i], [`user:${i}`])
    expect(l1.entries).toBe(10)
    expect(l1.tags).toBe(10)
    expect(l1.evictions).toBe(19_990)
    gc()
    const before = process.memoryUsage().heapUsed
    for (let i = 0; i < 20_000; i++) put(scope, ['user', -i, 'orders', i], [`user:${i}`])
    gc()
    expect((process.memoryUsage().heapUsed - before) / 20_000).toBeLessThan(50)
  })
})

describe('invalidation', () => {
  it.each([
    ['a tag', 't'],
    ['its key', keyOf(['user', 7])],
    ['a prefix', prefix('user')],
    ['its scope', SCOPE_TAG],
  ])('of %s: the entry is gone, and what was read before it is refused', (_, tag) => {
    const l1 = createL1(ROOMY)
    const scope = l1.scope('acme')
    const tags = ['s', 't', prefix('user')]
    put(scope, ['user', 7], tags)
    put(scope, ['other', 7], ['s'])
    const at = scope.generation
    scope.bump([tag])
    expect(scope.generation).toBeGreaterThan(at)
    expect(scope.get(['user', 7])).toBeUndefined()
    expect(scope.get(['other', 7]) !== undefined).toBe(tag !== SCOPE_TAG)
    expect(scope.moved([keyOf(['user', 7]), SCOPE_TAG, ...tags], at)).toBe(true)
    expect(scope.put(['user', 7], at, entryOf(['user', 7], tags))).toBeUndefined()
    put(scope, ['user', 7], tags)
    expect(scope.get(['user', 7])).toBeDefined()
  })

  it('of another scope changes nothing', () => {
    const l1 = createL1(ROOMY)
    const [mine, other] = [l1.scope('a'), l1.scope('b')]
    put(mine, 'k', ['t'])
    const at = mine.generation
    other.bump(['t', keyOf('k'), SCOPE_TAG])
    expect(mine.get('k')).toBeDefined()
    expect(other.get('k')).toBeUndefined()
    expect(mine.put('k', at, entryOf('k', ['t']))).toBeDefined()
  })

  it('reaches an entry after hits, between hits and at a put in its place', () => {
    const scope = createL1(ROOMY).scope('acme')
    put(scope, 'k', ['t'])
    for (let i = 0; i < 3; i++) {
      scope.bump(['other'])
      expect(scope.get('k')).toBeDefined()
    }
    put(scope, 'k', ['u'])
    scope.bump(['t'])
    expect(scope.get('k')).toBeDefined()
    scope.bump(['u'])
    expect(scope.get('k')).toBeUndefined()
  })

  it('that is soft lets it turn stale where it has grace; a hard one ends that', () => {
    const scope = createL1(ROOMY).scope('acme')
    for (const tag of ['t', keyOf('k'), SCOPE_TAG]) {
      put(scope, 'k', ['t'], GRACE)
      const at = scope.generation
      scope.bump([tag], true)
      expect(scope.get('k')).toMatchObject({ endsMs: 0, goneMs: GRACE.goneMs })
      expect(scope.put('k', at, entryOf('k', ['t'], GRACE))?.endsMs).toBe(0)
      expect(scope.put('k', at, entryOf('k', ['t']))).toBeUndefined()
      put(scope, 'k', ['t'])
      expect(scope.get('k')?.endsMs).toBe(1e9)
      scope.bump([tag], true)
      expect(scope.get('k')).toBeUndefined()
      put(scope, 'k', ['t'], GRACE)
      scope.bump([tag], true)
      scope.bump([tag])
      expect(scope.get('k')).toBeUndefined()
    }
  })

  it('is known for as long as a load may take, and then refused unseen', async () => {
    const clock = virtualClock()
    const l1 = createL1(ROOMY, { clock, maxLoadMs: MINUTE_MS })
    const scope = l1.scope('acme')
    const at = scope.generation
    scope.bump(['t'])
    const behind = scope.generation
    await clock.advance(MINUTE_MS)
    scope.bump(['u'])
    expect(l1.tags).toBe(2)
    expect(scope.put('a', at, entryOf('a'))).toBeDefined()
    await clock.advance(1)
    scope.bump(['u'])
    expect(l1.tags).toBe(1)
    expect(scope.put('b', at, entryOf('b', ['t']))).toBeUndefined()
    expect(scope.put('b', at, entryOf('b'))).toBeUndefined()
    expect(scope.put('b', behind, entryOf('b', ['t']))).toBeDefined()
  })

  it('by the thousand is bounded: the oldest are forgotten, and nothing of before them is put', () => {
    const l1 = createL1(ROOMY)
    const scope = l1.scope('acme')
    scope.bump(['first'])
    const at = scope.generation
    for (let i = 0; i < 9_999; i++) scope.bump([`t${i}`])
    expect(l1.tags).toBe(10_000)
    expect(scope.put('a', at, entryOf('a'))).toBeDefined()
    for (let i = 0; i < 50; i++) scope.bump(['again'])
    expect(l1.tags).toBe(10_000)
    expect(scope.put('b', at - 1, entryOf('b'))).toBeUndefined()
    for (let i = 0; i < 20_000; i++) scope.bump([keyOf(['user', i])])
    expect(l1.tags).toBe(10_000)
  })

  it('of what an entry has is not forgotten with its note', async () => {
    const clock = virtualClock()
    const scope = createL1(ROOMY, { clock, maxLoadMs: MINUTE_MS }).scope('acme')
    put(scope, 'k', ['t'])
    scope.bump(['t'])
    await clock.advance(2 * MINUTE_MS)
    scope.bump(['u'])
    expect(scope.get('k')).toBeUndefined()
  })
})

describe('drop', () => {
  it('forgets everything, in use or being loaded, and what was handed out stays whole', () => {
    const l1 = createL1(ROOMY)
    const [a, b] = [l1.scope('a'), l1.scope('b')]
    const held = put(a, ['user', 7], ['t', 'u'])
    put(b, 'k')
    a.bump(['v'])
    const at = [a.generation, b.generation] as const
    l1.drop()
    expect([l1.entries, l1.bytes, l1.tags]).toEqual([0, 0, 0])
    expect([a.get(['user', 7]), b.get('k')]).toEqual([undefined, undefined])
    expect(a.put(['user', 7], at[0], entryOf(['user', 7]))).toBeUndefined()
    expect(b.put('k', at[1], entryOf('k'))).toBeUndefined()
    put(a, ['user', 7], ['x', 'y'])
    expect(a.get(['user', 7])).toBeDefined()
    expect(held.tags()).toEqual([keyOf(['user', 7]), SCOPE_TAG, 't', 'u'])
  })
})

describe('an entry', () => {
  it('tells its tags, also when it has left and they are forgotten', () => {
    const l1 = createL1(ROOMY)
    const scope = l1.scope('acme')
    const tags = [prefix('user'), 't', 'u']
    put(scope, ['user', 7], tags)
    const entry = scope.get(['user', 7])!
    const all = [keyOf(['user', 7]), SCOPE_TAG, ...tags]
    expect(entry.tags()).toEqual(all)
    put(scope, ['user', 7])
    put(scope, 'k', ['v', 'w', 'x'])
    expect(entry.tags()).toEqual(all)
    expect(scope.get('k')!.tags()).toEqual([keyOf('k'), SCOPE_TAG, 'v', 'w', 'x'])
    expect(l1.tags).toBe(3)
  })

  it('has whichever of very many tags', () => {
    const l1 = createL1(ROOMY)
    const scope = l1.scope('acme')
    const tagAt = (i: number): string => `t${i % 40_000}`
    for (let i = 0; i < 40_000; i++) put(scope, `k${i}`, [tagAt(i), tagAt(i + 32_768), tagAt(i + 1)])
    expect(l1.tags).toBe(40_000)
    scope.bump([tagAt(39_999)])
    const invalid = new Set([39_999, 39_999 - 32_768, 39_998])
    for (let i = 0; i < 40_000; i++) {
      const entry = scope.get(`k${i}`)
      expect(entry?.tags().slice(2)).toEqual(invalid.has(i) ? undefined : [tagAt(i), tagAt(i + 32_768), tagAt(i + 1)])
    }
    expect(l1.purge('acme')).toBe(39_997)
    expect(l1.tags).toBe(1)
  })

  it('that is larger than everything is answered, and not kept', () => {
    const l1 = createL1({ maxEntries: 10, maxBytes: 1_000 })
    const scope = l1.scope('acme')
    put(scope, 'k', ['t'])
    expect(put(scope, 'k', ['u'], { bytes: 1_001 }).value).toEqual({ key: 'k' })
    expect(scope.get('k')).toBeUndefined()
    expect([l1.entries, l1.bytes, l1.tags]).toEqual([0, 0, 0])
  })

  it('that grows in its place makes room', () => {
    const l1 = createL1({ maxEntries: 10, maxBytes: 1_000 })
    const scope = l1.scope('acme')
    for (let i = 0; i < 10; i++) put(scope, `k${i}`)
    put(scope, 'k9', [], { bytes: 950 })
    expect(l1.bytes).toBeLessThanOrEqual(1_000)
  })
})

describe('scopes', () => {
  it('are one object while anybody holds them or they have entries', () => {
    const l1 = createL1(ROOMY)
    const scope = l1.scope('acme')
    expect(l1.scope('acme')).toBe(scope)
    put(l1.scope('kept'), 'k')
    gc()
    expect(l1.scope('kept').get('k')).toBeDefined()
  })

  it('of many tenants that have gone take nothing', async () => {
    const l1 = createL1({ maxEntries: 10, maxBytes: 1e9 })
    const visit = async (round: string): Promise<number> => {
      for (let i = 0; i < 20_000; i++) {
        put(l1.scope(`${round}${i}`), ['user', i], ['t'])
        if (i % 5_000 === 0) await new Promise(setImmediate) // weak references let go between turns
      }
      for (let i = 0; i < 3; i++) {
        gc()
        await new Promise(setImmediate)
      }
      return process.memoryUsage().heapUsed
    }
    const before = await visit('a')
    expect(((await visit('b')) - before) / 20_000).toBeLessThan(50)
  })

  it('that come back begin behind what they had forgotten', async () => {
    const clock = virtualClock()
    const l1 = createL1(ROOMY, { clock })
    const lost = (): number => {
      const scope = l1.scope('acme')
      const at = scope.generation
      for (let i = 0; i < 5; i++) scope.bump(['t'])
      return at
    }
    const at = lost()
    await clock.advance(10 * MINUTE_MS)
    l1.scope('other').bump(['x'])
    for (let i = 0; i < 3; i++) {
      gc()
      await new Promise(setImmediate)
    }
    expect(l1.scope('acme').put('k', at, entryOf('k', ['t']))).toBeUndefined()
    expect(put(l1.scope('acme'), 'k')).toBeDefined()
  })
})

describe('purge', () => {
  it('removes what is invalid or gone by time, or all of a scope', async () => {
    const clock = virtualClock()
    const l1 = createL1(ROOMY, { clock })
    const [a, b] = [l1.scope('a'), l1.scope('b')]
    put(a, 'invalid', ['t'])
    put(a, 'gone', [], { endsMs: 0, goneMs: clock.monotonic() + 10 })
    put(a, 'valid', ['u'])
    put(b, 'valid')
    a.bump(['t'])
    await clock.advance(10)
    expect([l1.purge(), l1.purge()]).toEqual([2, 0])
    expect([l1.purge('a'), l1.purge('nobody'), l1.entries]).toEqual([1, 0, 1])
    expect(b.get('valid')).toBeDefined()
  })
})
