import type { Case } from '@keelson/kernel/conformance'
import type { Miss } from '../../store.ts'
import { LONG_MS, refOf, SHORT_MS } from '../stage.ts'
import type { CacheStoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

const ref = refOf(['user', 7], ['declared'])

/** Stale may be served for a while, invalid never. */
export const staleCases: readonly Case<CacheStoreUnderTest>[] = [
  storeCase('a soft bump lets entries turn stale: served within grace, gone without', async (stage) => {
    const { filled, expire, isStale, isGone, isHit, ok } = stage
    const [graced, plain, other] = [ref, refOf('plain'), refOf('other')]
    const kept = await filled(graced, { graceMs: LONG_MS, tags: ['t'] })
    await filled(plain, { tags: ['t'] })
    const untouched = await filled(other)
    await expire('t')
    const { stale } = await isStale(graced, kept)
    ok(stale!.ttlMs <= 0, `a stale entry has ${stale!.ttlMs} ms left`)
    await isGone(plain)
    await isHit(other, untouched)
    await expire('t')
    await isStale(graced, kept, 'expired twice')
  }),

  storeCase('a fill behind a soft bump is fresh, one of a load before it is not', async (stage) => {
    const { load, fill, entry, expire, filled, isHit, isStale, bump, isGone, read, equal } = stage
    const old = await filled(ref, { graceMs: LONG_MS })
    await expire('declared')
    const stale = (await read(ref, { lockMs: LONG_MS, node: 'n1' })) as Miss
    equal([stale.lock, stale.stale?.fill], ['yours', old.fill], 'one of them refreshes')
    const second = (await read(ref, { lockMs: LONG_MS, node: 'n2' })) as Miss
    equal([second.lock, second.stale?.fill], ['held', old.fill], 'the others are given what is there')
    const made = entry(ref, { graceMs: LONG_MS })
    equal(await fill({ ref, lease: stale.lease, node: 'n1' }, made), true)
    await isHit(ref, made)
    await bump('declared')
    await isGone(ref)
    const early = await load(ref, 'n1')
    await expire('declared')
    await fill(early, entry(ref, { graceMs: LONG_MS }))
    equal((await read(ref)).kind, 'miss', 'what was loaded before it was expired')
    const late = entry(ref, { graceMs: LONG_MS })
    // Whoever took over, or the first one again: the lock is free, as its load has ended.
    equal(await fill(await load(ref, 'n3'), late), true)
    await isHit(ref, late)
    await expire('declared')
    await isStale(ref, late)
  }),

  storeCase('what was invalidated is never stale: before, after or together with a soft bump', async (stage) => {
    const { filled, expire, bump, isGone, tier } = stage
    const orders = [
      [bump, expire],
      [expire, bump],
      [bump, bump],
    ]
    for (const order of orders) {
      await filled(ref, { graceMs: LONG_MS })
      for (const step of order) await step('declared')
      await isGone(ref)
    }
    await filled(ref, { graceMs: LONG_MS, tags: ['t'] })
    await tier.bump(
      [
        { scope: ref.scope, tags: ['declared'], soft: true },
        { scope: ref.scope, tags: ['t'] },
      ],
      'n0',
    )
    await isGone(ref)
    await filled(ref, { ttlMs: SHORT_MS, graceMs: LONG_MS })
    await stage.until('its ttl never passes', async () => (await stage.read(ref)).kind === 'miss')
    await bump('declared')
    await isGone(ref, 'stale by time, then invalidated')
  }),

  storeCase('a soft bump of one scope leaves the others', async ({ filled, expire, isHit }) => {
    const other = refOf(['user', 7], ['declared'], 'umbrella')
    const kept = await filled(other)
    await expire('declared')
    await isHit(other, kept)
  }),

  storeCase('a refused fill leaves what is there, stale or not', async (stage) => {
    const { filled, load, read, fill, entry, expire, bump, isStale, equal } = stage
    const kept = await filled(ref, { graceMs: LONG_MS })
    await expire('declared')
    const miss = await load(ref, 'n1')
    await bump('late')
    equal(await fill(miss, entry(ref, { tags: ['late'] })), false)
    await isStale(ref, kept)
    equal((await read(ref, { lockMs: LONG_MS, node: 'n2' })).kind, 'miss')
  }),
]

/** `purge`, for those who must know that bytes are gone. */
export const purgeCases: readonly Case<CacheStoreUnderTest>[] = [
  storeCase('a purge of a scope deletes all of it, and nothing else', async (stage) => {
    const { filled, tier, isHit, isGone, equal } = stage
    const mine = Array.from({ length: 30 }, (_, i) => refOf(['user', i]))
    const [other, longer] = [refOf('a', [], 'umbrella'), refOf('a', [], 'acme2')]
    for (const each of mine) await filled(each, { graceMs: LONG_MS })
    const kept = [await filled(other), await filled(longer)]
    equal(await tier.purge('acme'), mine.length)
    for (const each of mine) await isGone(each)
    await isHit(other, kept[0]!)
    await isHit(longer, kept[1]!)
    equal(await tier.purge('acme'), 0, 'again')
    equal(await tier.purge('nobody'), 0)
    await isHit(mine[0]!, await filled(mine[0]!), 'filled anew')
  }),

  storeCase('a purge deletes what is invalid and keeps what may be served', async (stage) => {
    const { filled, tier, bump, expire, isHit, isStale, isGone, equal, ok, has } = stage
    const [valid, stale, invalid] = [refOf('valid'), refOf('stale'), refOf('invalid')]
    const kept = await filled(valid)
    const graced = await filled(stale, { graceMs: LONG_MS, tags: ['soft'] })
    await filled(invalid, { graceMs: LONG_MS, tags: ['hard'] })
    await expire('soft')
    await bump('hard')
    const purged = await tier.purge()
    if (has.includes('keeps')) equal(purged, 1, 'how many')
    else ok(purged === 0 || purged === 1, `${purged} entries`)
    await isHit(valid, kept)
    await isStale(stale, graced)
    await isGone(invalid)
    equal(await tier.purge(), 0, 'again')
    await tier.bump([{ tags: [], epoch: true }], 'n0')
    const rest = await tier.purge()
    if (has.includes('keeps')) equal(rest, 2, 'of another epoch')
    equal(await tier.purge(), 0, 'again')
  }),
]
