import type { Case } from '@keelson/kernel/conformance'
import type { DeliveryQuery } from '../../store.ts'
import { failed, given, LONG_MS, SCOPE, SHORT_MS, storeCase, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

async function listed({ store, pages }: Stage, query: Partial<DeliveryQuery>, limit = 2): Promise<string[]> {
  const rows = await pages<{ id: string }, string>(limit, (page) =>
    store.deliveries.list({ scope: SCOPE, ...query }, page),
  )
  return rows.map(({ id }) => id)
}

/** Deliveries as operators see and move them. */
export const deliveryCases: readonly Case<StoreUnderTest>[] = [
  storeCase('deliveries are listed newest first, page by page', async (stage) => {
    const { endpoint, deliver, equal } = stage
    const [to, other] = [await endpoint(), await endpoint()]
    const made: string[] = []
    for (let i = 0; i < 7; i++) made.push(await deliver(i % 2 === 0 ? to : other))
    await deliver(await endpoint({}, { scope: 'other' }))
    for (const limit of [1, 2, 7, 50]) equal(await listed(stage, {}, limit), made.toReversed(), `${limit} a page`)
    equal(await listed(stage, { scope: 'nobody' }), [])
  }),

  storeCase('those of one event are listed newest first too, page by page', async (stage) => {
    const { endpoint, publish, route, equal } = stage
    for (let i = 0; i < 5; i++) await endpoint()
    await publish({ id: 'ev_many' })
    const made = await route()
    equal(made.length, 5)
    const newestFirst = made.toSorted().toReversed()
    for (const limit of [1, 2, 50])
      equal(await listed(stage, { event: 'ev_many' }, limit), newestFirst, `${limit} a page`)
  }),

  storeCase('all that is asked for must hold', async (stage) => {
    const { endpoint, ended, deliver, elapse, delivery, claim, equal } = stage
    const [a, b] = [await endpoint(), await endpoint()]
    const won = await ended(a, {}, { type: 'order.paid', id: 'ev_1' })
    await elapse(5)
    const dead = await ended(a, given(), { type: 'order.sent' })
    await elapse(5)
    const gone = await ended(b, given(), { type: 'order.paid' })
    await elapse(5)
    const flying = await deliver(b, { type: 'order.paid' })
    equal((await claim()).length, 1)
    await elapse(5)
    const waits = await deliver(a, { type: 'order.sent' })
    const queries: [Partial<DeliveryQuery>, string[]][] = [
      [{ endpoint: a.id }, [waits, dead, won]],
      [{ endpoint: b.id, status: 'dead' }, [gone]],
      [{ event: 'ev_1' }, [won]],
      [{ event: 'ev_none' }, []],
      [{ type: 'order.paid' }, [flying, gone, won]],
      [{ type: 'order' }, []],
      [{ status: 'pending' }, [waits]],
      [{ status: 'delivering' }, [flying]],
      [{ status: 'succeeded' }, [won]],
      [{ status: 'cancelled' }, []],
      [{ status: 'dead' }, [gone, dead]],
      [{ endpoint: a.id, type: 'order.paid', status: 'succeeded', event: 'ev_1' }, [won]],
      [{ endpoint: b.id, type: 'order.sent' }, []],
      [{ endpoint: 'ep_none' }, []],
    ]
    for (const [query, ids] of queries) {
      equal(await listed(stage, query), ids, JSON.stringify(query))
      equal(await listed(stage, query, 1), ids, JSON.stringify(query))
    }
    const { createdAtMs: fromMs } = await delivery(dead)
    const { createdAtMs: toMs } = await delivery(flying)
    equal(await listed(stage, { fromMs, toMs }), [gone, dead], 'from is in, to is not')
    equal(await listed(stage, { fromMs: toMs }), [waits, flying])
    equal(await listed(stage, { toMs: fromMs }), [won])
    equal(await listed(stage, { fromMs, toMs, endpoint: b.id }), [gone])
  }),

  storeCase('a page does not move when newer ones come', async (stage) => {
    const { store, endpoint, deliver, equal } = stage
    const to = await endpoint()
    const [a, b, c] = [await deliver(to), await deliver(to), await deliver(to)]
    const first = await store.deliveries.list({ scope: SCOPE }, { limit: 2 })
    equal(
      first.rows.map(({ id }) => id),
      [c, b],
    )
    await deliver(to)
    const rest = await store.deliveries.list({ scope: SCOPE }, { after: first.next!, limit: 2 })
    equal(
      rest.rows.map(({ id }) => id),
      [a],
    )
  }),

  storeCase('attempts are read by fence, page by page', async (stage) => {
    const { store, endpoint, deliver, claimOne, settled, equal, ok } = stage
    const id = await deliver(await endpoint())
    for (let i = 0; i < 5; i++) await settled(await claimOne(), failed(0))
    const all = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
    equal(
      all.map(({ number }) => number),
      [1, 2, 3, 4, 5],
    )
    for (const [i, { fence }] of all.entries()) if (i > 0) ok(fence > all[i - 1]!.fence, 'ascending')
    const first = (await store.deliveries.attempts(SCOPE, id, { limit: 2 }))!
    const second = (await store.deliveries.attempts(SCOPE, id, { after: first[1]!.fence, limit: 2 }))!
    const third = (await store.deliveries.attempts(SCOPE, id, { after: second[1]!.fence, limit: 2 }))!
    equal([...first, ...second, ...third], all)
    equal(await store.deliveries.attempts(SCOPE, 'dl_none', { limit: 2 }), null)
  }),

  storeCase('a retry is due now with nothing spent, whatever came of it', async (stage) => {
    const { store, peer, endpoint, ended, claimOne, settled, delivery, equal } = stage
    for (const how of [given(), {}, failed(LONG_MS)]) {
      const id = await ended(await endpoint(), how)
      const row = await peer.deliveries.retry(SCOPE, id)
      equal([row!.status, row!.reason, row!.attempts, row!.finishedAtMs], ['pending', null, 1, null])
      equal(row, await delivery(id))
      const claim = await claimOne()
      equal([claim.token.delivery, claim.attempts, claim.spent], [id, 1, 0])
      await settled(claim)
      const rows = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
      equal(
        rows.map(({ number }) => number),
        [1, 2],
      )
    }
  }),

  storeCase('what was cancelled goes again by a retry', async (stage) => {
    const { store, endpoint, deliver, claimIds, equal } = stage
    const id = await deliver(await endpoint())
    await store.deliveries.cancel({ scope: SCOPE, id }, 1)
    equal((await store.deliveries.retry(SCOPE, id))!.status, 'pending')
    equal(await claimIds(), [id])
  }),

  storeCase('a retry leaves what is leased', async (stage) => {
    const { store, endpoint, deliver, claimOne, claimIds, settled, delivery, equal } = stage
    const id = await deliver(await endpoint())
    await settled(await claimOne(), failed(0))
    const claim = await claimOne()
    equal((await store.deliveries.retry(SCOPE, id))!.status, 'delivering')
    equal(await claimIds(), [])
    await settled(claim, failed(0))
    equal((await claimOne()).spent, 2, 'its budget too')
    equal((await delivery(id)).attempts, 2)
  }),

  storeCase('one that goes again waits behind the open ones of its key', async (stage) => {
    const { store, endpoint, ended, deliver, claimOne, claimIds, settled, equal } = stage
    const to = await endpoint()
    const first = await ended(to, given(), { key: 'k' })
    const second = await deliver(to, { key: 'k' })
    equal((await store.deliveries.retry(SCOPE, first))!.nextAttemptAtMs, null)
    const claim = await claimOne()
    equal(claim.token.delivery, second)
    equal(await claimIds(), [])
    await settled(claim)
    equal(await claimIds(), [first])
  }),

  storeCase('a retry of one that waits for its key waits on', async (stage) => {
    const { store, endpoint, deliver, claimIds, equal } = stage
    const to = await endpoint()
    const [first, second] = [await deliver(to, { key: 'k' }), await deliver(to, { key: 'k' })]
    equal((await store.deliveries.retry(SCOPE, second))!.nextAttemptAtMs, null)
    equal([await claimIds(), await claimIds()], [[first], []])
  }),

  storeCase('cancelling ends what is open: one, those of an endpoint, or all', async (stage) => {
    const { store, endpoint, deliver, ended, delivery, claimIds, equal } = stage
    const [a, b] = [await endpoint(), await endpoint()]
    const theirs = await deliver(await endpoint({}, { scope: 'other' }))
    const done = await ended(a)
    const one = await deliver(a)
    const ofA = [await deliver(a), await deliver(a)]
    const ofB = await deliver(b)
    equal(await store.deliveries.cancel({ scope: SCOPE, id: one }, 10), 1)
    const row = await delivery(one)
    equal([row.status, row.reason, row.nextAttemptAtMs, row.finishedAtMs === null], ['cancelled', null, null, false])
    equal(await store.deliveries.cancel({ scope: SCOPE, id: one }, 10), 0)
    equal(await store.deliveries.cancel({ scope: SCOPE, id: done }, 10), 0, 'it is final')
    equal(await store.deliveries.cancel({ scope: SCOPE, id: ofB, endpoint: a.id }, 10), 0, 'both must hold')
    equal(await store.deliveries.cancel({ scope: SCOPE, endpoint: a.id }, 10), 2)
    for (const id of ofA) equal((await delivery(id)).status, 'cancelled')
    equal((await delivery(done)).status, 'succeeded')
    equal((await delivery(ofB)).status, 'pending')
    equal(await store.deliveries.cancel({ scope: SCOPE }, 10), 1)
    equal((await delivery(theirs, 'other')).status, 'delivering')
    equal(await claimIds(), [])
  }),

  storeCase('at most so many are cancelled as were asked for', async (stage) => {
    const { store, endpoint, deliver, equal } = stage
    const to = await endpoint()
    for (let i = 0; i < 5; i++) await deliver(to)
    const counts = []
    for (let i = 0; i < 4; i++) counts.push(await store.deliveries.cancel({ scope: SCOPE, endpoint: to.id }, 2))
    equal(counts, [2, 2, 1, 0])
  }),

  storeCase('what is leased can be cancelled: its slot is free, and its settle is stale', async (stage) => {
    const { store, endpoint, deliver, claimOne, claimIds, settle, seen, delivery, equal } = stage
    const to = await endpoint()
    const id = await deliver(to)
    const next = await deliver(to)
    const claim = await claimOne()
    equal(await store.deliveries.cancel({ scope: SCOPE, id }, 10), 1)
    equal((await seen(to)).health.inFlight, 0)
    equal(await claimIds(), [next])
    for (const how of [{}, failed(0), given()]) equal((await settle(claim, how)).kind, 'stale')
    equal([(await delivery(id)).status, (await delivery(id)).attempts], ['cancelled', 0])
    equal((await seen(to)).health.inFlight, 1)
    const rows = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
    equal(
      rows.map(({ outcome }) => outcome),
      ['stale'],
    )
  }),

  storeCase('a cancel lets the next of a key go', async (stage) => {
    const { store, endpoint, widen, deliver, claimOne, claimIds, equal } = stage
    const to = await endpoint()
    await widen(to, 3)
    const made = []
    for (let i = 0; i < 4; i++) made.push(await deliver(to, { key: 'k' }))
    const [a, b, c, d] = made
    await store.deliveries.cancel({ scope: SCOPE, id: b! }, 10)
    equal((await claimOne()).token.delivery, a)
    equal(await claimIds(), [], 'one that waited was cancelled: the first is still open')
    await store.deliveries.cancel({ scope: SCOPE, id: a! }, 10)
    equal(await claimIds(), [c])
    await store.deliveries.cancel({ scope: SCOPE, id: c! }, 10)
    equal(await claimIds(), [d])
  }),

  storeCase('what is redriven goes again with a fresh budget', async (stage) => {
    const { store, endpoint, ended, elapse, claimOne, settled, delivery, equal } = stage
    const to = await endpoint()
    const id = await ended(to, given())
    await elapse(SHORT_MS)
    await store.deliveries.startRedrive({ id: 'r1', scope: SCOPE, status: 'dead', perSecond: 50 })
    equal(await store.deliveries.redriveStatus(SCOPE, 'r1'), { state: 'running', moved: 0 })
    equal(await store.deliveries.redriveStatus('other', 'r1'), null)
    equal(await store.deliveries.redriveStatus(SCOPE, 'r2'), null)
    equal(await store.deliveries.redriveStep(10), 1)
    const row = await delivery(id)
    equal([row.status, row.reason, row.attempts, row.finishedAtMs], ['pending', null, 1, null])
    const claim = await claimOne()
    equal([claim.token.delivery, claim.attempts, claim.spent], [id, 1, 0])
    equal((await stage.seen(to)).health.redriven, 1)
    await settled(claim)
    equal((await stage.seen(to)).health.redriven, 0)
  }),

  storeCase('a redrive moves what was final when it began, and all that it names', async (stage) => {
    const { store, endpoint, ended, deliver, elapse, delivery, claim, until, equal } = stage
    const [a, b] = [await endpoint(), await endpoint()]
    const theirs = await ended(await endpoint({}, { scope: 'other' }), given())
    const early = await ended(a, given())
    await elapse(5)
    const mine = [await ended(a, given()), await ended(a, given())]
    const elsewhere = await ended(b, given())
    const won = await ended(a)
    await elapse(5)
    const late = await ended(a, given())
    const other = await ended(b, given())
    const cancelled = await deliver(a)
    await store.deliveries.cancel({ scope: SCOPE, id: cancelled }, 1)
    const { createdAtMs: fromMs } = await delivery(mine[0]!)
    const { createdAtMs: toMs } = await delivery(late)
    await elapse(5)
    const q = { id: 'r1', scope: SCOPE, endpoint: a.id, fromMs, toMs, status: 'dead', perSecond: 100_000 } as const
    await store.deliveries.startRedrive(q)
    const done = (id: string) =>
      until('the redrive is done', async () => {
        await store.deliveries.redriveStep(100)
        const status = await store.deliveries.redriveStatus(SCOPE, id)
        return status?.state === 'done' && status
      })
    equal(await done('r1'), { state: 'done', moved: 2 })
    for (const id of mine) equal((await delivery(id)).status, 'pending')
    for (const id of [early, elsewhere, late, other]) equal((await delivery(id)).status, 'dead')
    equal([(await delivery(won)).status, (await delivery(cancelled)).status], ['succeeded', 'cancelled'])
    equal((await delivery(theirs, 'other')).status, 'dead')
    await store.deliveries.startRedrive({ id: 'r2', scope: SCOPE, status: 'cancelled', perSecond: 100_000 })
    equal(await done('r2'), { state: 'done', moved: 1 })
    equal((await delivery(cancelled)).status, 'pending')
    equal((await claim()).length, 1)
    equal(await store.deliveries.redriveStep(100), 0)
  }),

  storeCase('what ends again after its redrive stays', async (stage) => {
    const { store, endpoint, ended, elapse, claimOne, settled, delivery, until, equal } = stage
    const to = await endpoint()
    const made = [await ended(to, given()), await ended(to, given()), await ended(to, given())]
    await elapse(10)
    await store.deliveries.startRedrive({ id: 'r1', scope: SCOPE, status: 'dead', perSecond: 100 })
    await elapse(SHORT_MS)
    let moved = await store.deliveries.redriveStep(1)
    equal(moved, 1)
    await settled(await claimOne(), given())
    const status = await until('all are moved', async () => {
      moved += await store.deliveries.redriveStep(1)
      const now = await store.deliveries.redriveStatus(SCOPE, 'r1')
      return now?.state === 'done' && now
    })
    equal([status.moved, moved], [3, 3])
    const states = await Promise.all(made.map(async (id) => (await delivery(id)).status))
    equal(states.toSorted(), ['dead', 'pending', 'pending'])
  }),

  storeCase('a redrive keeps to its pace', async (stage) => {
    const { store, peer, endpoint, ended, elapse, now, until, equal, ok } = stage
    const to = await endpoint()
    for (let i = 0; i < 4; i++) await ended(to, given())
    await elapse(5)
    const beganMs = await now()
    await store.deliveries.startRedrive({ id: 'r1', scope: SCOPE, status: 'dead', perSecond: 20 })
    let moved = 0
    await until('it is done', async () => {
      moved += await store.deliveries.redriveStep(100)
      moved += await peer.deliveries.redriveStep(100)
      const passedMs = (await now()) - beganMs
      ok(moved <= 1 + passedMs / 50, `${moved} in ${passedMs} ms`)
      return moved === 4
    })
    await until('it says so', async () => {
      await store.deliveries.redriveStep(100)
      return (await store.deliveries.redriveStatus(SCOPE, 'r1'))?.state === 'done'
    })
    equal((await store.deliveries.redriveStatus(SCOPE, 'r1'))!.moved, 4)
  }),

  storeCase('a redrive leaves what is erased or has no endpoint', async (stage) => {
    const { store, endpoint, ended, elapse, until, equal } = stage
    const [to, gone] = [await endpoint(), await endpoint()]
    await ended(to, given(), { subject: 'ada' })
    await ended(gone, given())
    await store.events.erase(SCOPE, 'ada', 10)
    await store.endpoints.remove(SCOPE, gone.id)
    await elapse(5)
    await store.deliveries.startRedrive({ id: 'r1', scope: SCOPE, status: 'dead', perSecond: 100 })
    await until('it is done', async () => {
      equal(await store.deliveries.redriveStep(100), 0)
      return (await store.deliveries.redriveStatus(SCOPE, 'r1'))?.state === 'done'
    })
  }),

  storeCase('a delivery of another scope does not exist', async (stage) => {
    const { store, endpoint, deliver, delivery, equal } = stage
    await endpoint({}, { scope: 'other' })
    const id = await deliver(await endpoint())
    equal(await store.deliveries.get('other', id), null)
    equal(await store.deliveries.get(SCOPE, 'dl_none'), null)
    equal(await store.deliveries.attempts('other', id, { limit: 10 }), null)
    equal(await store.deliveries.retry('other', id), null)
    equal(await store.deliveries.retry(SCOPE, 'dl_none'), null)
    equal(await store.deliveries.cancel({ scope: 'other', id }, 10), 0)
    equal(await store.deliveries.cancel({ scope: 'other' }, 10), 0)
    equal((await delivery(id)).status, 'pending')
    equal((await store.deliveries.list({ scope: 'other' }, { limit: 10 })).rows, [])
  }),
]
