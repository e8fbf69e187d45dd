import { describe, expect, test, vi } from 'vitest'
import { createCache, keyOf, memoryStore, prefix, type Cache, type Key } from '@keelson/cache'

const good = { name: 'bad-input' } as const
const caches = createCache(good)
const cache = caches.scope('s')
const load = vi.fn(() => 1)

describe('createCache refuses', () => {
  const wrong: [string, object, RegExp][] = [
    ['an unknown option', { tll: 1 }, /"tll"/],
    ['no name', { name: undefined }, /"name"/],
    ['a name in capitals', { name: 'App' }, /"name" must be a lower-case word of at most 32 characters/],
    ['a name of 33 characters', { name: 'x'.repeat(33) }, /"name"/],
    ['a store without open()', { store: {} }, /"store"/],
    ['a log without claim()', { log: { statement() {} } }, /"log"/],
    ['l1 true', { l1: true }, /"l1" must be false or an object/],
    ['an array as l1', { l1: [] }, /"l1"/],
    ['an unknown option of l1', { l1: { max: 1 } }, /"max"/],
    ['no entries', { l1: { maxEntries: 0 } }, /"maxEntries".*1/],
    ['bytes in gigabytes', { l1: { maxBytes: '1gb' } }, /"maxBytes" must be a number of bytes or text such as '64mb'/],
    ['no bytes', { l1: { maxBytes: '0mb' } }, /"maxBytes"/],
    ['an unknown coherence', { coherence: 'weak' }, /"coherence" must be .*strong.*bounded.*weak/],
    ['a lease of 11 s', { lease: '11s' }, /"lease".*10/],
    ['a lease of 10 ms', { lease: 10 }, /"lease".*50/],
    ['a ttl of 0', { ttl: 0 }, /"ttl".*1/],
    ['a ttl below 0', { ttl: -1 }, /"ttl"/],
    ['a ttl that is NaN', { ttl: NaN }, /"ttl".*NaN/],
    ['a ttl over maxTtl', { ttl: '2h', maxTtl: '1h' }, /"ttl" must be at most maxTtl, 3600000 ms \(got 7200000\)/],
    ['a negativeTtl over maxTtl', { ttl: 1, negativeTtl: '2h', maxTtl: '1h' }, /"negativeTtl" must be at most maxTtl/],
    ['a grace over maxTtl', { grace: '2h', maxTtl: '1h' }, /"grace" must be at most maxTtl/],
    ['a maxTtl of 0', { maxTtl: 0 }, /"maxTtl"/],
    ['a jitter of 2', { jitter: 2 }, /"jitter" must be a number from 0 to 1/],
    ['a jitter that is NaN', { jitter: NaN }, /"jitter"/],
    ['grace below 0', { grace: -1 }, /"grace"/],
    ['an early of -1', { early: -1 }, /"early" must be a number from 0 to 10/],
    ['a storeTimeout of 1 ms', { storeTimeout: 1 }, /"storeTimeout".*10/],
    ['a maxLoad of 2 h', { maxLoad: '2h' }, /"maxLoad"/],
    ['a lockTtl of 1 ms', { lockTtl: 1 }, /"lockTtl"/],
    ['a prefixDepth of 5', { prefixDepth: 5 }, /"prefixDepth".*4/],
    ['a prefixDepth of 1.5', { prefixDepth: 1.5 }, /"prefixDepth"/],
    ['policies as an array', { policies: [] }, /"policies"/],
    ['a wrong policy', { policies: { list: { ttl: -1 } } }, /"policies.list".*"ttl"/],
    ['an unknown option of a policy', { policies: { list: { tll: 1 } } }, /"policies.list".*"tll"/],
    ['a policy that names one', { policies: { list: { policy: 'other' } } }, /"policies.list".*"policy"/],
    ['an unknown onUnavailable', { onUnavailable: 'ignore' }, /"onUnavailable"/],
    ['an unknown codec', { codec: 'yaml' }, /"codec" must be 'json', 'v8' or an object/],
    ['a codec with a taken id', { codec: { id: 'json', encode: String, decode: String } }, /"codec"/],
    ['a compressAbove of true', { compressAbove: true }, /"compressAbove" must be a number of bytes or false/],
    ['an unknown share', { share: 'copy' }, /"share"/],
    ['a clock without timer()', { clock: { now: Date.now } }, /"clock"/],
    ['a random that is a number', { random: 4 }, /"random"/],
    ['a logger without warn()', { logger: {} }, /"logger"/],
  ]
  test.each(wrong)('%s', (_, more, message) => {
    expect(() => createCache({ ...good, ...more })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID', message: expect.stringMatching(message) }),
    )
  })

  test('an option of memoryStore that is not known', () => {
    expect(() => memoryStore({ size: 1 } as object)).toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  })
})

