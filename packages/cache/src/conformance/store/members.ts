import type { Case } from '@keelson/kernel/conformance'
import type { Bump, BumpMessage, CacheTier, Member } from '../../store.ts'
import { keyOf } from '../../tag.ts'
import { bumped, LONG_MS, refOf, SCOPE, SHORT_MS, type Stage } from '../stage.ts'
import type { CacheStoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** The longest that a cache may have. */
const LEASE_MS = 10_000
const ref = refOf(['user', 7], ['declared'])

/** A member, and all that it was told. */
interface Node {
  readonly node: string
  readonly tier: CacheTier
  readonly member: Member
  readonly bumps: BumpMessage[]
  readonly acks: [stamp: string, node: string][]
  readonly filled: [scope: string, key: string][]
  lost: number
}

/** Joins and takes a lease. */
async function joined(stage: Stage, node: string, o: { leaseMs?: number; renew?: boolean } = {}): Promise<Node> {
  const [bumps, acks, filled] = [[], [], []] as [Node['bumps'], Node['acks'], Node['filled']]
  const { leaseMs = LEASE_MS } = o
  const tier = stage.open(stage.name, { leaseMs })
  const member = await tier.join!(node, {
    leaseMs,
    on: {
      bump: (message) => void bumps.push(message),
      ack: (...ack) => void acks.push(ack),
      filled: (...which) => void filled.push(which),
      lost: () => void made.lost++,
    },
  })
  const made: Node = { node, tier, member, bumps, acks, filled, lost: 0 }
  stage.defer(() => member.leave().catch(() => {}))
  if (o.renew !== false) await member.renew()
  return made
}

const peersOf = ({ peers }: Bump): string[] => peers.map(({ node }) => node).toSorted()
const heard = ({ bumps }: Node, { stamp }: Bump): BumpMessage | undefined => bumps.find((each) => each.stamp === stamp)

function memberCase(name: string, run: (stage: Stage) => Promise<void>, ...needs: string[]): Case<CacheStoreUnderTest> {
  return storeCase(name, run, 'members', ...needs)
}

/** Nodes that serve from their own memory hear of every invalidation, or their lease ends. */
export const memberCases: readonly Case<CacheStoreUnderTest>[] = [
  memberCase('a bump is heard by all other members, and not by its author', async (stage) => {
    const [author, ...others] = [await joined(stage, 'a'), await joined(stage, 'b'), await joined(stage, 'c')]
    const list = [bumped('t', keyOf(['user', 7])), { scope: 'umbrella', tags: ['😀'], soft: true }]
    const bump = await author.tier.bump(list, 'a')
    stage.equal(peersOf(bump), ['b', 'c'])
    for (const each of others) {
      await stage.until(`${each.node} has not heard`, () => heard(each, bump) !== undefined)
      const { from, list: told } = heard(each, bump)!
      stage.equal([from, plain(told)], ['a', plain(list)])
    }
    await author.member.renew()
    stage.equal(author.bumps, [], 'the author')
  }),

  memberCase('a put and an epoch are heard too', async (stage) => {
    const [author, other] = [await joined(stage, 'a'), await joined(stage, 'b')]
    const put = await author.tier.put(ref, stage.entry(ref), 'a')
    await stage.until('no put was heard', () => heard(other, put) !== undefined)
    const [told] = heard(other, put)!.list
    stage.equal([told!.scope, [...told!.tags], told!.soft ?? false], [SCOPE, [`\u0001k${ref.key}`], false])
    const epoch = await author.tier.bump([{ tags: [], epoch: true }], 'a')
    await stage.until('no epoch was heard', () => heard(other, epoch) !== undefined)
    stage.equal(heard(other, epoch)!.list[0]!.epoch, true)
    stage.equal([peersOf(put), peersOf(epoch)], [['b'], ['b']])
  }),

  memberCase('who is no member bumps, and the members hear', async (stage) => {
    const other = await joined(stage, 'b')
    const bump = await stage.tier.bump([bumped('t')], 'stranger')
    await stage.until('nobody has heard', () => heard(other, bump) !== undefined)
    stage.equal([peersOf(bump), heard(other, bump)!.from], [['b'], 'stranger'])
  }),

  memberCase('messages come in the order of their bumps, none is missing', async (stage) => {
    const [author, second, other] = [await joined(stage, 'a'), await joined(stage, 'b'), await joined(stage, 'c')]
    const stamps: string[] = []
    for (let i = 0; i < 20; i++) {
      const by = i % 2 === 0 ? author : second
      stamps.push((await by.tier.bump([bumped(`t${i}`)], by.node)).stamp)
    }
    await stage.until('some are missing', () => other.bumps.length >= stamps.length)
    stage.equal(
      other.bumps.map(({ stamp }) => stamp),
      stamps,
    )
    stage.equal(
      other.bumps.map(({ list }) => list[0]!.tags[0]),
      stamps.map((_, i) => `t${i}`),
    )
    const crowd = await stage.together(30, (i) => author.tier.bump([bumped(`u${i}`)], 'a'))
    await stage.until('some of a crowd are missing', () => crowd.every((bump) => heard(other, bump) !== undefined))
    const order = (node: Node): string[] => node.bumps.map(({ stamp }) => stamp).slice(-crowd.length)
    await stage.until('two hear them in one order', () => String(order(second)) === String(order(other)))
  }),

  memberCase('a stamp is its epoch and a number, which grows with each invalidation', async (stage) => {
    const { tier, bump, filled, isHit, load, entry, equal, ok } = stage
    let last = -1n
    async function grows(stamp: string): Promise<void> {
      const [epoch, number = ''] = stamp.split(':')
      equal(epoch, await tier.epoch(), stamp)
      ok(/^\d+$/.test(number) && BigInt(number) > last, `${stamp} behind ${last}`)
      last = BigInt(number)
    }
    for (let i = 0; i < 3; i++) {
      const { stamp } = await bump('t')
      await grows(stamp)
      equal((await isHit(refOf(['a', i]), await filled(refOf(['a', i])))).stamp, stamp, 'of an entry')
      const mine = await load(refOf('b'))
      equal((await tier.fill(mine.ref, mine.lease, entry(mine.ref), mine.node)).stamp, stamp, 'of a fill')
      await grows((await tier.put(mine.ref, entry(mine.ref), 'n0')).stamp)
      await bump(keyOf('b'))
      last++
    }
    const { stamp } = await tier.bump([{ tags: [], epoch: true }], 'n0')
    last = -1n
    await grows(stamp)
    await grows((await bump('t')).stamp)
  }),

  memberCase('an ack reaches the author', async (stage) => {
    const [author, other, third] = [await joined(stage, 'a'), await joined(stage, 'b'), await joined(stage, 'c')]
    const bump = await author.tier.bump([bumped('t')], 'a')
    await stage.until('nobody has heard', () => [other, third].every((each) => heard(each, bump) !== undefined))
    other.member.ack(heard(other, bump)!)
    await stage.until('no ack', () => author.acks.length > 0)
    stage.equal(author.acks[0], [bump.stamp, 'b'])
    third.member.ack(heard(third, bump)!)
    await stage.until('no second ack', () => author.acks.some(([, node]) => node === 'c'))
    for (const each of [other, third]) await each.member.renew()
    stage.equal([other.acks, third.acks], [[], []], 'who did not ask')
    stage.equal(
      author.acks.filter(([stamp]) => stamp !== bump.stamp),
      [],
      'of another bump',
    )
  }),

  memberCase('acks are cumulative: one of the last bump is enough', async (stage) => {
    const [author, other] = [await joined(stage, 'a'), await joined(stage, 'b')]
    const bumps = [await author.tier.bump([bumped('t')], 'a'), await author.tier.bump([bumped('u')], 'a')]
    await stage.until('the second was not heard', () => heard(other, bumps[1]!) !== undefined)
    for (const each of bumps) other.member.ack(heard(other, each)!)
    await stage.until('no ack of the last', () => author.acks.at(-1)?.[0] === bumps[1]!.stamp)
    const third = await author.tier.bump([bumped('v')], 'a')
    await stage.until('the third was not heard', () => heard(other, third) !== undefined)
    other.member.ack(heard(other, third)!)
    await stage.until('no ack of a later tick', () => author.acks.at(-1)?.[0] === third.stamp)
  }),

  memberCase('two authors are each told of their own', async (stage) => {
    const [first, second, other] = [await joined(stage, 'a'), await joined(stage, 'b'), await joined(stage, 'c')]
    const bumps = [await first.tier.bump([bumped('t')], 'a'), await second.tier.bump([bumped('u')], 'b')]
    await stage.until('both are heard', () => bumps.every((bump) => heard(other, bump) !== undefined))
    for (const each of other.bumps) other.member.ack(each)
    const acked = ({ acks }: Node, { stamp }: Bump): boolean => acks.some(([s, n]) => s === stamp && n === 'c')
    await stage.until('the first author', () => acked(first, bumps[0]!))
    await stage.until('the second author', () => acked(second, bumps[1]!))
  }),

  memberCase('who has joined holds no lease before it renews', async (stage) => {
    await joined(stage, 'b', { renew: false })
    stage.equal(peersOf(await stage.bump('t')), [])
  }),

  memberCase('who has left is no peer', async (stage) => {
    const [left, stays] = [await joined(stage, 'b'), await joined(stage, 'c')]
    await left.member.leave()
    stage.equal(peersOf(await stage.bump('t')), ['c'])
    await left.member.leave()
    const bump = await stage.bump('u')
    await stage.until('who stays hears', () => heard(stays, bump) !== undefined)
    stage.equal(heard(left, bump), undefined, 'who has left hears nothing more')
    stage.equal(left.lost, 0, 'leaving is no loss')
  }),

  memberCase('what is left of a lease is told, and counts from its renewal', async (stage) => {
    const { member } = await joined(stage, 'b')
    const left = async (): Promise<number> => {
      const [peer] = (await stage.bump('t')).peers
      stage.ok(peer !== undefined && peer.leaseLeftMs > 0 && peer.leaseLeftMs <= LEASE_MS, `${peer?.leaseLeftMs} ms`)
      return peer!.leaseLeftMs
    }
    const before = await left()
    await stage.until('a lease does not get less', async () => (await left()) <= before - 50)
    const late = await left()
    await member.renew()
    stage.ok((await left()) > late, 'a renewal is a whole lease')
  }),

  memberCase('a lease ends by itself, and is there again with the next renewal', async (stage) => {
    const { member } = await joined(stage, 'b', { leaseMs: 200 })
    await stage.until('a lease never ends', async () => peersOf(await stage.bump('t')).length === 0)
    // A machine may stand still between the two.
    await stage.until('a renewal is no lease', async () => {
      await member.renew()
      return peersOf(await stage.bump('t')).length === 1
    })
  }),

  memberCase('a renewal has been heard behind all messages before it', async (stage) => {
    const [author, other] = [await joined(stage, 'a'), await joined(stage, 'b')]
    for (let round = 0; round < 10; round++) {
      const bumps = await stage.together(20, (i) => author.tier.bump([bumped(`t${i}`)], 'a'))
      await other.member.renew()
      const missing = bumps.filter((bump) => heard(other, bump) === undefined)
      stage.equal(missing.length, 0, 'messages that come behind a renewal')
    }
  }),

  memberCase('every member of one epoch is told the same one', async (stage) => {
    const [one, two] = [await joined(stage, 'a'), await joined(stage, 'b')]
    const { epoch } = await one.member.renew()
    stage.ok(typeof epoch === 'string' && epoch !== '', 'an epoch')
    stage.equal((await two.member.renew()).epoch, epoch)
    stage.equal(await stage.tier.epoch(), epoch)
    await stage.bump('t')
    stage.equal((await one.member.renew()).epoch, epoch)
    await stage.tier.bump([{ tags: [], epoch: true }], 'n0')
    const { epoch: next } = await one.member.renew()
    stage.ok(next !== epoch, 'another epoch')
    stage.equal((await two.member.renew()).epoch, next)
  }),

  memberCase('normally nobody is unknown', async (stage) => {
    const { member, tier } = await joined(stage, 'b', { leaseMs: 300 })
    // A call that a busy server answers late may look like a clock that was set forward: then it does not count.
    await stage.until('somebody is unknown again and again', async () => {
      await allKnown(stage, tier)
      for (let i = 0; i < 3; i++) {
        await member.renew()
        const bump = await tier.bump([bumped('t')], 'n0')
        const put = await tier.put(ref, stage.entry(ref), 'n0')
        if (bump.unknownMs > 0 || put.unknownMs > 0) return false
      }
      return true
    })
  }),

  memberCase('names are apart: their members hear of their own', async (stage) => {
    const other = await joined(stage, 'b')
    const foreign = stage.open(`${stage.name.slice(0, -1)}x`)
    stage.equal(peersOf(await foreign.bump([bumped('t')], 'a')), [])
    await other.member.renew()
    stage.equal(other.bumps, [])
  }),

  memberCase(
    'who waits is woken by a fill, a refused one and an unlock',
    async (stage) => {
      const [, second] = [await joined(stage, 'a'), await joined(stage, 'b')]
      const ends = {
        async fill(of = refOf(['w', 'fill'])) {
          const mine = await stage.load(of, 'a')
          return { of, end: () => stage.fill(mine, stage.entry(of)) }
        },
        async 'a refused fill'(of = refOf(['w', 'refused'])) {
          const mine = await stage.load(of, 'a')
          return {
            of,
            async end() {
              await stage.bump('late')
              return stage.fill(mine, stage.entry(of, { tags: ['late'] }))
            },
          }
        },
        async unlock(of = refOf(['w', '😀\u0000'])) {
          const { lease } = await stage.load(of, 'a')
          return { of, end: () => stage.tier.unlock(of, lease, 'a') }
        },
      }
      for (const [what, prepare] of Object.entries(ends)) {
        const { of, end } = await prepare()
        const [answer] = await second.tier.read([of], { lockMs: LONG_MS, node: 'b', body: true })
        stage.equal(answer!.kind === 'miss' && answer!.lock, 'held')
        await end()
        await stage.until(`${what} wakes nobody`, () =>
          second.filled.some(([scope, key]) => scope === of.scope && key === of.key),
        )
      }
      stage.ok(second.filled.length <= Object.keys(ends).length + 1, 'woken once by each')
    },
    'wakes',
  ),

  memberCase(
    'a registry that was lost is known to be: a bump tells how long somebody may be silent',
    async (stage) => {
      const { member, tier } = await joined(stage, 'b', { leaseMs: 1_000 })
      await allKnown(stage, tier)
      for (const what of ['members', 'all'] as const) {
        await member.renew()
        await stage.under.lose!(stage.name, what)
        const { unknownMs } = await tier.bump([bumped('t')], 'n0')
        stage.ok(unknownMs > 0 && unknownMs <= 1_000, `${unknownMs} ms, ${what} lost`)
        // That one node is there again says nothing of the others.
        await member.renew()
        const next = await tier.bump([bumped('t')], 'n0')
        stage.ok(next.unknownMs <= unknownMs, 'it gets less')
        await allKnown(stage, tier)
      }
    },
    'lose',
  ),

  memberCase(
    'a renewal does not hide that the registry was lost',
    async (stage) => {
      const { member } = await joined(stage, 'b')
      await stage.bump('t')
      await stage.under.lose!(stage.name, 'members')
      await member.renew()
      stage.ok((await stage.bump('t')).unknownMs > 0, 'a member that was forgotten may serve still')
      stage.ok((await stage.bump('t')).unknownMs > 0, 'the second bump waits as well')
    },
    'lose',
  ),

  memberCase(
    'a bump behind the loss of the registry is heard by whom it does not know',
    async (stage) => {
      const other = await joined(stage, 'b')
      await stage.under.lose!(stage.name, 'members')
      const bump = await stage.bump('t')
      await stage.until('nobody was told', () => heard(other, bump) !== undefined || other.lost > 0)
    },
    'lose',
  ),

  memberCase(
    'a renewal tells the epoch of a state that was lost and made again',
    async (stage) => {
      const { member } = await joined(stage, 'b')
      const { epoch } = await member.renew()
      await stage.filled(ref)
      await stage.under.lose!(stage.name, 'state')
      const { epoch: next } = await member.renew()
      stage.ok(next !== epoch && next !== '', `${next} behind ${epoch}`)
      stage.equal((await member.renew()).epoch, next)
      stage.equal(await stage.tier.epoch(), next)
      await stage.isGone(ref)
    },
    'lose',
  ),

  memberCase(
    'who may have missed a message is told so, and may join again',
    async (stage) => {
      const other = await joined(stage, 'b')
      stage.equal(other.lost, 0)
      await stage.under.cut!()
      await stage.until('nobody is told', () => other.lost > 0)
      let again: Node | undefined
      await stage.until('nobody can join again', async () => {
        again = await joined(stage, 'b').catch(() => undefined)
        return again !== undefined
      })
      const bump = await stage.bump('t')
      stage.equal(peersOf(bump), ['b'])
      await stage.until('it does not hear', () => heard(again!, bump) !== undefined)
    },
    'cut',
  ),

  memberCase('a member whose lease is short hears as long as it lasts', async (stage) => {
    const other = await joined(stage, 'b', { leaseMs: SHORT_MS })
    await stage.until('it hears of none', async () => {
      await other.member.renew()
      const bump = await stage.bump('t')
      // With no live lease nothing need be told; with one it must.
      if (peersOf(bump).length === 0) return false
      await stage.until('a peer that is named has not heard', () => heard(other, bump) !== undefined)
      return true
    })
  }),
]

/** Waits until nobody can hold a lease that the store does not know of. */
function allKnown(stage: Stage, tier: CacheTier): Promise<void> {
  const isSo = async (): Promise<boolean> => (await tier.bump([bumped('t')], 'n0')).unknownMs === 0
  return stage.until('somebody is unknown for ever', isSo)
}

/** Absent and false are one. */
function plain(list: readonly { scope?: string; tags: readonly string[]; soft?: boolean; epoch?: boolean }[]): unknown {
  return list.map(({ scope, tags, soft = false, epoch = false }) => ({ scope, tags: [...tags], soft, epoch }))
}
