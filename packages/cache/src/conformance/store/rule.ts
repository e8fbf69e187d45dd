import type { Case } from '@keelson/kernel/conformance'
import { keyOf, prefix, SCOPE_TAG } from '../../tag.ts'
import { bumped, LONG_MS, LOOKALIKES, refOf, SHORT_MS, type Stage } from '../stage.ts'
import type { CacheStoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** Everything that makes an entry of `['user', 7]`, tagged 'org:1' when it was loaded, invalid. */
const INVALIDATIONS: Record<string, (stage: Stage) => Promise<unknown>> = {
  'a declared tag': ({ bump }) => bump('declared'),
  'a tag known only afterwards': ({ bump }) => bump('org:1'),
  'one of many tags': ({ bump }) => bump('x', 'y', 'org:1', 'z'),
  'one of many bumps': ({ tier }) => tier.bump([bumped('x'), bumped('org:1'), bumped('y')], 'n0'),
  'its key': ({ bump }) => bump(keyOf(['user', 7])),
  'its prefix': ({ bump }) => bump(prefix('user')),
  'its scope': ({ bump }) => bump(SCOPE_TAG),
  everything: ({ tier }) => tier.bump([{ tags: [], epoch: true }], 'n0'),
  'a bump by another tier of the name': ({ open }) => open().bump([bumped('declared')], 'n9'),
}
const ref = refOf(['user', 7], ['declared'])

/** Valid iff the epoch is equal, the stamp is not below the floor, and no tag moved past the stamp. */
export const ruleCases: readonly Case<CacheStoreUnderTest>[] = [
  ...Object.entries(INVALIDATIONS).map(([what, invalidate]) =>
    storeCase(
      `an entry is gone after a bump of ${what}, a load of before is refused, a later one is not`,
      async (stage) => {
        const { filled, isGone, isHit, load, fill, entry, equal } = stage
        await filled(ref, { tags: ['org:1'], graceMs: LONG_MS })
        await invalidate(stage)
        await isGone(ref, 'an entry of before')

        const early = await load(ref, 'n1')
        await invalidate(stage)
        equal(await fill(early, entry(ref, { tags: ['org:1'], graceMs: LONG_MS })), false, 'a load of before')
        await isGone(ref, 'what was loaded before')

        const late = await load(ref, 'n2')
        const after = entry(ref, { tags: ['org:1'] })
        equal(await fill(late, after), true, 'a load of after')
        await isHit(ref, after)
      },
    ),
  ),

  storeCase('bumps that come one upon the other leave no moment between them', async (stage) => {
    const { bump, load, fill, entry, isGone, filled, isHit, equal } = stage
    for (let round = 0; round < 20; round++) {
      const early = await load(ref, `n${round}`)
      await bump('declared')
      equal(await fill(early, entry(ref)), false, 'a fill right behind a bump')
      await isGone(ref)
    }
    await bump('declared')
    await isHit(ref, await filled(ref), 'last <= stamp: what was read right behind a bump knows of it')
  }),

  storeCase('a bump of what an entry does not have leaves it', async (stage) => {
    const { filled, isHit, bump, load, fill, entry, tier, equal } = stage
    const others = ['other', 'declare', 'declared ', 'DECLARED', 'org', keyOf(['user', '7']), keyOf(['user', 70])]
    const mine = await filled(ref)
    const running = await load(refOf('b', ['declared']))
    await bump(...others, keyOf('user'), prefix('users'), prefix('use'), prefix('user', 8))
    await tier.bump([{ scope: 'umbrella', tags: ['declared', SCOPE_TAG, keyOf(['user', 7])] }], 'n0')
    await isHit(ref, mine)
    equal(await fill(running, entry(running.ref)), true, 'a load that nothing has touched')
  }),

  storeCase('a prefix invalidates what begins with its parts, and no more', async (stage) => {
    const { filled, isHit, isGone, bump } = stage
    const inside = [refOf(['user', 7]), refOf(['user', 8, 'orders']), refOf(['user'])]
    const outside = [refOf(['users', 7]), refOf('user'), refOf([7, 'user']), refOf(['user', 7], [], 'umbrella')]
    for (const each of inside) await filled(each)
    const kept = []
    for (const each of outside) kept.push(await filled(each))
    await bump(prefix('user'))
    for (const each of inside) await isGone(each, each.key)
    for (const [i, each] of outside.entries()) await isHit(each, kept[i]!, each.key)
  }),

  storeCase('scopes are apart: their keys, their tags, their end', async (stage) => {
    const { filled, isHit, isGone, bump, tier } = stage
    // Concatenated without a border, some of them are the same.
    const refs = [refOf('a', ['t']), refOf('a', ['t'], 'acm'), refOf('a', ['t'], 'acme2'), refOf('a', ['t'], 'acme:a')]
    const entries = []
    for (const each of refs) entries.push(await filled(each))
    await bump(SCOPE_TAG)
    await isGone(refs[0]!)
    for (let i = 1; i < refs.length; i++) await isHit(refs[i]!, entries[i]!, refs[i]!.scope)
    await tier.bump([{ scope: refs[1]!.scope, tags: ['t'] }], 'n0')
    await isGone(refs[1]!)
    for (let i = 2; i < refs.length; i++) await isHit(refs[i]!, entries[i]!, refs[i]!.scope)
  }),

  storeCase('where a scope ends is no matter of spelling', async (stage) => {
    const { filled, isHit, tier } = stage
    // Joined by nothing, or by one of these characters, each two are the same.
    for (const border of ['', '|', ':', ' ', '/', ',', '\\', '"']) {
      const keys = [refOf('a', [], `umbrella${border}=`), refOf(`${border}=a`, [], 'umbrella')]
      const tags = [refOf('b', ['t'], `u${border}x`), refOf('c', [`x${border}t`], 'u')]
      const kept = []
      for (const each of [...keys, ...tags]) kept.push(await filled(each))
      for (const [i, each] of [...keys, ...tags].entries()) await isHit(each, kept[i]!, `${each.scope} ${each.key}`)
      await tier.bump([{ scope: 'u', tags: [`x${border}t`] }], 'n0')
      await isHit(tags[0]!, kept[2]!, `another scope, joined by '${border}'`)
      await tier.bump([{ scope: 'u', tags: [`\u0001k${tags[1]!.key}`, '\u0001a'] }], 'n0')
    }
  }),

  storeCase('scopes that only look alike are apart', async ({ filled, isHit, isGone, tier }) => {
    const refs = LOOKALIKES.map((scope) => refOf('a', ['t'], scope))
    const entries = []
    for (const each of refs) entries.push(await filled(each))
    for (const [i, each] of refs.entries()) await isHit(each, entries[i]!, JSON.stringify(each.scope))
    for (const [i, each] of refs.entries()) {
      await tier.bump([{ scope: each.scope, tags: ['t'] }], 'n0')
      await isGone(each, JSON.stringify(each.scope))
      const next = refs[i + 1]
      if (next !== undefined) await isHit(next, entries[i + 1]!, `${JSON.stringify(next.scope)} after another’s bump`)
    }
    for (const [i, each] of refs.entries()) entries[i] = await filled(each)
    for (const [i, each] of refs.entries()) {
      await tier.purge(each.scope)
      await isGone(each, JSON.stringify(each.scope))
      const next = refs[i + 1]
      if (next !== undefined) await isHit(next, entries[i + 1]!, `${JSON.stringify(next.scope)} after another’s purge`)
    }
  }),

  storeCase('names are apart: their entries, locks, bumps and epochs', async (stage) => {
    const { open, name, filled, isHit, load, equal } = stage
    const other = open(`${name.slice(0, -1)}x`)
    const mine = await filled(ref)
    const [miss] = await other.read([ref], { lockMs: LONG_MS, node: 'n0', body: true })
    equal([miss!.kind, miss!.kind === 'miss' && miss!.lock], ['miss', 'yours'])
    await other.bump([bumped('declared', SCOPE_TAG)], 'n0')
    await other.bump([{ tags: [], epoch: true }], 'n0')
    await other.put(ref, stage.entry(ref), 'n0')
    await other.purge()
    await isHit(ref, mine)
    await load(refOf('b'))
  }),

  storeCase('one name is one cache, whoever opened it', async ({ open, filled, tier, equal, entry }) => {
    const mine = await filled(ref)
    const second = open()
    const [hit] = await second.read([ref], { lockMs: 0, node: 'n9', body: true })
    equal([hit!.kind, hit!.kind === 'hit' && hit!.fill], ['hit', mine.fill])
    const put = entry(ref)
    await second.put(ref, put, 'n9')
    const [seen] = await tier.read([ref], { lockMs: 0, node: 'n0', body: true })
    equal(seen!.kind === 'hit' && seen!.fill, put.fill)
    equal(await tier.epoch(), await second.epoch())
  }),

  storeCase('a fill is refused when a newer entry is there', async (stage) => {
    const { load, read, fill, entry, bump, tier, isHit, equal } = stage
    const old = await load(ref, 'n1')
    await bump('unrelated')
    const miss = await read(ref)
    const newer = entry(ref)
    equal(miss.kind === 'miss' && (await tier.fill(ref, miss.lease, newer, 'n2')).stored, true)
    equal(await fill(old, entry(ref)), false)
    await isHit(ref, newer)
  }),

  storeCase('a put invalidates its key and is there at once, with that stamp', async (stage) => {
    const { filled, tier, load, fill, entry, isHit, bump, equal } = stage
    await filled(ref)
    const running = await load(ref, 'n1', { refresh: true })
    const put = entry(ref, { tags: ['org:1'] })
    const { stamp } = await tier.put(ref, put, 'n0')
    equal((await isHit(ref, put)).stamp, stamp)
    equal(await fill(running, entry(ref)), false, 'a load that began before')
    await isHit(ref, put)
    const second = entry(ref)
    await tier.put(ref, second, 'n0')
    await isHit(ref, second)
    await bump('declared')
    await stage.isGone(ref)
    const fresh = await load(ref, 'n2')
    const third = entry(ref)
    equal(await fill(fresh, third), true)
    await isHit(ref, third)
  }),

  storeCase('a put is no bump of its other tags', async ({ tier, filled, entry, isHit }) => {
    const other = refOf(['user', 8], ['declared'])
    const kept = await filled(other)
    await tier.put(ref, entry(ref), 'n0')
    await isHit(other, kept)
  }),

  storeCase(
    'all of one bump have one stamp, and each bump has its own',
    async ({ tier, bump, filled, isGone, equal }) => {
      const refs = [refOf('a', ['t1']), refOf('b', ['t2'])]
      for (const each of refs) await filled(each)
      const { stamp } = await tier.bump([bumped('t1'), bumped('t2')], 'n0')
      for (const each of refs) await isGone(each)
      const stamps = [stamp]
      for (let i = 0; i < 5; i++) stamps.push((await bump('t1')).stamp)
      equal(new Set(stamps).size, stamps.length, 'stamps of six bumps')
    },
  ),

  storeCase('an epoch ends everything of the name, and every right to fill', async (stage) => {
    const { tier, filled, load, fill, entry, isGone, isHit, equal, ok } = stage
    const refs = [ref, refOf('b'), refOf('a', [], 'umbrella')]
    for (const each of refs) await filled(each, { graceMs: LONG_MS })
    const running = await load(refOf('c'))
    const before = await tier.epoch()
    ok(typeof before === 'string' && before !== '', 'an epoch')
    equal(await tier.epoch(), before, 'asking changes nothing')
    await stage.bump('t')
    equal(await tier.epoch(), before, 'a bump of a tag is no epoch')
    await tier.bump([{ tags: [], epoch: true }], 'n0')
    ok((await tier.epoch()) !== before, 'another epoch')
    for (const each of refs) await isGone(each)
    equal(await fill(running, entry(running.ref)), false)
    await isGone(running.ref)
    const next = await load(running.ref, 'n1')
    const made = entry(running.ref)
    equal(await fill(next, made), true)
    await isHit(running.ref, made)
  }),

  storeCase('epochs that one node makes differ', async ({ tier, filled, isGone, equal }) => {
    const seen = new Set<string | undefined>()
    for (let round = 0; round < 4; round++) {
      await filled(ref)
      seen.add(await tier.epoch())
      await tier.bump([{ tags: [], epoch: true }], 'n0')
      await isGone(ref)
    }
    equal(seen.size, 4)
  }),

  storeCase('a lease is worth nothing once a load has taken longer than allowed', async (stage) => {
    const { open, name, elapse, entry, equal } = stage
    const tier = open(`${name.slice(0, -1)}y`, { maxLoadMs: 10 * SHORT_MS })
    const [miss] = await tier.read([ref], { lockMs: LONG_MS, node: 'n0', body: true })
    await elapse(20 * SHORT_MS)
    const lease = miss!.kind === 'miss' ? miss!.lease : ''
    equal((await tier.fill(ref, lease, entry(ref), 'n0')).stored, false)
    const [after] = await tier.read([ref], { lockMs: LONG_MS, node: 'n1', body: true })
    equal([after!.kind, after!.kind === 'miss' && after!.lock], ['miss', 'yours'], 'its lock is released all the same')
  }),

  storeCase('what is repeated is done once, or twice without harm', async (stage) => {
    const { tier, load, entry, isHit, isGone, bump, filled, equal } = stage
    const mine = await load(ref)
    const made = entry(ref)
    const [first, again] = [
      await tier.fill(ref, mine.lease, made, mine.node),
      await tier.fill(ref, mine.lease, made, mine.node),
    ]
    equal([first.stored, again], [true, first], 'a fill')
    await isHit(ref, made)
    await bump('declared')
    await bump('declared')
    await isGone(ref)
    equal((await tier.fill(ref, mine.lease, made, mine.node)).stored, false, 'a fill that is repeated behind a bump')
    await isGone(ref)
    await isHit(ref, await filled(ref), 'after a bump and its repeat')
    const put = entry(ref)
    await tier.put(ref, put, 'n0')
    await tier.put(ref, put, 'n0')
    await isHit(ref, put)
    await tier.ping()
  }),
]

/** What a server may do to a store. */
export const lossCases: readonly Case<CacheStoreUnderTest>[] = [
  storeCase(
    'what lost its state has lost its entries: none comes back, also when the same node makes the state again',
    async (stage) => {
      const { under, name, tier, filled, load, fill, entry, isGone, isHit, bump, equal, ok } = stage
      for (const what of ['state', 'all'] as const) {
        await filled(ref, { graceMs: LONG_MS })
        const running = await load(refOf('b'))
        const before = await tier.epoch()
        await under.lose!(name, what)
        equal(await tier.epoch(), undefined, 'an epoch that nobody has made')
        equal(await tier.epoch(), undefined, 'asking for an epoch makes none')
        await isGone(ref, `the entry, ${what} lost`)
        equal(await fill(running, entry(running.ref)), false, `a lease of before, ${what} lost`)
        await isGone(running.ref)
        await bump('unrelated')
        await isGone(ref)
        ok(![undefined, before].includes(await tier.epoch()), 'a new epoch')
        await isHit(ref, await filled(ref))
        await tier.unlock(running.ref, running.lease, running.node)
        await bump(SCOPE_TAG)
        await tier.purge()
        await under.lose!(name, 'all')
      }
    },
    'lose',
  ),

  storeCase(
    'a lease of a state that was lost fills nothing, not even as the first step after it',
    async ({ under, name, load, fill, entry, isGone, equal }) => {
      const running = await load(ref)
      await under.lose!(name, 'state')
      equal(await fill(running, entry(ref)), false)
      await isGone(ref)
    },
    'lose',
  ),

  storeCase(
    'a clock that goes back orders as before',
    async (stage) => {
      const { under, bump, load, fill, entry, filled, isGone, isHit, equal } = stage
      await bump('declared')
      await under.jump!(-LONG_MS)
      const mine = await filled(ref)
      await isHit(ref, mine, 'filled behind the jump')
      await bump('declared')
      await isGone(ref, 'bumped behind the jump')
      const running = await load(ref, 'n1')
      await bump('declared')
      equal(await fill(running, entry(ref)), false)
    },
    'jump',
  ),

  storeCase(
    'what was pruned stays invalid, whatever the clock does',
    async (stage) => {
      const { under, filled, bump, isGone, load, fill, entry, equal } = stage
      await filled(ref)
      const running = await load(refOf('b', ['declared']))
      await bump('declared')
      await under.jump!(3 * LONG_MS)
      for (let i = 0; i < 100; i++) await bump(`other ${i}`)
      await under.jump!(-3 * LONG_MS)
      await isGone(ref)
      equal(await fill(running, entry(running.ref)), false)
    },
    'jump',
  ),
]