describe('a call refuses', () => {
  const options: [string, object | number | string, string, RegExp][] = [
    ['an unknown option', { tll: 1 }, 'OPTION_INVALID', /"tll"/],
    ['a ttl of 0', 0, 'OPTION_INVALID', /"ttl"/],
    ['a ttl that is NaN', NaN, 'OPTION_INVALID', /"ttl".*NaN/],
    ['a ttl over maxTtl', '8d', 'OPTION_INVALID', /"ttl" must be at most maxTtl, 604800000 ms/],
    ['text that is no duration', 'soon', 'OPTION_INVALID', /"ttl".*soon/],
    ['a negativeTtl over maxTtl', { negativeTtl: '8d' }, 'OPTION_INVALID', /"negativeTtl" must be at most maxTtl/],
    ['grace below 0', { grace: -1 }, 'OPTION_INVALID', /"grace"/],
    ['grace over maxTtl', { grace: '8d' }, 'OPTION_INVALID', /"grace" must be at most maxTtl, 604800000 ms/],
    ['an unknown policy', { policy: 'list' }, 'OPTION_INVALID', /"policy" must be one of .*none \(got 'list'\)/],
    ['tags as one text', { tags: 't' }, 'OPTION_INVALID', /"tags" must be an array of strings or a function/],
    ['an empty tag', { tags: [''] }, 'TAG_INVALID', /non-empty/],
    ['a tag of 257 bytes', { tags: ['é'.repeat(128) + 'x'] }, 'TAG_INVALID', /at most 256 bytes \(got 257\)/],
    ['65 tags', { tags: Array.from({ length: 65 }, (_, i) => `t${i}`) }, 'TAG_INVALID', /at most 64 tags \(got 65\)/],
    ['a tag with a control character', { tags: ['a\nb'] }, 'TAG_INVALID', /control/],
    ['a tag of keyOf()', { tags: [keyOf('k')] }, 'TAG_INVALID', /control/],
    ['a tag that is a number', { tags: [1] }, 'TAG_INVALID', /got number/],
    ['a timeout of 0', { timeout: 0 }, 'OPTION_INVALID', /"timeout"/],
    ['a softTimeout below 0', { softTimeout: -1 }, 'OPTION_INVALID', /"softTimeout"/],
    ['a schema without validate()', { schema: {} }, 'OPTION_INVALID', /"schema" must be a Standard Schema/],
    ['a signal that is none', { signal: {} }, 'OPTION_INVALID', /"signal" must be an AbortSignal/],
  ]
  test.each(options)('%s', async (_, o, code, message) => {
    const error = expect.objectContaining({ code, message: expect.stringMatching(message) })
    await expect(cache.getOrSet('k', load, o as object)).rejects.toEqual(error)
    await expect(cache.lookup('k', load, o as object)).rejects.toEqual(error)
    await expect(cache.set('k', 1, o as object)).rejects.toEqual(error)
    expect(() => cache.wrap('k', async () => 1, o as object)).toThrow(error)
    if (typeof o === 'object') {
      await expect(cache.getOrSetMany(['k'], async () => [1], o)).rejects.toEqual(error)
    }
  })

  const keys: [string, unknown][] = [
    ['an empty text', ''],
    ['513 bytes', 'x'.repeat(513)],
    ['no parts', []],
    ['a part that is NaN', ['a', NaN]],
    ['an infinite part', [Infinity]],
    ['a part that is undefined', ['a', undefined]],
    ['a part that is an object', [{}]],
    ['a number', 7],
    ['null', null],
    ['undefined', undefined],
    ['a lone surrogate', '\ud800'],
  ]
  test.each(keys)('%s as a key', async (_, given) => {
    const key = given as Key
    const invalid = expect.objectContaining({ code: 'KEY_INVALID', message: expect.stringMatching(/a key must/) })
    const calls: (() => Promise<unknown>)[] = [
      async () => cache.getOrSet(key, load),
      async () => cache.lookup(key, load),
      async () => cache.get(key),
      async () => cache.has(key),
      async () => cache.peek(key),
      async () => cache.getMany(['k', key]),
      async () => cache.getOrSetMany([key], async () => [1]),
      async () => cache.set(key, 1),
      async () => cache.delete('k', key),
      async () => cache.fresh(key, 'v'),
      async () => keyOf(key),
    ]
    for (const call of calls) await expect(call()).rejects.toEqual(invalid)
  })

  const others: [string, (c: Cache) => unknown, string][] = [
    ['delete() of nothing', (c) => c.delete(), 'TAG_INVALID'],
    ['invalidate() of nothing', (c) => c.invalidate(), 'TAG_INVALID'],
    ['expire() of nothing', (c) => c.expire(), 'TAG_INVALID'],
    ['drop() of nothing', (c) => c.drop(), 'TAG_INVALID'],
    ['invalidate() of an array', (c) => c.invalidate(['t'] as never), 'TAG_INVALID'],
    ['an empty prefix', () => prefix(), 'KEY_INVALID'],
    ['a prefix that is longer than any key', () => prefix('x'.repeat(513)), 'KEY_INVALID'],
    ['a prefix with a lone surrogate', () => prefix('\ud800'), 'KEY_INVALID'],
    ...[
      'nothing',
      'a',
      'kuser',
      'k=',
      `k=${'x'.repeat(512)}`,
      'k=\ud800',
      'ks9:user',
      `ps513:${'x'.repeat(513)}`,
      'ps1:\ud800',
    ].map((text): [string, (c: Cache) => unknown, string] => [
      `what neither keyOf() nor prefix() answers: ${text.slice(0, 12)}`,
      (c) => c.invalidate(`\u0001${text}`),
      'TAG_INVALID',
    ]),
    ['drop() of the same', (c) => c.drop('\u0001a'), 'TAG_INVALID'],
    ['expire() of the same', (c) => c.expire('\u0001a'), 'TAG_INVALID'],
    ['keys that are no array', (c) => c.getMany('k' as never), 'INPUT_INVALID'],
    ['1,001 keys', (c) => c.getMany(Array.from({ length: 1_001 }, (_, i) => `k${i}`)), 'INPUT_INVALID'],
    ['a loader that is none', (c) => c.getOrSet('none', 1 as never), 'INPUT_INVALID'],
    ['a loader of many that is none', (c) => c.getOrSetMany(['k'], 1 as never), 'INPUT_INVALID'],
    ['a loader of many that answers too few', (c) => c.getOrSetMany(['a', 'b'], async () => [1]), 'INPUT_INVALID'],
    ['a loader of many that answers no list', (c) => c.getOrSetMany(['a'], async () => 1 as never), 'INPUT_INVALID'],
    ['a function to wrap that is none', (c) => c.wrap('f', 1 as never), 'INPUT_INVALID'],
    ['an empty name to wrap', (c) => c.wrap(1n as never, async () => 1), 'KEY_INVALID'],
    ['an empty stamp', (c) => c.at(''), 'INPUT_INVALID'],
    ['a stamp that is a number', (c) => c.at(7 as never), 'INPUT_INVALID'],
    ['set() of undefined', (c) => c.set('k', undefined), 'VALUE_UNSUPPORTED'],
    ['set() of a function', (c) => c.set('k', () => 1), 'VALUE_UNSUPPORTED'],
    ['notModified() of nothing', (c) => c.getOrSet('new', (ctx) => ctx.notModified()), 'INPUT_INVALID'],
    ['ctx.ttl() over maxTtl', (c) => c.getOrSet('new', (ctx) => ctx.ttl('8d')), 'OPTION_INVALID'],
    ['ctx.ttl() of no duration', (c) => c.getOrSet('new', (ctx) => ctx.ttl('soon' as never)), 'OPTION_INVALID'],
    ['ctx.tag() of keyOf()', (c) => c.getOrSet('new', (ctx) => ctx.tag(keyOf('k'))), 'TAG_INVALID'],
    [
      'tags of a value that are no list',
      (c) => c.getOrSet('new', () => 1, { tags: () => 't' as never }),
      'TAG_INVALID',
    ],
    ['an empty scope', () => caches.scope(''), 'SCOPE_INVALID'],
    ['a scope with a control character', () => caches.scope('a\0b'), 'SCOPE_INVALID'],
    ['a scope that is a number', () => caches.scope(7 as never), 'SCOPE_INVALID'],
    ['purge() of a wrong scope', () => caches.purge(''), 'SCOPE_INVALID'],
    ['stop() with an unknown option', () => caches.stop({ drian: 1 } as object), 'OPTION_INVALID'],
    ['runOnce() with a wrong budget', () => caches.runOnce({ budget: -1 }), 'OPTION_INVALID'],
    ['settle() with an unknown option', () => caches.settle({ operaton: 'x' } as object), 'OPTION_INVALID'],
    ['settle() of an operation that is a number', () => caches.settle({ operation: 7 as never }), 'OPTION_INVALID'],
  ]
  test.each(others)('%s', async (_, call, code) => {
    await expect((async () => call(cache))()).rejects.toMatchObject({ code, name: 'CacheError' })
  })

  test('and has loaded nothing', () => expect(load).not.toHaveBeenCalled())
})

