import type { Case } from '@keelson/kernel/conformance'
import type { Hit, Miss } from '../../store.ts'
import { LONG_MS, refOf, SHORT_MS } from '../stage.ts'
import type { CacheStoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** Keys that somebody will use one day. `'a|b'` and `'a:b'` lie beside each other on purpose. */
const KEYS = [
  'a',
  'a|b',
  'a:b',
  'a\u0000b',
  'a\u0000',
  '\u0000',
  '\u0001k=a',
  '😀',
  '\u00e9',
  'e\u0301',
  '__proto__',
  ' a',
  'a ',
  '%61',
  'A',
  '\u0141',
]
const MEGABYTE = 1_048_576

/** What is stored comes back, and nothing else. */
export const entryCases: readonly Case<CacheStoreUnderTest>[] = [
  storeCase('what was filled is a hit with all that belongs to it', async (stage) => {
    const { tier, load, entry, isHit, equal, ok } = stage
    const ref = refOf(['user', 7], ['t'])
    const mine = await load(ref)
    const made = entry(ref, { codec: 'json+zstd', tags: ['org:1', 'x|y'], loadMs: 1234 })
    const filled = await tier.fill(ref, mine.lease, made, mine.node)
    equal(filled.stored, true)
    const hit = await isHit(ref, made)
    equal(hit.stamp, filled.stamp, 'its stamp is that of the lease')
    ok(hit.ttlMs > 0 && hit.ttlMs <= LONG_MS, `${hit.ttlMs} ms are left`)
  }),

  storeCase('each key has its own entry, whatever its characters', async (stage) => {
    const { filled, isHit, bump, isGone } = stage
    const keys = [...KEYS, 'k'.repeat(511), `${'k'.repeat(510)}l`]
    const refs = [...keys.map((key) => refOf(key)), refOf(['a']), refOf(['a', 'b']), refOf(['a', 1]), refOf(['a', '1'])]
    const entries = []
    for (const ref of refs) entries.push(await filled(ref))
    for (const [i, ref] of refs.entries()) await isHit(ref, entries[i]!, `key ${JSON.stringify(ref.key)}`)
    // Their tags are as odd as they are.
    for (const [i, ref] of refs.entries()) {
      await bump(ref.declared[0]!)
      await isGone(ref, `${JSON.stringify(ref.key)} after its bump`)
      const next = refs[i + 1]
      if (next !== undefined) await isHit(next, entries[i + 1]!, `${JSON.stringify(next.key)} after another’s bump`)
    }
  }),

  storeCase('many refs are answered in their order, one that is there twice too', async (stage) => {
    const { tier, filled, equal, sameContent } = stage
    const refs = Array.from({ length: 40 }, (_, i) => refOf(['user', i]))
    const entries = []
    for (const ref of refs.filter((_, i) => i % 2 === 0)) entries.push(await filled(ref))
    const asked = [...refs, refs[0]!, refs[2]!, refs[1]!]
    const answers = await tier.read(asked, { lockMs: LONG_MS, node: 'n1', body: true })
    equal(
      answers.map(({ kind }) => kind),
      [...refs.map((_, i) => (i % 2 === 0 ? 'hit' : 'miss')), 'hit', 'hit', 'miss'],
    )
    for (const [i, e] of entries.entries()) sameContent(answers[2 * i] as Hit, e, `ref ${2 * i}`)
    sameContent(answers[40] as Hit, entries[0]!)
    sameContent(answers[41] as Hit, entries[1]!)
    const locks = [answers[1], answers[42]].map((miss) => (miss as Miss).lock)
    equal(locks.toSorted(), ['held', 'yours'], 'one lock for one ref')
    for (const [i, each] of answers.slice(0, 40).entries()) {
      if (i !== 1 && each.kind === 'miss') equal(each.lock, 'yours', `the lock of ref ${i}`)
    }
  }),

  storeCase('refs of two scopes in one read are answered each for itself', async ({ tier, filled, equal }) => {
    const [here, there] = [refOf('a'), refOf('a', [], 'umbrella')]
    await filled(here)
    const answers = await tier.read([there, here], { lockMs: 0, node: 'n0', body: true })
    equal(
      answers.map(({ kind }) => kind),
      ['miss', 'hit'],
    )
  }),

  storeCase('a read of nothing, or of a thousand, answers as many', async ({ tier, equal }) => {
    equal(await tier.read([], { lockMs: 0, node: 'n0', body: true }), [])
    const refs = Array.from({ length: 1_000 }, (_, i) => refOf(['user', i]))
    const answers = await tier.read(refs, { lockMs: LONG_MS, node: 'n0', body: true })
    equal(answers.filter((answer) => answer.kind === 'miss' && answer.lock === 'yours').length, 1_000)
  }),

  storeCase(
    'bodies of every byte, of none and of a megabyte come back as they were',
    async (stage) => {
      const { filled, isHit } = stage
      const bodies = {
        none: new Uint8Array(0),
        'every byte': Uint8Array.from({ length: 256 }, (_, i) => i),
        newline: Buffer.from('\n|:\u0000\r\n'),
        megabyte: Uint8Array.from({ length: MEGABYTE }, (_, i) => (i * 7919) % 251),
        'a part of a buffer': new Uint8Array(Uint8Array.from({ length: 100 }, (_, i) => i).buffer, 10, 20),
      }
      for (const [what, body] of Object.entries(bodies)) {
        const ref = refOf(['body', what])
        await isHit(ref, await filled(ref, { body }), what)
      }
    },
    'bodies',
  ),

  storeCase(
    'without the body a read tells all the rest, of stale entries too',
    async (stage) => {
      const { filled, read, expire, equal } = stage
      const ref = refOf('a')
      const { fill, tags } = await filled(ref, { tags: ['t'], graceMs: LONG_MS })
      const hit = (await read(ref, { body: false })) as Hit
      equal(
        [hit.kind, hit.body, hit.fill, hit.codec, hit.tags.toSorted()],
        ['hit', undefined, fill, 'json', tags.toSorted()],
      )
      await expire('t')
      const { stale } = (await read(ref, { body: false })) as Miss
      equal([stale?.body, stale?.fill], [undefined, fill])
    },
    'bodies',
  ),

  storeCase(
    'a value comes back as it is',
    async ({ filled, read, ok }) => {
      const ref = refOf('a')
      const value = Object.freeze({ date: new Date(0) })
      await filled(ref, { value, bytes: 100 })
      const hit = (await read(ref)) as Hit
      ok(hit.value === value, 'the same object')
    },
    'values',
  ),

  storeCase('a fill replaces what is there, and is another version of it', async (stage) => {
    const { filled, isHit, load, entry, fill, read } = stage
    const ref = refOf('a')
    await filled(ref, { tags: ['old'] })
    const second = entry(ref, { tags: ['new'] })
    stage.equal(await fill(await load(ref, 'n1', { refresh: true }), second), true)
    await isHit(ref, second)
    await stage.bump('old')
    await isHit(ref, second, 'tags of the entry before count no more')
    await stage.bump('new')
    stage.equal((await read(ref)).kind, 'miss')
  }),

  storeCase('time is the store’s: an entry ages, turns stale and is gone', async (stage) => {
    const { filled, isHit, isStale, until, read, elapse, isGone, equal, ok } = stage
    const [ages, turns, ends, stays] = [refOf('ages'), refOf('turns'), refOf('ends'), refOf('stays')]
    const aged = await filled(ages)
    const first = await isHit(ages, aged)
    ok(first.ageMs >= 0, `an age of ${first.ageMs} ms`)
    await until('it is still as young', async () => (await isHit(ages, aged)).ageMs >= first.ageMs + 50)
    const later = await isHit(ages, aged)
    ok(later.ttlMs <= first.ttlMs - 50, 'what is left gets less')
    const all = later.ageMs + later.ttlMs
    ok(Math.abs(all - LONG_MS) < 1_000, `age and rest are the ttl, in ms: ${all}`)

    const turned = await filled(turns, { ttlMs: SHORT_MS, graceMs: LONG_MS })
    await until('its ttl never passes', async () => (await read(turns)).kind === 'miss')
    const { stale } = await isStale(turns, turned)
    ok(stale!.ttlMs <= 0, `a stale entry has ${stale!.ttlMs} ms left`)
    ok(stale!.ageMs >= SHORT_MS, `it is ${stale!.ageMs} ms old`)

    await filled(ends, { ttlMs: SHORT_MS, graceMs: SHORT_MS })
    await until('its grace never ends', async () => {
      const answer = await read(ends)
      return answer.kind === 'miss' && answer.stale === undefined
    })
    await filled(stays, { ttlMs: SHORT_MS })
    await until('its ttl never passes', async () => (await read(stays)).kind === 'miss')
    await isGone(stays, 'no grace, nothing stale')
    await elapse(SHORT_MS)
    equal((await read(ages)).kind, 'hit')
  }),
]
