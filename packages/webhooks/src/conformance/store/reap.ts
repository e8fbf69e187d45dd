import type { Case } from '@keelson/kernel/conformance'
import { failed, LONG_MS, released, SCOPE, SHORT_MS, storeCase } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const POISON = 5

/** Leases whose process is gone. */
export const reapCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a lease that is over is ended: pending again, nothing spent, its slot free', async (stage) => {
    const { store, endpoint, deliver, claimOne, reaped, delivery, seen, now, equal, ok } = stage
    const to = await endpoint({ leaseMs: SHORT_MS })
    const [event] = await stage.publish({ endpoint: to.id, type: 'order.paid' })
    const [id] = await stage.route()
    const beforeMs = await now()
    const claim = await claimOne()
    equal(await reaped(1), [
      { scope: SCOPE, endpoint: to.id, delivery: id, event: event!.id, type: 'order.paid', dead: false },
    ])
    ok((await now()) >= beforeMs + SHORT_MS, 'too early')
    const row = await delivery(id!)
    equal([row.status, row.attempts, row.reason], ['pending', 0, null])
    equal((await seen(to)).health.inFlight, 0)
    const { atMs, ...attempt } = (await store.deliveries.attempts(SCOPE, id!, { limit: 10 }))![0]!
    equal(attempt, {
      fence: claim.token.fence,
      number: 1,
      durationMs: SHORT_MS,
      outcome: 'crashed',
      status: null,
      remoteAddress: null,
      response: null,
      error: null,
    })
    ok(atMs >= beforeMs && atMs <= (await now()), 'when it was claimed')
    const again = await claimOne()
    equal([again.token.delivery, again.attempts, again.spent], [id, 0, 0])
    ok(again.token.fence > claim.token.fence)
    await deliver(to)
    equal(await stage.claimIds(), [], 'one slot, not two')
  }),

  storeCase('what a crash has left goes before what became due behind it', async (stage) => {
    const { endpoint, deliver, claimOne, elapse, reaped, equal } = stage
    const to = await endpoint({ leaseMs: SHORT_MS })
    const id = await deliver(to)
    const claim = await claimOne()
    equal(claim.token.delivery, id)
    await elapse(5)
    await deliver(to)
    await deliver(to)
    await reaped(1)
    equal((await claimOne()).token.delivery, id)
  }),

  storeCase('a lease that lasts is left', async (stage) => {
    const { store, endpoint, deliver, claimOne, equal } = stage
    const long = await endpoint()
    await deliver(long)
    await claimOne()
    await deliver(await endpoint({ leaseMs: SHORT_MS }))
    await claimOne()
    await stage.reaped(1)
    equal(await store.reap(100), [])
    equal((await stage.seen(long)).health.inFlight, 1)
  }),

  storeCase('what was settled, cancelled or released is not reaped', async (stage) => {
    const { store, endpoint, deliver, claim, settled, elapse, equal } = stage
    const lanes = []
    for (let i = 0; i < 4; i++) lanes.push(await endpoint({ leaseMs: SHORT_MS }))
    for (const to of lanes) await deliver(to)
    const [a, b, c, d] = await claim()
    await settled(a!)
    await settled(b!, failed(LONG_MS))
    await settled(c!, released(LONG_MS))
    await store.deliveries.cancel({ scope: SCOPE, id: d!.token.delivery }, 10)
    await elapse(2 * SHORT_MS)
    equal(await store.reap(100), [])
    for (const to of lanes) equal((await stage.seen(to)).health.inFlight, 0)
  }),

  storeCase('at most so many are reaped as were asked for', async (stage) => {
    const { store, endpoint, deliver, claim, elapse, until, equal } = stage
    for (let i = 0; i < 5; i++) await deliver(await endpoint({ leaseMs: SHORT_MS }))
    equal((await claim()).length, 5)
    await elapse(SHORT_MS)
    const counts: number[] = []
    await until('all are reaped', async () => {
      const { length } = await store.reap(2)
      if (length > 0) counts.push(length)
      return counts.reduce((sum, count) => sum + count, 0) === 5
    })
    equal(Math.max(...counts), 2)
  }),

  storeCase('of many reapers at once one ends a lease', async (stage) => {
    const { store, peer, endpoint, deliver, claimOne, elapse, together, seen, delivery, equal } = stage
    const to = await endpoint({ leaseMs: SHORT_MS })
    const id = await deliver(to)
    await claimOne()
    await elapse(2 * SHORT_MS)
    const all = (await together(20, (i) => (i % 2 === 0 ? store : peer).reap(10))).flat()
    equal(all.length <= 1, true, 'once')
    if (all.length === 0) await stage.reaped(1)
    equal([(await seen(to)).health.inFlight, (await delivery(id)).status], [0, 'pending'])
    equal((await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!.length, 1)
  }),

  storeCase('the fifth lease in a row that ends by itself ends its delivery as poison', async (stage) => {
    const { store, endpoint, deliver, claimOne, reaped, delivery, seen, claimIds, equal } = stage
    const to = await endpoint({ leaseMs: SHORT_MS })
    const id = await deliver(to)
    const dead: boolean[] = []
    for (let i = 0; i < POISON; i++) {
      await claimOne()
      dead.push((await reaped(1))[0]!.dead)
    }
    equal(dead, [false, false, false, false, true])
    const row = await delivery(id)
    equal([row.status, row.reason, row.attempts, row.finishedAtMs === null], ['dead', 'poison', 0, false])
    equal((await seen(to)).health.inFlight, 0)
    equal(await claimIds(), [])
    equal((await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!.length, POISON)
  }),

  storeCase('an attempt between them ends the row of crashes, and so does a retry by hand', async (stage) => {
    const { store, endpoint, deliver, claimOne, settled, reaped, delivery, equal } = stage
    const id = await deliver(await endpoint({ leaseMs: SHORT_MS }))
    const crash = async (times: number) => {
      for (let i = 0; i < times; i++) {
        await claimOne()
        equal((await reaped(1))[0]!.dead, false)
      }
    }
    await crash(POISON - 1)
    await settled(await claimOne(), failed(0))
    await crash(POISON - 1)
    await store.deliveries.retry(SCOPE, id)
    await crash(POISON - 1)
    equal((await delivery(id)).status, 'pending')
  }),

  storeCase('poison lets the next of its key go', async (stage) => {
    const { endpoint, deliver, claimOne, claimIds, reaped, equal } = stage
    const to = await endpoint({ leaseMs: SHORT_MS })
    await deliver(to, { key: 'k' })
    const next = await deliver(to, { key: 'k' })
    for (let i = 0; i < POISON; i++) {
      await claimOne()
      await reaped(1)
    }
    equal(await claimIds(), [next])
  }),
]
