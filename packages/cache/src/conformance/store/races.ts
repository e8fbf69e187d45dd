import type { Case } from '@keelson/kernel/conformance'
import type { Miss } from '../../store.ts'
import { LONG_MS, refOf } from '../stage.ts'
import type { CacheStoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

const ROUNDS = 10
const ref = refOf(['user', 7], ['declared'])

/** Each method is one step: there is nothing between its beginning and its end. */
export const raceCases: readonly Case<CacheStoreUnderTest>[] = [
  storeCase('a fill and a bump at once: whoever comes first, the entry is gone', async (stage) => {
    const { load, entry, bump, together, isGone, tier } = stage
    for (let round = 0; round < ROUNDS; round++) {
      const mine = await load(ref, `n${round}`)
      const made = entry(ref, { tags: ['late'] })
      await together<unknown>(2, (i) =>
        i === round % 2 ? tier.fill(ref, mine.lease, made, mine.node) : bump(round % 3 === 0 ? 'late' : 'declared'),
      )
      await isGone(ref)
    }
  }),

  storeCase('a put and fills of before at once: the put stays', async (stage) => {
    const { read, entry, together, isHit, tier } = stage
    for (let round = 0; round < ROUNDS; round++) {
      const { lease } = (await read(ref, { refresh: true })) as Miss
      const put = entry(ref)
      await together<unknown>(5, (i) =>
        i === round % 5 ? tier.put(ref, put, 'n0') : tier.fill(ref, lease, entry(ref), `n${i}`),
      )
      await isHit(ref, put)
    }
  }),

  storeCase('an epoch and fills at once: nothing is left', async (stage) => {
    const { tier, entry, together, isGone, read } = stage
    for (let round = 0; round < ROUNDS; round++) {
      const refs = Array.from({ length: 5 }, (_, i) => refOf(['user', i]))
      const leases: string[] = []
      for (const each of refs) leases.push(((await read(each)) as Miss).lease)
      await together<unknown>(6, (i) => {
        if (i === round % 6) return tier.bump([{ tags: [], epoch: true }], 'n0')
        const at = i < round % 6 ? i : i - 1
        return tier.fill(refs[at]!, leases[at]!, entry(refs[at]!), `n${at}`)
      })
      for (const each of refs) await isGone(each)
    }
  }),

  storeCase('bumps at once have each their own stamp, and lose no tag', async (stage) => {
    const { filled, bump, together, isGone, equal } = stage
    const refs = Array.from({ length: 20 }, (_, i) => refOf(['user', i], [`t${i}`]))
    for (const each of refs) await filled(each)
    const stamps = await together(20, async (i) => (await bump(`t${i}`)).stamp)
    equal(new Set(stamps).size, stamps.length)
    for (const each of refs) await isGone(each)
  }),

  storeCase('two puts at once: all of one of them', async (stage) => {
    const { entry, together, read, tier, equal, sameContent } = stage
    for (let round = 0; round < ROUNDS; round++) {
      const puts = [entry(ref, { tags: ['one'] }), entry(ref, { tags: ['two'] })]
      const stamps = (await together(2, (i) => tier.put(ref, puts[i]!, `n${i}`))).map(({ stamp }) => stamp)
      equal(new Set(stamps).size, 2, 'two stamps')
      const hit = await read(ref)
      equal(hit.kind, 'hit', 'the later of the two')
      if (hit.kind !== 'hit') return
      const at = puts.findIndex(({ fill }) => fill === hit.fill)
      equal([hit.stamp, hit.tags.toSorted()], [stamps[at], puts[at]!.tags.toSorted()])
      sameContent(hit, puts[at]!)
    }
  }),

  storeCase('an unlock or a fill, and many who want the lock: at most one has it', async (stage) => {
    const { load, tier, together, equal, ok, read, entry } = stage
    for (let round = 0; round < ROUNDS; round++) {
      const of = refOf(['user', round])
      const mine = await load(of, 'first')
      const answers = await together<Miss['lock'] | 'hit' | 'done'>(21, async (i) => {
        if (i !== 2 * round) {
          const answer = await read(of, { lockMs: LONG_MS, node: `n${i}` })
          return answer.kind === 'hit' ? 'hit' : answer.lock
        }
        if (round % 2 === 0) await tier.unlock(of, mine.lease, mine.node)
        else await tier.fill(of, mine.lease, entry(of), mine.node)
        return 'done'
      })
      const winners = answers.filter((answer) => answer === 'yours').length
      ok(winners <= (round % 2 === 0 ? 1 : 0), `${winners} have the lock in round ${round}`)
      const [last] = await tier.read([of], { lockMs: LONG_MS, node: 'last', body: true })
      equal(last!.kind === 'hit' ? 'hit' : last!.lock, round % 2 === 1 ? 'hit' : winners === 1 ? 'held' : 'yours')
    }
  }),

  storeCase('reads at once with a takeover: one has the lock', async (stage) => {
    const { load, bump, together, equal, read } = stage
    await load(ref, 'first')
    await bump('declared')
    const answers = await together(30, (i) => read(ref, { lockMs: LONG_MS, node: `n${i}` }))
    equal(answers.filter((answer) => answer.kind === 'miss' && answer.lock === 'yours').length, 1)
  }),
]
