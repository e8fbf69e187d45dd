import type { Case } from '@keelson/kernel/conformance'
import { failed, FOREVER, given, LONG_MS, newEvent, SCOPE, SHORT_MS, storeCase } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const DAY_MS = 24 * LONG_MS

/** Keys, and what is kept for how long. */
export const keepingCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a signing key is kept for its principal', async ({ store, peer, now, equal, ok }) => {
    const row = { keyId: 'k1', scope: SCOPE, principal: 'ada', sealed: new Uint8Array([0, 1, 255]) }
    const beforeMs = await now()
    const made = await store.signingKeys.insert(row, LONG_MS)
    const afterMs = await now()
    const { createdAtMs, expiresAtMs } = made
    ok(createdAtMs >= beforeMs && createdAtMs <= afterMs, 'made now')
    equal(expiresAtMs, createdAtMs + LONG_MS)
    const found = (await peer.signingKeys.get('k1'))!
    equal({ ...found, sealed: [...found.sealed] }, { ...made, sealed: [0, 1, 255] })
    equal((await store.signingKeys.insert({ ...row, keyId: 'k2' }, null)).expiresAtMs, null)
    equal(await store.signingKeys.get('k3'), null)
    const listed = await store.signingKeys.list(SCOPE)
    equal(listed.map(({ keyId }) => keyId).toSorted(), ['k1', 'k2'])
  }),

  storeCase('keys are listed by scope and principal', async ({ store, equal }) => {
    const key = (keyId: string, scope: string, principal: string) =>
      store.signingKeys.insert({ keyId, scope, principal, sealed: new Uint8Array([1]) }, null)
    await key('a', SCOPE, 'ada')
    await key('b', SCOPE, 'bob')
    await key('c', 'other', 'ada')
    const ids = async (scope: string, principal?: string) =>
      (await store.signingKeys.list(scope, principal)).map(({ keyId }) => keyId).toSorted()
    equal([await ids(SCOPE), await ids(SCOPE, 'ada'), await ids('other', 'bob')], [['a', 'b'], ['a'], []])
  }),

  storeCase('a key ends when it is told to, or earlier', async ({ store, now, equal, ok }) => {
    const row = { keyId: 'k1', scope: SCOPE, principal: 'ada', sealed: new Uint8Array([1]) }
    await store.signingKeys.insert(row, null)
    const ends = async () => (await store.signingKeys.get('k1'))!.expiresAtMs!
    equal(await store.signingKeys.expire('other', 'k1', 0), false)
    equal(await store.signingKeys.expire(SCOPE, 'k9', 0), false)
    equal(await ends(), null)
    const beforeMs = await now()
    equal(await store.signingKeys.expire(SCOPE, 'k1', LONG_MS), true)
    const first = await ends()
    ok(first >= beforeMs + LONG_MS && first <= (await now()) + LONG_MS, 'in an hour')
    equal(await store.signingKeys.expire(SCOPE, 'k1', 2 * LONG_MS), true)
    equal(await ends(), first, 'not later')
    equal(await store.signingKeys.expire(SCOPE, 'k1', 0), true)
    ok((await ends()) <= (await now()), 'at once')
    equal((await store.signingKeys.get('k1'))!.keyId, 'k1', 'an expired key is there')
  }),

  storeCase('what has ended is kept for its time, and then removed with its attempts', async (stage) => {
    const { store, endpoint, ended, deliver, elapse, delivery, equal, ok } = stage
    const to = await endpoint()
    const done = [await ended(to), await ended(to, given())]
    const open = await deliver(to)
    equal(await stage.sweepAll({ deliveriesMs: LONG_MS }), 0)
    await elapse(SHORT_MS)
    ok((await stage.sweepAll({ deliveriesMs: SHORT_MS / 2 })) >= 2)
    for (const id of done) {
      equal(await store.deliveries.get(SCOPE, id), null)
      equal(await store.deliveries.attempts(SCOPE, id, { limit: 10 }), null)
    }
    equal((await delivery(open)).status, 'pending')
    equal((await store.inspect()).counts.dead, 0)
  }),

  storeCase('an event is kept for its time, and as long as one of its deliveries', async (stage) => {
    const { store, endpoint, publish, route, claimOne, settled, elapse, until, equal, ok } = stage
    await endpoint()
    const event = newEvent({ correlationId: 'c', subject: 'ada' })
    await publish(event)
    await elapse(SHORT_MS)
    equal(await stage.sweepAll({ eventsMs: SHORT_MS / 2 }), 0, 'it is not routed')
    await route()
    equal(await stage.sweepAll({ eventsMs: SHORT_MS / 2 }), 0, 'it is on its way')
    await settled(await claimOne())
    equal(await stage.sweepAll({ eventsMs: SHORT_MS / 2 }), 0, 'its delivery is kept')
    equal(await store.publish([event]), ['duplicate'])
    ok((await stage.sweepAll({ deliveriesMs: 0, eventsMs: LONG_MS })) > 0)
    equal((await store.events.get(SCOPE, event.id))?.id, event.id)
    await until('the event is swept', async () => {
      await stage.sweepAll({ deliveriesMs: 0, eventsMs: SHORT_MS / 2 })
      return (await store.events.get(SCOPE, event.id)) === null
    })
    equal([await store.events.trace('c'), await store.events.bySubject(SCOPE, 'ada', { limit: 9 })], [[], []])
    equal(await store.publish([event]), ['fresh'], 'its id is not known any more')
  }),

  storeCase('what is held too long is dead as expired', async (stage) => {
    const { store, endpoint, deliver, ended, elapse, delivery, equal, ok } = stage
    const paused = await endpoint({}, { state: 'paused' })
    const disabled = await endpoint({}, { state: 'disabled' })
    const quiet = await endpoint({}, { scope: 'quiet' })
    const broken = await endpoint({ breaker: { failures: 1, cooldownMs: LONG_MS, maxCooldownMs: LONG_MS } })
    const active = await endpoint()
    await ended(broken, failed(LONG_MS))
    await store.pause('quiet', true)
    const held = [await deliver(paused), await deliver(disabled), await deliver(quiet)]
    const going = [await deliver(active), await deliver(broken)]
    equal(await stage.sweepAll({ heldMs: LONG_MS }), 0)
    await elapse(SHORT_MS)
    ok((await stage.sweepAll({ heldMs: SHORT_MS / 2 })) >= 3)
    for (const [i, id] of held.entries()) {
      const row = await delivery(id, i === 2 ? 'quiet' : SCOPE)
      equal([row.status, row.reason, row.attempts, row.finishedAtMs === null], ['dead', 'expired', 0, false])
    }
    for (const id of going) equal((await delivery(id)).status, 'pending')
  }),

  storeCase('held counts from when it was both there and held', async (stage) => {
    const { store, endpoint, deliver, elapse, delivery, equal } = stage
    const to = await endpoint()
    const early = await deliver(to)
    await elapse(2 * SHORT_MS)
    const { health: _, revision, createdAtMs: __, updatedAtMs: ___, ...row } = await stage.seen(to)
    await store.endpoints.put({ ...row, state: 'paused' }, revision, false)
    // Ten minutes ago it was not even there.
    equal(await stage.sweepAll({ heldMs: 600_000 }), 0)
    await elapse(2 * SHORT_MS)
    const late = await deliver(to)
    await stage.sweepAll({ heldMs: SHORT_MS })
    equal((await delivery(early)).reason, 'expired')
    equal(late > early, true)
  }),

  storeCase('a sweep removes about as many as it was asked to', async (stage) => {
    const { store, endpoint, ended, elapse, equal, ok } = stage
    const to = await endpoint()
    for (let i = 0; i < 12; i++) await ended(to)
    await elapse(5)
    const count = await store.sweep(3, { ...FOREVER, deliveriesMs: 0 })
    ok(count > 0 && count < 12, `${count} of about 3`)
    ok((await store.deliveries.list({ scope: SCOPE }, { limit: 50 })).rows.length > 0, 'some are left')
    await stage.sweepAll({ deliveriesMs: 0 }, 3)
    equal((await store.deliveries.list({ scope: SCOPE }, { limit: 50 })).rows, [])
  }),

  storeCase(
    'attempts are kept for their time, whatever becomes of their delivery',
    async (stage) => {
      const { store, endpoint, deliver, claimOne, settled, elapse, equal } = stage
      const id = await deliver(await endpoint({ leaseMs: 9 * DAY_MS }))
      await settled(await claimOne(), failed(0))
      await elapse(4 * DAY_MS)
      await settled(await claimOne(), failed(0))
      await stage.sweepAll({ attemptsMs: 2 * DAY_MS })
      const rows = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
      equal(
        rows.map(({ number }) => number),
        [2],
      )
      equal((await stage.delivery(id)).attempts, 2, 'they are counted')
    },
    'elapse',
  ),

  storeCase('it says how much there is of everything', async (stage) => {
    const { store, endpoint, deliver, publish, ended, claim, equal, ok } = stage
    const zero = {
      unrouted: 0,
      pending: 0,
      delivering: 0,
      held: 0,
      dead: 0,
      endpointsActive: 0,
      endpointsPaused: 0,
      endpointsDisabled: 0,
      breakersOpen: 0,
    }
    equal(await store.inspect(), { counts: zero, oldestDueMs: 0, unroutedMs: 0, conflicts: 0 })
    const [a, b] = [await endpoint(), await endpoint()]
    const paused = await endpoint({}, { state: 'paused' })
    const quiet = await endpoint({}, { scope: 'quiet' })
    await endpoint({}, { state: 'disabled' })
    const open = await endpoint({ breaker: { failures: 1, cooldownMs: LONG_MS, maxCooldownMs: LONG_MS } })
    await ended(a, given())
    await ended(a)
    await ended(open, failed(LONG_MS))
    await store.pause('quiet', true)
    for (const to of [a, b, paused, quiet]) await deliver(to)
    equal((await claim()).length, 2)
    await deliver(b)
    await publish({ scope: 'other' }, { scope: 'other' })
    const { counts } = await store.inspect()
    equal(counts, {
      unrouted: 2,
      // Of the open breaker, the paused endpoint, the paused scope, and one behind another.
      pending: 4,
      delivering: 2,
      held: 2,
      dead: 1,
      endpointsActive: 4,
      endpointsPaused: 1,
      endpointsDisabled: 1,
      breakersOpen: 1,
    })
    await store.pause(null, true)
    equal((await store.inspect()).counts.held, 4)
    ok((await store.inspect()).oldestDueMs >= 0)
    await store.health()
  }),

  storeCase('it says for how long the oldest has been due, and unrouted', async (stage) => {
    const { store, endpoint, deliver, publish, elapse, until, ok, equal } = stage
    await deliver(await endpoint({}, { state: 'paused' }))
    await elapse(SHORT_MS)
    equal((await store.inspect()).oldestDueMs, 0, 'what is held is not late')
    await deliver(await endpoint())
    await publish({ endpoint: (await endpoint()).id })
    await elapse(SHORT_MS)
    const { oldestDueMs, unroutedMs } = await store.inspect()
    ok(oldestDueMs >= SHORT_MS - 5, `due for ${oldestDueMs}`)
    ok(unroutedMs >= SHORT_MS - 5, `unrouted for ${unroutedMs}`)
    await stage.route()
    await until('all is settled', async () => {
      for (const claim of await stage.claim()) await stage.settled(claim)
      return (await store.inspect()).oldestDueMs === 0
    })
    equal((await store.inspect()).unroutedMs, 0)
  }),
]
