import type { Case } from '@keelson/kernel/conformance'
import { keyOf } from '../../tag.ts'
import type { Miss } from '../../store.ts'
import { LONG_MS, refOf, SHORT_MS, type Load, type Stage } from '../stage.ts'
import type { CacheStoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

const CALLERS = 100
const ref = refOf(['user', 7], ['declared'])

/** What a caller who wants to load is told. */
async function lockOf({ read }: Stage, node: string, of = ref, lockMs = LONG_MS): Promise<Miss['lock'] | 'hit'> {
  const answer = await read(of, { lockMs, node })
  return answer.kind === 'hit' ? 'hit' : answer.lock
}

/** Takes the lock, bumps past it so that the same node may take it again, and answers both loads. */
async function twice(stage: Stage): Promise<[Load, Load]> {
  const first = await stage.load(ref, 'n1')
  await stage.bump('declared')
  return [first, await stage.load(ref, 'n1')]
}

/** One load at a time, and none that waits for a dead one. */
export const lockCases: readonly Case<CacheStoreUnderTest>[] = [
  storeCase('one of a hundred gets the lock, all others are told that it is held', async (stage) => {
    const { together, equal, tier, fill, entry, isHit } = stage
    const answers = await together(CALLERS, (i) => stage.read(ref, { lockMs: LONG_MS, node: `n${i}` }))
    const locks = answers.map((answer) => (answer as Miss).lock)
    equal(locks.toSorted(), [...Array<string>(CALLERS - 1).fill('held'), 'yours'])
    const winner = locks.indexOf('yours')
    equal(await lockOf(stage, `n${winner}`), 'held', 'its owner asks again: another load of the same process')
    equal(await lockOf(stage, 'n1', ref, 0), 'none', 'who asks for none')
    const made = entry(ref)
    equal(await fill({ ref, lease: (answers[winner] as Miss).lease, node: `n${winner}` }, made), true)
    await isHit(ref, made)
    await tier.ping()
  }),

  storeCase('the lock of one ref holds nobody else', async (stage) => {
    await stage.load(ref)
    for (const other of [refOf(['user', 8]), refOf('user'), refOf(['user', 7], [], 'umbrella')]) {
      stage.equal(await lockOf(stage, 'n1', other), 'yours', `${other.scope} ${other.key}`)
    }
  }),

  storeCase('who takes no lock may fill all the same, and leaves that of another', async (stage) => {
    const { load, read, fill, entry, isHit, bump, equal } = stage
    await load(ref, 'n1')
    const miss = (await read(ref)) as Miss
    equal(miss.lock, 'none')
    await bump('late')
    equal(await fill({ ref, lease: miss.lease, node: 'n2' }, entry(ref, { tags: ['late'] })), false, 'a refused one')
    equal(await lockOf(stage, 'n3'), 'held', 'a refused fill of another')
    const made = entry(ref)
    equal(await fill({ ref, lease: ((await read(ref)) as Miss).lease, node: 'n2' }, made), true)
    await isHit(ref, made)
  }),

  storeCase('a fill releases the lock, a refused one too', async (stage) => {
    const { load, fill, entry, bump, equal } = stage
    const refused = await load(ref, 'n1')
    await bump('late')
    equal(await fill(refused, entry(ref, { tags: ['late'] })), false)
    const second = await load(ref, 'n2')
    equal(await fill(second, entry(ref)), true)
    await bump('declared')
    equal(await lockOf(stage, 'n3'), 'yours')
    const other = refOf('b')
    const stored = await load(other, 'n1')
    equal(await fill(stored, entry(other, { tags: ['t'] })), true)
    await bump('t') // no tag that it declares: this alone would not let anybody take a held lock over
    equal(await lockOf(stage, 'n2', other), 'yours')
  }),

  storeCase('an unlock releases the lock and stores nothing', async (stage) => {
    const { load, tier, isGone, equal } = stage
    const mine = await load(ref, 'n1')
    await tier.unlock(ref, mine.lease, 'n1')
    equal(await lockOf(stage, 'n2', ref, 0), 'none')
    await isGone(ref)
    equal(await lockOf(stage, 'n2'), 'yours')
  }),

  storeCase('nobody unlocks for another: not another node, not an earlier load of the same', async (stage) => {
    const { load, tier, fill, entry, equal } = stage
    const mine = await load(ref, 'n1')
    await tier.unlock(ref, mine.lease, 'n2')
    equal(await lockOf(stage, 'n3'), 'held', 'another node')
    await tier.unlock(refOf('b'), mine.lease, 'n1')
    equal(await lockOf(stage, 'n3'), 'held', 'another ref')
    await tier.unlock(ref, mine.lease, 'n1')
    const next = await load(ref, 'n2')
    await tier.unlock(ref, mine.lease, 'n1')
    equal(await lockOf(stage, 'n3'), 'held', 'an unlock that is repeated')
    equal(await fill(next, entry(ref)), true)

    await stage.bump('declared')
    const [early, late] = await twice(stage)
    await tier.unlock(ref, early.lease, 'n1')
    equal(await lockOf(stage, 'n3'), 'held', 'an earlier load')
    await tier.unlock(ref, late.lease, 'n1')
    equal(await lockOf(stage, 'n3'), 'yours')
  }),

  storeCase('a lock ends by itself, and its load may still fill', async (stage) => {
    const { load, until, fill, entry, isHit, equal } = stage
    const early = await load(ref, 'n1', { lockMs: SHORT_MS })
    await until('the lock never ends', async () => (await lockOf(stage, 'n2')) === 'yours')
    equal(await lockOf(stage, 'n3'), 'held')
    const made = entry(ref)
    equal(await fill(early, made), true, 'nothing has moved: what it loaded is true')
    await isHit(ref, made)
    equal(await lockOf(stage, 'n3'), 'hit')
  }),

  storeCase('a lock is taken over when a declared tag moved past its load', async (stage) => {
    const { bump, load, fill, entry, isHit, isGone, tier, equal } = stage
    for (const [i, tag] of ['declared', keyOf(['user', 7]), 'declared'].entries()) {
      const early = await load(ref, `early${i}`)
      await bump('other')
      equal(await lockOf(stage, 'n9'), 'held', 'a tag that it does not declare')
      await bump(tag)
      const late = await load(ref, `late${i}`)
      equal(await lockOf(stage, 'n9'), 'held', 'taken over once')
      equal(await fill(early, entry(ref)), false)
      equal(await lockOf(stage, 'n9'), 'held', 'the old load releases no lock of the new one')
      await tier.unlock(ref, early.lease, early.node)
      equal(await lockOf(stage, 'n9'), 'held', 'nor by unlock')
      await isGone(ref)
      const made = entry(ref)
      equal(await fill(late, made), true)
      await isHit(ref, made)
      await bump('declared')
    }
  }),

  storeCase('an epoch frees the locks of the one before', async (stage) => {
    await stage.load(ref, 'n1')
    await stage.tier.bump([{ tags: [], epoch: true }], 'n0')
    stage.equal(await lockOf(stage, 'n2'), 'yours')
  }),

  storeCase('a lock that is extended holds on', async (stage) => {
    const { load, tier, elapse, equal, ok } = stage
    // A machine may stand still longer than the lock holds: then the next round has more time.
    for (let lockMs = 200, isHeld = false; !isHeld; lockMs *= 2) {
      ok(lockMs < 30_000, 'locks are not extended')
      const refs = Array.from({ length: 4 }, (_, i) => refOf(['user', lockMs, i]))
      const held = []
      for (const each of refs) held.push(await load(each, 'n1', { lockMs }))
      // One of them is no longer held: the others are extended all the same.
      const [lost, ...kept] = [refs[1]!, refs[0]!, refs[2]!, refs[3]!]
      await tier.unlock(lost, held[1]!.lease, 'n1')
      await tier.extend(held, 'n1', LONG_MS)
      const locks = await Promise.all(kept.map((of) => lockOf(stage, 'n2', of)))
      isHeld = locks.every((lock) => lock === 'held')
      if (!isHeld) continue
      await elapse(2 * lockMs)
      for (const each of kept) equal(await lockOf(stage, 'n2', each), 'held', `${2 * lockMs} ms later`)
      equal(await lockOf(stage, 'n2', lost), 'yours', 'an extension makes no lock')
    }
  }),

  storeCase('nobody extends for another: not another node, not an earlier load of the same', async (stage) => {
    const { load, tier, until, bump } = stage
    const mine = await load(ref, 'n1', { lockMs: 5 * SHORT_MS })
    await tier.extend([{ ref, lease: mine.lease }], 'n2', LONG_MS)
    await until('another node has extended it', async () => (await lockOf(stage, 'n3', ref, 1)) === 'yours')
    await bump('declared')
    const early = await load(ref, 'n1')
    await bump('declared')
    await load(ref, 'n1', { lockMs: 5 * SHORT_MS })
    await tier.extend([{ ref, lease: early.lease }], 'n1', LONG_MS)
    await until('an earlier load has extended it', async () => (await lockOf(stage, 'n3', ref)) === 'yours')
    await tier.extend([], 'n1', LONG_MS)
  }),

  storeCase('who asks to refresh gets a right to fill, a lock, and what is there', async (stage) => {
    const { filled, read, isHit, fill, entry, bump, isGone, sameContent, equal, ok } = stage
    const old = await filled(ref)
    const miss = (await read(ref, { refresh: true, lockMs: LONG_MS, node: 'n1' })) as Miss
    equal([miss.kind, miss.lock], ['miss', 'yours'])
    ok(miss.stale !== undefined && miss.stale.ttlMs > 0, 'the entry, which is not stale yet')
    sameContent(miss.stale!, old)
    const second = (await read(ref, { refresh: true, lockMs: LONG_MS, node: 'n2' })) as Miss
    equal([second.kind, second.lock, second.stale?.fill], ['miss', 'held', old.fill], 'a second one')
    await isHit(ref, old, 'who does not ask for it')
    const made = entry(ref)
    equal(await fill({ ref, lease: miss.lease, node: 'n1' }, made), true)
    await isHit(ref, made)
    await bump('declared')
    const gone = (await read(ref, { refresh: true })) as Miss
    equal([gone.kind, gone.lock, gone.stale], ['miss', 'none', undefined], 'of what is invalid')
    await isGone(ref)
  }),

  storeCase('a hit takes no lock', async (stage) => {
    const { filled, bump, equal } = stage
    await filled(ref, { tags: ['t'] })
    equal(await lockOf(stage, 'n1'), 'hit')
    await bump('t')
    equal(await lockOf(stage, 'n2'), 'yours')
  }),
]
