import type { Case } from '@keelson/kernel/conformance'
import { newEvent, nextId, SCOPE } from '../stage.ts'
import type { TransactionalStoreUnderTest } from '../store-under-test.ts'
import { runAll, txCase } from './tx-stage.ts'

/** Events that commit with business rows, or not at all. */
export const withinCases: readonly Case<TransactionalStoreUnderTest>[] = [
  txCase('an event commits with the row', async (stage) => {
    const { store, db, row, rows, endpoint, route, claimOne, statements, equal } = stage
    equal(store.transactional, true)
    await endpoint()
    const body = new Uint8Array(256).map((_, i) => i)
    for (const how of ['publish', 'statements'] as const) {
      const event = newEvent({ body, key: 'k', correlationId: 'c', subject: 's', channel: 'x', traceparent: 't' })
      await db.transaction(async (tx) => {
        await row(tx, how)
        if (how === 'publish') equal(await store.publish([event], tx), ['fresh'])
        else await runAll(tx, statements(event))
      })
      equal((await route()).length, 1, how)
      const claim = await claimOne()
      equal([claim.event.id, [...claim.event.body], claim.event.key], [event.id, [...body], 'k'], how)
      await stage.settled(claim)
    }
    equal(await rows(), ['publish', 'statements'])
  }),

  txCase('a rollback leaves nothing', async (stage) => {
    const { store, row, rows, undone, endpoint, route, statements, equal } = stage
    await endpoint()
    const [first, second] = [newEvent({ correlationId: 'c', subject: 's' }), newEvent({ subject: 's' })]
    await undone(async (tx) => {
      await row(tx, 'a')
      equal(await store.publish([first], tx), ['fresh'])
      await runAll(tx, statements(second))
    })
    equal(await rows(), [])
    for (const { id } of [first, second]) equal(await store.events.get(SCOPE, id), null)
    equal([await route(), await store.events.trace('c')], [[], []])
    equal(await store.events.bySubject(SCOPE, 's', { limit: 9 }), [])
    equal((await store.inspect()).counts.unrouted, 0)
    equal(await store.publish([first, second]), ['fresh', 'fresh'], 'their ids are free')
  }),

  txCase(
    'nobody sees an event before its commit',
    async (stage) => {
      const { store, peer, open, endpoint, equal } = stage
      await endpoint()
      const event = newEvent()
      const { commit } = await open((tx) => store.publish([event], tx))
      equal(await peer.events.get(SCOPE, event.id), null)
      equal(await peer.takeUnrouted(10, 1_000), [])
      await commit()
      equal((await stage.route()).length, 1)
    },
    'parallel',
  ),

  txCase(
    'events of a transaction that commits late are late, and none is skipped',
    async (stage) => {
      const { store, open, db, endpoint, route, pages, equal } = stage
      await endpoint()
      const early = [newEvent(), newEvent()]
      const slow = await open((tx) => store.publish(early, tx))
      const quick: string[] = []
      for (let i = 0; i < 3; i++) {
        const event = newEvent()
        quick.push(event.id)
        await db.transaction((tx) => store.publish([event], tx))
        await route()
      }
      await slow.commit()
      const last = newEvent()
      await store.publish([last])
      await route()
      const rows = await pages<{ event: string }, string>(3, (page) => store.deliveries.list({ scope: SCOPE }, page))
      equal(rows.map(({ event }) => event).toSorted(), [...early.map(({ id }) => id), ...quick, last.id].toSorted())
    },
    'parallel',
  ),

  txCase('events of one transaction go in its order', async (stage) => {
    const { store, db, statements, equal } = stage
    const events = [
      newEvent({ id: 'ev_c' }),
      newEvent({ id: 'ev_a' }),
      newEvent({ id: 'ev_d' }),
      newEvent({ id: 'ev_b' }),
    ]
    await db.transaction(async (tx) => {
      await store.publish(events.slice(0, 2), tx)
      await runAll(tx, statements(events[2]!, events[3]!))
    })
    equal(
      (await store.takeUnrouted(10, 1_000)).map(({ event }) => event.id),
      events.map(({ id }) => id),
    )
  }),

  txCase('publishing inside a transaction answers what it would outside', async (stage) => {
    const { store, db, equal } = stage
    const known = newEvent()
    const other = newEvent({ id: known.id, body: Buffer.from('other') })
    await store.publish([known])
    const fresh = newEvent()
    await db.transaction(async (tx) => {
      equal(await store.publish([known, other, fresh, fresh], tx), ['duplicate', 'conflict', 'fresh', 'duplicate'])
      equal(await store.publish([fresh], tx), ['duplicate'], 'of its own')
    })
    equal([...(await store.events.get(SCOPE, known.id))!.body], [...known.body])
  }),

  txCase('a conflict of statements commits the row, is counted, and the first stays', async (stage) => {
    const { store, db, row, rows, statements, undone, equal } = stage
    const known = newEvent()
    await store.publish([known])
    const other = newEvent({ id: known.id, body: Buffer.from('other') })
    await db.transaction(async (tx) => {
      await row(tx, 'a')
      await runAll(tx, statements(known))
    })
    equal((await store.inspect()).conflicts, 0, 'a repeat is none')
    await db.transaction(async (tx) => {
      await row(tx, 'b')
      await runAll(tx, statements(other, newEvent()))
    })
    await undone((tx) => runAll(tx, statements(other)))
    equal(await rows(), ['a', 'b'])
    equal((await store.inspect()).conflicts, 1, 'what was rolled back is not counted')
    equal([...(await store.events.get(SCOPE, known.id))!.body], [...known.body])
    equal((await store.inspect()).counts.unrouted, 2)
    await stage.route()
    await stage.sweepAll({ eventsMs: 0, deliveriesMs: 0 })
    equal((await store.inspect()).conflicts, 1, 'a sweep forgets none')
  }),

  txCase('what was matched is routed once also from inside a transaction', async (stage) => {
    const { store, db, endpoint, route, equal } = stage
    const { id } = await endpoint()
    for (const how of ['publish', 'statements'] as const) {
      const { revision } = await store.audience(SCOPE)
      const matched = { revision, deliveries: [{ id: nextId('dl'), endpoint: id }] }
      const event = newEvent({ matched })
      await db.transaction(async (tx) => {
        if (how === 'publish') await store.publish([event], tx)
        else await runAll(tx, stage.statements(event))
      })
      await route()
      equal((await store.deliveries.list({ scope: SCOPE, event: event.id }, { limit: 10 })).rows.length, 1, how)
    }
  }),

  txCase(
    'an open transaction holds up no lane, endpoint or router',
    async (stage) => {
      const { store, open, endpoint, deliver, claimOne, settled, equal } = stage
      const to = await endpoint()
      const { commit } = await open((tx) => store.publish([newEvent({ endpoint: to.id, key: 'k' })], tx))
      const id = await deliver(to, { key: 'k' })
      const claim = await claimOne()
      equal(claim.token.delivery, id)
      await settled(claim)
      await endpoint()
      await store.endpoints.remove(SCOPE, to.id)
      await commit()
      await stage.route()
      equal(await stage.claimIds(), [], 'its endpoint is gone')
    },
    'parallel',
  ),

  txCase(
    'of two transactions with one id one is fresh',
    async (stage) => {
      const { store, db, open, equal } = stage
      const event = newEvent()
      const first = await open((tx) => store.publish([event], tx))
      const second = db.transaction((tx) => store.publish([event], tx))
      await first.commit()
      equal(await second, ['duplicate'])
    },
    'parallel',
  ),

  txCase('a call without events is no statement', async ({ store, db, statements, equal }) => {
    equal(statements(), [])
    equal(await db.transaction((tx) => store.publish([], tx)), [])
  }),
]
