/** Wrong use does not compile: `tsc -b` fails for each `@ts-expect-error` without an error behind it. */
import { Redis } from 'ioredis'
import { Keyv } from 'keyv'
import { createClient } from 'redis'
import { expectTypeOf, test } from 'vitest'
import { createCache, keyOf, memoryStore, prefix, type Cache, type DropEffect, type Lookup } from '@keelson/cache'
import { keyvAdapter } from '@keelson/cache/keyv'
import { redisStore } from '@keelson/cache/redis'
import type { Effect } from '@keelson/kernel'

/** Compiled, never run. */
const compiled = (use: () => unknown): void => void use
declare const cache: Cache
interface User {
  readonly id: string
  readonly org: number
}
declare function loadUser(): Promise<User>

test('a value keeps its type', () => {
  compiled(async () => {
    expectTypeOf(await cache.getOrSet('k', loadUser)).toEqualTypeOf<User>()
    expectTypeOf(await cache.getOrSet('k', () => 1)).toEqualTypeOf<number>()
    expectTypeOf(await cache.lookup('k', loadUser)).toEqualTypeOf<Lookup<User>>()
    expectTypeOf(await cache.get<User>('k')).toEqualTypeOf<User | undefined>()
    expectTypeOf(cache.peek<User>('k')).toEqualTypeOf<User | undefined>()
    expectTypeOf(await cache.getOrSetMany(['a'], async () => [1])).toEqualTypeOf<number[]>()
    const byId = cache.wrap('user', async (id: string, depth: number) => ({ id, depth }))
    expectTypeOf(byId).toEqualTypeOf<(id: string, depth: number) => Promise<{ id: string; depth: number }>>()
    const inWords = cache.wrap('words', async (id: string, lang?: string) => `${id} ${lang}`)
    expectTypeOf(inWords).toEqualTypeOf<(id: string, lang?: string) => Promise<string>>()
    cache.wrap('words', async (id: string, lang = 'en') => `${id} ${lang}`)
  })
})

test('keys are texts, or lists of texts and numbers', () => {
  compiled(() => [
    cache.get(['user', 7]),
    cache.get('user'),
    cache.getMany([7, 8].map((id) => ['user', id])),
    cache.delete(...[7, 8].map((id) => ['user', id])),
    cache.getOrSetMany(
      [7, 8].map((id) => ['user', id]),
      async (missing) => missing.map(String),
    ),
    keyOf(['user', 7]),
    prefix('user', 7),
    // @ts-expect-error a list has a part
    cache.get([]),
    // @ts-expect-error a Date is no part
    cache.get(['day', new Date()]),
    // @ts-expect-error a number alone is no key
    cache.get(7),
    // @ts-expect-error neither is undefined
    keyOf(undefined),
    // @ts-expect-error arguments of a wrapped function are parts of a key
    cache.wrap('f', async (o: { id: string }) => o),
  ])
})

test('options are those that there are', () => {
  compiled(() => [
    cache.getOrSet('k', loadUser, '15m'),
    cache.getOrSet('k', loadUser, { ttl: 5, tags: (user) => [`org:${user.org}`] }),
    // @ts-expect-error misspelt
    cache.getOrSet('k', loadUser, { tll: '15m' }),
    // @ts-expect-error no duration
    cache.getOrSet('k', loadUser, 'soon'),
    // @ts-expect-error not a member of the value
    cache.getOrSet('k', loadUser, { tags: (user) => [user.name] }),
    // @ts-expect-error tags are a list
    cache.getOrSet('k', loadUser, { tags: 'user' }),
    // @ts-expect-error a cache has a name
    createCache({}),
    // @ts-expect-error only these
    createCache({ name: 'app', coherence: 'weak' }),
    // @ts-expect-error no unit of bytes
    createCache({ name: 'app', l1: { maxBytes: '1gb' } }),
    // @ts-expect-error a client is no store
    createCache({ name: 'app', store: new Redis() }),
    createCache({ name: 'app', store: memoryStore() }),
    createCache({ name: 'app', store: redisStore(new Redis()) }),
    createCache({ name: 'app', store: redisStore(createClient()) }),
  ])
})

test('a loader knows the previous value by its type; a drop is an effect', () => {
  compiled(async () => {
    await cache.getOrSet<User>('k', (ctx) => {
      expectTypeOf(ctx.previous?.value).toEqualTypeOf<User | undefined>()
      expectTypeOf(ctx.signal).toEqualTypeOf<AbortSignal>()
      return ctx.notModified()
    })
    expectTypeOf(cache.drop('t')).toEqualTypeOf<DropEffect>()
    expectTypeOf(cache.drop('t')).toExtend<Effect>()
    // @ts-expect-error tags are arguments
    cache.drop(['t'])
    // @ts-expect-error what was looked up is not to be changed
    ;(await cache.lookup('k', loadUser)).value = undefined
  })
})

test('Keyv takes the adapter as it is', () => {
  compiled(() => [new Keyv({ store: keyvAdapter(cache) }), new Keyv(keyvAdapter(cache))])
  // @ts-expect-error all scopes are no scope
  compiled(() => keyvAdapter(createCache({ name: 'app' })))
})
