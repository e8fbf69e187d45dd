import type { Case } from '@keelson/kernel/conformance'
import { APART_MS, failed, given, laneRules, LONG_MS, released, SCOPE, SHORT_MS, storeCase } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const HOUR_AGO = -LONG_MS

/** Who gets which delivery, and when. */
export const claimCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a claim has all that an attempt needs', async (stage) => {
    const { store, now, deliver, claimOne, delivery, equal, ok } = stage
    const to = await stage.endpoint(
      { leaseMs: 12_345 },
      { config: '{"url":"https://a.example"}', secrets: [{ sealed: new Uint8Array([1, 2, 3]), untilMs: null }] },
    )
    const body = new Uint8Array([0, 255, 10])
    const id = await deliver(to, { body, key: 'k', correlationId: 'c', traceparent: 't', subject: 's', channel: 'x' })
    const { token, leaseMs, attempts, spent, event, endpoint, suspect } = await claimOne()
    equal([token.scope, token.endpoint, token.delivery], [SCOPE, to.id, id])
    ok(Number.isInteger(token.fence), 'a fence is a number')
    equal([leaseMs, attempts, spent, suspect], [12_345, 0, 0, false])
    equal([...event.body], [...body])
    equal(
      [event.scope, event.type, event.key, event.correlationId, event.traceparent, event.erased],
      [SCOPE, 'shipment.created', 'k', 'c', 't', false],
    )
    equal(endpoint!.config, '{"url":"https://a.example"}')
    equal(
      endpoint!.secrets.map(({ sealed, untilMs }) => [[...sealed], untilMs]),
      [[[1, 2, 3], null]],
    )
    const row = await delivery(id)
    equal([row.status, row.attempts, row.nextAttemptAtMs, row.held], ['delivering', 0, null, null])
    ok((await now()) >= event.createdAtMs)
    equal(await store.deliveries.attempts(SCOPE, id, { limit: 10 }), [])
  }),

  storeCase('an endpoint is claimed as it is now, not as it was when its event was routed', async (stage) => {
    const { store, endpoint, deliver, claimOne, equal } = stage
    const made = await endpoint()
    await deliver(made)
    const { health: _, revision, createdAtMs: __, updatedAtMs: ___, ...row } = made
    const secrets = [{ sealed: new Uint8Array([9]), untilMs: null }]
    const rules = laneRules({ leaseMs: 4_321 })
    await store.endpoints.put({ ...row, config: 'new', secrets, rules }, revision, false)
    const claim = await claimOne()
    equal([claim.endpoint!.config, [...claim.endpoint!.secrets[0]!.sealed], claim.leaseMs], ['new', [9], 4_321])
  }),

  storeCase('secrets that have ended are left out, the current one comes first', async (stage) => {
    const { endpoint, deliver, claimOne, now, equal } = stage
    const nowMs = await now()
    const secret = (byte: number, untilMs: number | null) => ({ sealed: new Uint8Array([byte]), untilMs })
    const secrets = [secret(1, null), secret(2, nowMs + LONG_MS), secret(3, nowMs + HOUR_AGO)]
    const to = await endpoint({}, { secrets })
    await deliver(to)
    equal(
      (await claimOne()).endpoint!.secrets.map(({ sealed }) => sealed[0]),
      [1, 2],
    )
    equal((await stage.seen(to)).secrets.length, 3, 'the row has them all')
  }),

  storeCase('at most one of a lane, and no more than were asked for', async (stage) => {
    const { endpoint, deliver, claim, equal } = stage
    for (let i = 0; i < 5; i++) {
      const to = await endpoint()
      await deliver(to)
      await deliver(to)
    }
    const first = await claim({ limit: 3 })
    const second = await claim({ limit: 10 })
    equal([first.length, second.length], [3, 2])
    const lanes = [...first, ...second].map(({ token }) => token.endpoint)
    equal(new Set(lanes).size, 5)
    equal((await claim({ limit: 10 })).length, 0, 'each has one in flight')
  }),

  storeCase('also a lane that may have many gives one a claim', async (stage) => {
    const { endpoint, widen, deliver, claimIds, equal } = stage
    const to = await endpoint()
    await widen(to, 4)
    const made = []
    for (let i = 0; i < 3; i++) made.push(await deliver(to))
    equal(
      [await claimIds(), await claimIds(), await claimIds()],
      made.map((id) => [id]),
    )
  }),

  storeCase('a new lane has one in flight, and one more with each fast success', async (stage) => {
    const { endpoint, deliver, claim, settled, seen, equal } = stage
    const to = await endpoint({ concurrency: 3 })
    for (let i = 0; i < 12; i++) await deliver(to)
    for (const limit of [1, 2, 3, 3]) {
      equal((await seen(to)).health.limit, limit)
      const flying = []
      for (let i = 0; i < 5; i++) flying.push(...(await claim()))
      equal(flying.length, limit, 'in flight')
      equal((await seen(to)).health.inFlight, limit)
      const [first, ...others] = flying
      await settled(first!)
      for (const other of others) await settled(other, released())
    }
  }),

  storeCase('in flight is counted over all processes', async (stage) => {
    const { store, peer, endpoint, widen, deliver, equal } = stage
    const to = await endpoint({ concurrency: 2 })
    await widen(to, 2)
    for (let i = 0; i < 5; i++) await deliver(to)
    const of = (owner: string) => ({ limit: 10, owner, suspects: true, handlers: [] })
    const claims = [
      ...(await store.claim(of('node 1'))),
      ...(await peer.claim(of('node 2'))),
      ...(await peer.claim(of('node 3'))),
      ...(await store.claim(of('node 1'))),
    ]
    equal(claims.length, 2)
  }),

  storeCase('of many claims at once each delivery is in one, and no lane has more than its limit', async (stage) => {
    const { store, peer, endpoint, widen, deliver, together, equal } = stage
    const lanes = await Promise.all([endpoint(), endpoint(), endpoint()])
    for (const to of lanes) await widen(to, 2)
    for (const to of [...lanes, ...lanes, ...lanes, ...lanes]) await deliver(to)
    const claims = await together(24, (i) =>
      (i % 2 === 0 ? store : peer).claim({ limit: 5, owner: `node ${i}`, suspects: true, handlers: [] }),
    )
    const all = claims.flat()
    equal(new Set(all.map(({ token }) => token.delivery)).size, all.length)
    for (const each of claims) {
      equal(new Set(each.map(({ token }) => token.endpoint)).size, each.length, 'one of a lane in a claim')
    }
    // Who finds a lane locked may pass it over, so some may be left for the next turn.
    for (let i = 0; i < 3; i++) all.push(...(await stage.claim()))
    for (const { id } of lanes) equal(all.filter(({ token }) => token.endpoint === id).length, 2)
    equal(new Set(all.map(({ token }) => token.delivery)).size, 6)
  }),

  storeCase('the lane that has waited longest comes first', async (stage) => {
    const { endpoint, deliver, elapse, claimOne, equal } = stage
    const lanes = [await endpoint(), await endpoint(), await endpoint(), await endpoint()]
    const order = [lanes[2]!, lanes[0]!, lanes[3]!, lanes[1]!]
    for (const to of order) {
      await deliver(to)
      await elapse(APART_MS)
    }
    for (const { id } of order) equal((await claimOne({ limit: 1 })).token.endpoint, id)
  }),

  storeCase('nobody starves behind the backlog of another', async (stage) => {
    const { endpoint, widen, deliver, elapse, claimOne, equal } = stage
    const [busy, quiet] = [await endpoint(), await endpoint()]
    await widen(busy, 4)
    for (let i = 0; i < 4; i++) await deliver(busy)
    await elapse(APART_MS)
    await deliver(quiet)
    await elapse(APART_MS)
    const turns = []
    for (let i = 0; i < 3; i++) turns.push((await claimOne({ limit: 1 })).token.endpoint)
    equal(turns, [busy.id, quiet.id, busy.id])
  }),

  storeCase('a lane gives by due time, then in the order of its events', async (stage) => {
    const { endpoint, publish, route, claimOne, settled, elapse, equal } = stage
    const to = await endpoint()
    await publish({ endpoint: to.id }, { endpoint: to.id }, { endpoint: to.id })
    const [a, b, c] = await route()
    await elapse(APART_MS)
    const first = await claimOne()
    equal(first.token.delivery, a)
    await settled(first, failed(0))
    for (const id of [b, c, a]) {
      const claim = await claimOne()
      equal(claim.token.delivery, id)
      await settled(claim)
    }
  }),

  storeCase('fences of a delivery grow', async (stage) => {
    const { endpoint, deliver, claimOne, settled, reaped, ok } = stage
    const to = await endpoint({ leaseMs: SHORT_MS })
    await deliver(to)
    let last = -Infinity
    for (const how of ['settle', 'settle', 'reap', 'settle'] as const) {
      const claim = await claimOne()
      ok(claim.token.fence > last, `${claim.token.fence} after ${last}`)
      last = claim.token.fence
      if (how === 'settle') await settled(claim, released())
      else await reaped(1)
    }
  }),

  storeCase('suspect lanes are claimed only by who asks for them', async (stage) => {
    const { store, endpoint, deliver, claim, claimOne, settled, equal } = stage
    const [slow, quick] = [await endpoint(), await endpoint()]
    await deliver(slow)
    const hung = await claimOne()
    equal(hung.suspect, false)
    await store.slow([hung.token])
    await settled(hung, failed(0, { kind: 'timeout' }))
    await deliver(slow)
    await deliver(quick)
    const without = await claim({ suspects: false })
    equal(
      without.map(({ token, suspect }) => [token.endpoint, suspect]),
      [[quick.id, false]],
    )
    const one = await claimOne()
    equal([one.token.endpoint, one.suspect], [slow.id, true])
  }),

  storeCase('a handler is claimed only by who has its function', async (stage) => {
    const { store, publish, route, claim, equal } = stage
    const rules = laneRules()
    await store.registerHandlers([
      { name: 'mail', types: ['**'], scope: null, rules },
      { name: 'bill', types: ['**'], scope: null, rules },
    ])
    await publish({})
    await route()
    const names = async (handlers: readonly string[]) =>
      (await claim({ handlers })).map(({ token }) => token.endpoint).toSorted()
    equal(await names([]), [])
    equal(await names(['other', 'mai', 'fn:mail']), [])
    equal(await names(['mail']), ['fn:mail'])
    equal(await names(['bill', 'mail']), ['fn:bill'])
  }),

  storeCase('paused and disabled lanes are passed over', async (stage) => {
    const { store, endpoint, seen, deliver, claim, claimIds, delivery, equal } = stage
    const active = await endpoint()
    const made = await deliver(active)
    for (const state of ['paused', 'disabled'] as const) {
      const to = await endpoint({}, { state, disabledReason: state === 'disabled' ? 'by hand' : null })
      const id = await deliver(to)
      equal((await delivery(id)).held, state)
      const claims = await claim()
      equal(
        claims.some(({ token }) => token.endpoint === to.id),
        false,
        state,
      )
      const { health: _, revision, createdAtMs: __, updatedAtMs: ___, ...row } = await seen(to)
      await store.endpoints.put({ ...row, state: 'active', disabledReason: null }, revision, false)
      equal((await delivery(id)).held, null)
      equal(await claimIds(), [id], 'goes out when it is active again')
    }
    equal((await delivery(made)).status, 'delivering')
  }),

  storeCase('a later one of a key waits until the earlier is final', async (stage) => {
    const { endpoint, widen, deliver, claimOne, claimIds, settled, delivery, equal } = stage
    const to = await endpoint({ leaseMs: SHORT_MS })
    await widen(to, 4)
    const [a1, a2, a3] = [
      await deliver(to, { key: 'a' }),
      await deliver(to, { key: 'a' }),
      await deliver(to, { key: 'a' }),
    ]
    equal((await delivery(a2)).nextAttemptAtMs, null, 'it waits for no time')
    const first = await claimOne()
    equal(first.token.delivery, a1)
    equal(await claimIds(), [], 'behind one in flight')
    await stage.reaped(1)
    const again = await claimOne()
    equal(again.token.delivery, a1, 'behind a crash')
    await settled(again, failed(LONG_MS))
    equal(await claimIds(), [], 'behind one that waits')
    equal((await stage.store.deliveries.retry(SCOPE, a1))?.status, 'pending')
    await settled(await claimOne(), given())
    const second = await claimOne()
    equal(second.token.delivery, a2)
    await settled(second)
    equal(await claimIds(), [a3])
  }),

  storeCase('keys do not wait for other keys, endpoints or scopes', async (stage) => {
    const { endpoint, widen, deliver, claimIds, equal } = stage
    const [to, other] = [await endpoint(), await endpoint()]
    const theirs = await endpoint({}, { scope: 'other' })
    for (const each of [to, other, theirs]) await widen(each, 4)
    const a = await deliver(to, { key: 'a' })
    await deliver(to, { key: 'a' })
    const b = await deliver(to, { key: 'b' })
    const none = await deliver(to)
    const elsewhere = [await deliver(other, { key: 'a' }), await deliver(theirs, { key: 'a' })]
    const claimed = [...(await claimIds()), ...(await claimIds()), ...(await claimIds()), ...(await claimIds())]
    equal(claimed.toSorted(), [a, b, none, ...elsewhere].toSorted())
  }),

  storeCase('redriven deliveries take a quarter of a lane, and come behind live ones', async (stage) => {
    const { store, endpoint, widen, ended, deliver, elapse, until, claim, claimIds, delivery, equal } = stage
    const to = await endpoint({ concurrency: 8 })
    const dead: string[] = []
    for (let i = 0; i < 6; i++) dead.push(await ended(to, given()))
    await widen(to, 8)
    await elapse(APART_MS)
    await store.deliveries.startRedrive({ id: 'r1', scope: SCOPE, status: 'dead', perSecond: 1_000 })
    await until('all are redriven', async () => {
      await store.deliveries.redriveStep(100)
      return (await store.deliveries.redriveStatus(SCOPE, 'r1'))?.state === 'done'
    })
    equal((await delivery(dead[0]!)).status, 'pending')
    await elapse(APART_MS)
    const live = [await deliver(to), await deliver(to), await deliver(to)]
    const claims = []
    for (let i = 0; i < 10; i++) claims.push(...(await claim()))
    const ids = claims.map(({ token }) => token.delivery)
    equal(ids.slice(0, 3), live, 'live ones first')
    equal(ids.length, 5)
    equal(
      ids.slice(3).every((id) => dead.includes(id)),
      true,
    )
    equal((await stage.seen(to)).health.redriven, 2)
    await stage.settled(claims[3]!, { signal: { kind: 'none' } })
    equal((await stage.seen(to)).health.redriven, 1)
    equal((await claimIds()).length, 1)
    equal((await claimIds()).length, 0)
  }),

  storeCase('a lane of limit 1 has room for a redriven delivery', async (stage) => {
    const { store, endpoint, ended, elapse, claimIds, equal } = stage
    const dead = await ended(await endpoint({ concurrency: 1 }), given())
    await elapse(APART_MS)
    await store.deliveries.startRedrive({ id: 'r1', scope: SCOPE, status: 'dead', perSecond: 1_000 })
    equal(await store.deliveries.redriveStep(100), 1)
    equal(await claimIds(), [dead])
  }),
]