test('keys that look like members of objects are ordinary', async () => {
  for (const key of ['__proto__', 'constructor', ['__proto__', 'x'], ['hasOwnProperty']] as Key[]) {
    expect(await cache.get(key)).toBeUndefined()
    expect(await cache.getOrSet(key, () => ({ key }))).toEqual({ key })
    expect(await cache.get(key)).toEqual({ key })
    await cache.delete(key)
    expect(await cache.has(key)).toBe(false)
  }
})

test('after close() everything is CLOSED', async () => {
  const closed = createCache({ name: 'closed' })
  const scope = closed.scope('s')
  await scope.set('k', 1)
  await closed.close()
  await closed.close()
  const calls: (() => unknown)[] = [
    () => scope.getOrSet('k', load),
    () => scope.lookup('k', load),
    () => scope.get('k'),
    () => scope.has('k'),
    () => scope.getMany(['k']),
    () => scope.getOrSetMany(['k'], async () => [1]),
    () => scope.set('k', 1),
    () => scope.delete('k'),
    () => scope.invalidate('t'),
    () => scope.expire('t'),
    () => scope.clear(),
    () => scope.drop('t'),
    () => scope.fresh('k', 'v'),
    () => scope.wrap('f', async () => 1)(),
    () => closed.clear(),
    () => closed.purge(),
    () => closed.settle(),
    () => closed.start(),
    () => closed.runOnce(),
  ]
  for (const call of calls) await expect((async () => call())()).rejects.toMatchObject({ code: 'CLOSED' })
  expect(scope.peek('k')).toBeUndefined()
})
