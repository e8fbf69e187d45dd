import { describe, expect, test } from 'vitest'
import { aRef, anEntry, aTier, bodyOf, connect, HOUR_MS } from './a-tier.ts'

const ref = aRef(['user', 7], ['declared'])
const KEYS = ['state', 'members', 'entry', 'lock'] as const
const subsets = Array.from({ length: 2 ** KEYS.length }, (_, bits) => KEYS.filter((_, i) => bits & (1 << i)))

describe.each(subsets)('%s %s %s %s evicted', (...evicted) => {
  const without = (client: ReturnType<typeof connect>, { keys }: ReturnType<typeof aTier>) =>
    client.del('no key', ...evicted.map((key) => (key === 'entry' || key === 'lock' ? keys[key](ref) : keys[key])))

  test('at any moment, nothing that was invalidated comes back', async () => {
    using client = connect()
    for (const moment of ['before the bump', 'behind the bump', 'behind a new state', 'before the fill'] as const) {
      const it = aTier(client)
      const first = await it.filled(ref, { graceMs: HOUR_MS })
      const late = (await it.read(ref, { lockMs: HOUR_MS, refresh: true })) as { lease: string }
      if (moment === 'before the bump') await without(client, it)
      await it.bump('declared')
      if (moment === 'behind the bump') await without(client, it)
      if (moment === 'behind a new state') {
        await client.del(it.keys.state)
        await it.bump('other')
        await without(client, it)
      }
      const answer = await it.read(ref)
      expect(bodyOf(answer)).toBeUndefined()
      expect(answer).not.toHaveProperty('stale')
      if (moment === 'before the fill') await without(client, it)
      expect(await it.tier.fill(ref, late.lease, first, 'n0')).toMatchObject({ stored: false })
      expect(bodyOf(await it.read(ref))).toBeUndefined()
      const next = await it.filled(ref)
      expect(bodyOf(await it.read(ref))).toBe(String(next.body))
    }
  })

  test('what is lost without an invalidation is a miss, or the very entry', async () => {
    using client = connect()
    const it = aTier(client)
    const kept = await it.filled(ref)
    await without(client, it)
    const isMiss = evicted.includes('state') || evicted.includes('entry')
    expect(bodyOf(await it.read(ref))).toBe(isMiss ? undefined : String(kept.body))
  })
})

test('a state that is lost again and again is another epoch each time, also when the same node makes it', async () => {
  using client = connect()
  const it = aTier(client)
  const epochs = new Set<string | undefined>()
  const old: [string, ReturnType<typeof anEntry>][] = []
  for (let round = 0; round < 5; round++) {
    const made = await it.filled(ref)
    old.push([await it.lease(ref), made])
    epochs.add(await it.tier.epoch())
    await client.del(it.keys.state)
    for (const [lease, entry] of old) expect((await it.tier.fill(ref, lease, entry, 'n0')).stored).toBe(false)
    expect((await it.read(ref)).kind).toBe('miss')
  }
  expect(epochs.size).toBe(5)
})
