import { describe, expect, test } from 'vitest'
import type { Miss } from '@keelson/cache'
import { until } from '../../../../tools/servers/until.ts'
import { aMember, anEntry, aRef, aTier, bodyOf, HOUR_MS } from './a-tier.ts'
import { clients, type OpenRedis } from './open-redis.ts'

const PATIENCE_MS = 20_000
const LEASE_MS = 10_000
const ref = aRef(['user', 7], ['declared'])

describe.each(Object.entries(clients))('%s', (_, open) => {
  const over = ({ client }: OpenRedis) => aTier(client)

  test('a load that a bump overtakes is stored nowhere, whoever knows the tag', async () => {
    await using opened = await open()
    const it = over(opened)
    for (const tag of ['declared', 'known only afterwards']) {
      const { lease } = (await it.read(ref, { lockMs: HOUR_MS })) as Miss
      await it.bump(tag)
      const late = anEntry(ref, { tags: [tag] })
      expect(await it.tier.fill(ref, lease, late, 'n0')).toMatchObject({ stored: false })
      expect(bodyOf(await it.read(ref))).toBeUndefined()
      const made = await it.filled(ref, { tags: [tag] })
      expect(bodyOf(await it.read(ref))).toBe(String(made.body))
      await it.bump(tag)
    }
  })

  test('scopes, bodies and refs in one read keep apart', async () => {
    await using opened = await open()
    const it = over(opened)
    const body = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
    const refs = [aRef('a'), aRef('b{c}'), aRef('a', [], 'umbrella'), aRef('\u0000|:\n😀')]
    await it.filled(refs[1]!, { body })
    await it.filled(refs[3]!, { body: Buffer.alloc(0) })
    const answers = await it.tier.read(refs, { lockMs: HOUR_MS, node: 'n1', body: true })
    expect(answers.map(({ kind }) => kind)).toEqual(['miss', 'hit', 'miss', 'hit'])
    expect(answers[1]).toMatchObject({ body, tags: refs[1]!.declared })
    expect(answers[3]).toMatchObject({ body: Buffer.alloc(0) })
  })

  test('members hear, ack, renew behind all messages, and leave', async () => {
    await using opened = await open()
    const it = over(opened)
    const [author, other] = [await aMember(it, 'a', LEASE_MS), await aMember(it, 'b', LEASE_MS)]
    for (const each of [author, other]) await each.member.renew()
    for (let round = 0; round < 5; round++) {
      const bumps = await Promise.all(Array.from({ length: 20 }, (_, i) => it.bump(`t${i}`)))
      await other.member.renew()
      const heard = other.bumps.map(({ stamp }) => stamp)
      expect(bumps.filter(({ stamp }) => !heard.includes(stamp))).toEqual([])
    }
    const { stamp, peers } = await it.tier.bump([{ scope: 'acme', tags: ['t'], soft: true }], 'a')
    expect(peers.map(({ node }) => node)).toEqual(['b'])
    const message = await until('it is heard', PATIENCE_MS, async () =>
      other.bumps.find((each) => each.stamp === stamp),
    )
    expect(message).toEqual({ stamp, from: 'a', list: [{ scope: 'acme', tags: ['t'], soft: true }] })
    other.member.ack(message)
    await until('it is acked', PATIENCE_MS, async () => author.acks.includes(`b ${stamp}`) || undefined)
    await other.member.leave()
    await author.member.leave()
    expect((await it.bump('t')).peers).toEqual([])
    expect([author.lost, other.lost]).toEqual([0, 0])
  })

  test('a purge finds what is invalid, and all of a scope', async () => {
    await using opened = await open()
    const it = over(opened)
    const [mine, other] = [aRef('a', ['t'], 'a*c[me]?\\'), aRef('a', [], 'umbrella')]
    for (const each of [mine, other]) await it.filled(each)
    expect(await it.tier.purge()).toBe(0)
    await it.tier.bump([{ scope: mine.scope, tags: ['t'] }], 'n0')
    expect([await it.tier.purge(), await it.tier.purge()]).toEqual([1, 0])
    await it.filled(mine)
    expect([await it.tier.purge(mine.scope), await it.tier.purge('umbrella')]).toEqual([1, 1])
  })
})
