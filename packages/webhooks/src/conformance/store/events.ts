import type { Case } from '@keelson/kernel/conformance'
import { failed, laneRules, LONG_MS, newEvent, SCOPE, SHORT_MS, storeCase } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** Events of persons, and of requests. */
export const eventCases: readonly Case<StoreUnderTest>[] = [
  storeCase('events of a subject are read in the order of publishing, page by page', async (stage) => {
    const { store, publish, elapse, equal } = stage
    const mine: string[] = []
    for (let i = 0; i < 5; i++) {
      mine.push((await publish({ subject: 'ada', id: `ev_${9 - i}` }))[0]!.id)
      await elapse(5)
      await publish({ subject: 'bob' }, {}, { scope: 'other', subject: 'ada' })
    }
    const read = await stage.pagesById(2, (page) => store.events.bySubject(SCOPE, 'ada', page))
    equal(
      read.map(({ id }) => id),
      mine,
    )
    equal(await store.events.bySubject(SCOPE, 'eve', { limit: 2 }), [])
  }),

  storeCase('events of one call are read in their order too', async ({ store, publish, equal }) => {
    const events = await publish(...['c', 'a', 'b'].map((id) => ({ id: `ev_${id}`, subject: 'ada' })))
    const first = await store.events.bySubject(SCOPE, 'ada', { limit: 2 })
    const rest = await store.events.bySubject(SCOPE, 'ada', { after: first[1]!.id, limit: 2 })
    equal(
      [...first, ...rest].map(({ id }) => id),
      events.map(({ id }) => id),
    )
  }),

  storeCase('an erased event has no bytes, its answers are gone, its deliveries cancelled', async (stage) => {
    const { store, endpoint, publish, route, claimOne, settled, settle, delivery, seen, claimIds, equal } = stage
    const [a, b] = [await endpoint(), await endpoint()]
    const [event] = await publish({ subject: 'ada', body: Buffer.from('secret') })
    const made = await route()
    const [first, second] = await stage.claim()
    equal(made.length, 2)
    await settled(first!, { ...failed(0), attempt: { ...failed(0).attempt!, error: 'secret' } })
    const waiting = await claimOne()
    await settled(waiting, failed(LONG_MS))
    equal(await store.events.erase(SCOPE, 'ada', 10), { events: 1, cancelled: 2 })
    const kept = (await store.events.get(SCOPE, event!.id))!
    equal([kept.body.length, kept.erased, kept.id], [0, true, event!.id])
    for (const id of made) {
      const row = await delivery(id)
      equal([row.status, row.reason, row.finishedAtMs === null], ['cancelled', 'erased', false])
      const rows = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
      for (const { response, error } of rows) equal([response, error], [null, null])
    }
    for (const to of [a, b]) equal((await seen(to)).health.inFlight, 0)
    equal((await settle(second!)).kind, 'stale')
    const late = (await store.deliveries.attempts(SCOPE, second!.token.delivery, { limit: 10 }))!
    equal(
      late.map(({ outcome, response }) => [outcome, response]),
      [['stale', null]],
    )
    for (const id of made) equal(await store.deliveries.retry(SCOPE, id), null, 'there is nothing to send')
    equal(await claimIds(), [])
    equal(await store.events.erase(SCOPE, 'ada', 10), { events: 0, cancelled: 0 }, 'once')
  }),

  storeCase('an event that was erased before it was routed goes to nobody', async (stage) => {
    const { store, endpoint, publish, equal } = stage
    await endpoint()
    await store.registerHandlers([{ name: 'mail', types: ['**'], scope: null, rules: laneRules() }])
    const [held, waits] = await publish({ subject: 'ada' }, { subject: 'ada' })
    const [taken] = await store.takeUnrouted(1, SHORT_MS)
    equal(taken!.event.id, held!.id)
    equal((await store.events.erase(SCOPE, 'ada', 10)).events, 2)
    const { id } = (await store.audience(SCOPE)).endpoints[0]!
    const deliveries = [id, 'fn:mail'].map((endpoint, i) => ({ id: `dl_${i}`, endpoint }))
    const matched = { revision: taken!.revision, deliveries }
    await store.route([{ scope: SCOPE, event: held!.id, token: taken!.token, matched }])
    await stage.elapse(2 * SHORT_MS)
    await stage.route()
    equal(await stage.claimIds(), [])
    equal(await store.endpoints.get(SCOPE, 'fn:mail'), null, 'a lane is made by its first delivery')
    equal((await store.events.get(SCOPE, waits!.id))!.erased, true)
    equal((await store.inspect()).counts.unrouted, 0)
    equal(await store.nextDue({ handlers: [] }), null)
  }),

  storeCase('only so many events are erased as were asked for, and only of this subject', async (stage) => {
    const { store, publish, endpoint, route, equal } = stage
    await endpoint()
    const mine = await publish({ subject: 'ada' }, { subject: 'ada' }, { subject: 'ada' })
    const others = await publish({ subject: 'bob' }, {}, { scope: 'other', subject: 'ada' })
    await route()
    equal(await store.events.erase(SCOPE, 'ada', 2), { events: 2, cancelled: 2 })
    equal(await store.events.erase(SCOPE, 'ada', 2), { events: 1, cancelled: 1 })
    for (const { scope, id } of mine) equal((await store.events.get(scope, id))!.erased, true)
    for (const { scope, id } of others) {
      const { erased, body } = (await store.events.get(scope, id))!
      equal([erased, body.length > 0], [false, true])
    }
  }),

  storeCase('the id of an erased event stays known', async ({ store, equal }) => {
    const event = newEvent({ subject: 'ada' })
    await store.publish([event])
    await store.events.erase(SCOPE, 'ada', 10)
    equal(await store.publish([event, { ...event, digest: 'f'.repeat(64) }]), ['duplicate', 'conflict'])
    equal((await store.events.get(SCOPE, event.id))!.body.length, 0)
  }),

  storeCase('erasing lets the next of a key go', async (stage) => {
    const { store, endpoint, deliver, claimIds, equal } = stage
    const to = await endpoint()
    await deliver(to, { key: 'k', subject: 'ada' })
    const next = await deliver(to, { key: 'k' })
    await store.events.erase(SCOPE, 'ada', 10)
    equal(await claimIds(), [next])
  }),

  storeCase('a trace has the events and attempts of its correlation id', async (stage) => {
    const { store, endpoint, deliver, claimOne, settled, equal, ok } = stage
    const to = await endpoint()
    const beforeMs = await stage.now()
    await deliver(to, { correlationId: 'c1', type: 'order.paid', id: 'ev_traced' })
    await settled(await claimOne(), failed(0))
    await settled(await claimOne())
    await deliver(to, { correlationId: 'c2' })
    const rows = await store.events.trace('c1')
    equal(rows.map(({ kind }) => kind).toSorted(), ['attempt', 'attempt', 'event'])
    for (const { atMs, text } of rows) {
      ok(atMs >= beforeMs - LONG_MS, 'by its own clock')
      ok(text.includes('order.paid'), text)
      ok(text.includes('ev_traced'), text)
    }
    for (const { text } of rows.filter(({ kind }) => kind === 'attempt')) ok(text.includes(to.id), text)
    equal(await store.events.trace('c3'), [])
  }),
]
