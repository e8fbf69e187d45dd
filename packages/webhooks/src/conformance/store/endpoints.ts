import type { Case } from '@keelson/kernel/conformance'
import type { EndpointRow, StoredEndpoint } from '../../store.ts'
import { endpointRow, failed, given, laneRules, LONG_MS, SCOPE, storeCase } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** What a put replaces. */
function rowOf({ scope, id, state, disabledReason, config, secrets, rules }: StoredEndpoint): EndpointRow {
  return { scope, id, state, disabledReason, config, secrets, rules }
}

const shown = ({ secrets, ...row }: EndpointRow): unknown => ({
  ...row,
  secrets: secrets.map(({ sealed, untilMs }) => [[...sealed], untilMs]),
})

/** Endpoints as they are kept. */
export const endpointCases: readonly Case<StoreUnderTest>[] = [
  storeCase('an endpoint is kept as it was written, healthy and with revision 1', async (stage) => {
    const { store, peer, now, equal, ok } = stage
    const row = endpointRow(
      {
        concurrency: 7,
        rate: { limit: 5, perMs: 1_000 },
        leaseMs: 65_000,
        breaker: { failures: 10, cooldownMs: 30_000, maxCooldownMs: 600_000 },
        disableAfterMs: 432_000_000,
      },
      {
        state: 'disabled',
        disabledReason: 'by hand',
        config: '{"url":"https://ä.example/\\u0000","types":["**"]}',
        secrets: [
          { sealed: new Uint8Array(64).map((_, i) => i * 4), untilMs: null },
          { sealed: new Uint8Array([0]), untilMs: 1_900_000_000_123 },
        ],
      },
    )
    const beforeMs = await now()
    const inserted = await store.endpoints.insert(row, 1)
    const afterMs = await now()
    ok(inserted !== 'limit')
    const found = (await peer.endpoints.get(SCOPE, row.id))!
    for (const each of [inserted as StoredEndpoint, found]) {
      equal(shown(rowOf(each)), shown(row))
      const { revision, createdAtMs, updatedAtMs, health } = each
      equal([revision, updatedAtMs - createdAtMs], [1, 0])
      ok(createdAtMs >= beforeMs && createdAtMs <= afterMs, 'made now')
      equal(health, {
        inFlight: 0,
        redriven: 0,
        limit: 1,
        suspect: false,
        blockedUntilMs: null,
        blockedBy: null,
        failures: 0,
        openUntilMs: null,
        cooldownMs: 0,
        failingSinceMs: null,
        noticed: 0,
        rateUsedMs: 0,
      })
    }
  }),

  storeCase('a scope has no more endpoints than its limit, and each id once', async (stage) => {
    const { store, publish, route, equal } = stage
    await store.registerHandlers([{ name: 'mail', types: ['**'], scope: null, rules: laneRules() }])
    await publish({})
    await route()
    const first = endpointRow()
    for (const row of [first, endpointRow()]) {
      equal((await store.endpoints.insert(row, 2)) === 'limit', false, 'a handler is not counted')
    }
    equal(await store.endpoints.insert(endpointRow(), 2), 'limit')
    equal(await store.endpoints.insert({ ...first, config: 'other' }, 10), 'limit')
    equal((await stage.seen(first)).config, first.config)
    equal((await store.endpoints.insert(endpointRow({}, { scope: 'other' }), 2)) === 'limit', false)
    await store.endpoints.remove(SCOPE, first.id)
    equal((await store.endpoints.insert(endpointRow(), 2)) === 'limit', false, 'one is gone')
  }),

  storeCase('of many inserts at once as many are taken as fit', async (stage) => {
    const { store, peer, together, equal } = stage
    const made = await together(20, (i) => (i % 2 === 0 ? store : peer).endpoints.insert(endpointRow(), 5))
    equal(made.filter((each) => each !== 'limit').length, 5)
    equal((await store.endpoints.list(SCOPE, { limit: 100 })).length, 5)
  }),

  storeCase('endpoints are listed by id, page by page', async (stage) => {
    const { store, endpoint, equal } = stage
    const ids = []
    for (const id of ['ep_c', 'ep_B', 'ep_a', 'ep_10', 'ep_9']) ids.push((await endpoint({}, { id })).id)
    await endpoint({}, { scope: 'other', id: 'ep_d' })
    const read = await stage.pagesById(2, (page) => store.endpoints.list(SCOPE, page))
    equal(
      read.map(({ id }) => id),
      ['ep_10', 'ep_9', 'ep_B', 'ep_a', 'ep_c'],
    )
    equal(await store.endpoints.list('nobody', { limit: 2 }), [])
  }),

  storeCase('a put replaces the row of its revision', async (stage) => {
    const { store, peer, endpoint, elapse, now, equal, ok } = stage
    const made = await endpoint()
    await elapse(10)
    const row: EndpointRow = {
      ...rowOf(made),
      state: 'paused',
      config: 'new',
      secrets: [{ sealed: new Uint8Array([5]), untilMs: null }, ...made.secrets],
      rules: laneRules({ concurrency: 9, rate: { limit: 1, perMs: 5 } }),
    }
    const put = (await store.endpoints.put(row, 1, false)) as StoredEndpoint
    equal([shown(rowOf(put)), put.revision, put.createdAtMs], [shown(row), 2, made.createdAtMs])
    ok(put.updatedAtMs > made.updatedAtMs && put.updatedAtMs <= (await now()), 'changed now')
    equal(shown(rowOf((await peer.endpoints.get(SCOPE, made.id))!)), shown(row))
    for (const revision of [1, 3])
      equal(await store.endpoints.put({ ...row, config: 'x' }, revision, false), 'conflict')
    equal((await stage.seen(made)).config, 'new')
    equal(await store.endpoints.put({ ...row, id: 'ep_none' }, 1, false), null)
    equal(await store.endpoints.put({ ...row, scope: 'other' }, 2, false), null)
  }),

  storeCase('of many puts of one revision one is taken', async (stage) => {
    const { store, peer, endpoint, together, equal } = stage
    const made = await endpoint()
    const puts = await together(20, (i) =>
      (i % 2 === 0 ? store : peer).endpoints.put({ ...rowOf(made), config: `${i}` }, 1, false),
    )
    equal(puts.filter((put) => put !== 'conflict').length, 1)
    equal((await stage.seen(made)).revision, 2)
  }),

  storeCase('health changes no revision', async (stage) => {
    const { endpoint, ended, seen, equal } = stage
    const made = await endpoint()
    await ended(made, failed(LONG_MS, { kind: 'timeout' }))
    const { revision, updatedAtMs } = await seen(made)
    equal([revision, updatedAtMs], [1, made.updatedAtMs])
  }),

  storeCase('a put leaves the health, or heals it', async (stage) => {
    const { store, endpoint, widen, deliver, claimOne, claimIds, settled, seen, equal } = stage
    const made = await endpoint({ breaker: { failures: 1, cooldownMs: LONG_MS, maxCooldownMs: LONG_MS } })
    await widen(made, 3)
    await deliver(made)
    await deliver(made)
    await deliver(made)
    const [first, second] = [await claimOne(), await claimOne()]
    await settled(first, failed(LONG_MS, { kind: 'slow-down', blockMs: LONG_MS }))
    await settled(second, failed(LONG_MS, { kind: 'timeout' }))
    const { health } = await seen(made)
    await store.endpoints.put(rowOf(made), 1, false)
    equal((await seen(made)).health, health)
    await store.endpoints.put(rowOf(made), 2, true)
    const { rateUsedMs: _, ...healed } = (await seen(made)).health
    equal(healed, {
      inFlight: 0,
      redriven: 0,
      limit: 1,
      suspect: false,
      blockedUntilMs: null,
      blockedBy: null,
      failures: 0,
      openUntilMs: null,
      cooldownMs: 0,
      failingSinceMs: null,
      noticed: 0,
    })
    equal((await claimIds({ suspects: false })).length, 1)
  }),

  storeCase('healing forgets nothing that is in flight', async (stage) => {
    const { store, endpoint, deliver, claimOne, claimIds, settled, seen, equal } = stage
    const made = await endpoint()
    await deliver(made)
    await deliver(made)
    const claim = await claimOne()
    await store.endpoints.put(rowOf(made), 1, true)
    equal((await seen(made)).health.inFlight, 1)
    equal(await claimIds(), [])
    await settled(claim)
    equal((await seen(made)).health.inFlight, 0)
  }),

  storeCase('an endpoint that is removed is gone, and what was on its way is cancelled', async (stage) => {
    const { store, endpoint, deliver, ended, claimOne, claimIds, settle, delivery, equal } = stage
    const to = await endpoint()
    const done = await ended(to)
    const flying = await deliver(to)
    const waiting = await deliver(to)
    const claim = await claimOne()
    equal(await store.endpoints.remove(SCOPE, to.id), true)
    equal(await store.endpoints.get(SCOPE, to.id), null)
    equal(await store.endpoints.list(SCOPE, { limit: 10 }), [])
    equal((await store.audience(SCOPE)).endpoints, [])
    equal(await store.endpoints.remove(SCOPE, to.id), false)
    equal(await claimIds(), [])
    await stage.sweepAll()
    equal(await store.nextDue({ handlers: [] }), null)
    for (const id of [flying, waiting]) {
      const row = await delivery(id)
      equal([row.status, row.reason, row.finishedAtMs === null], ['cancelled', null, false])
      equal(await store.deliveries.retry(SCOPE, id), null, 'there is nobody to send it to')
    }
    equal((await settle(claim)).kind, 'stale')
    equal([(await delivery(flying)).status, (await delivery(done)).status], ['cancelled', 'succeeded'])
  }),

  storeCase('only its own scope removes an endpoint', async ({ store, endpoint, seen, equal }) => {
    const to = await endpoint()
    equal(await store.endpoints.remove('other', to.id), false)
    equal(await store.endpoints.get('other', to.id), null)
    await seen(to)
  }),

  storeCase('an endpoint that is active again sends what was dead only when it is asked to', async (stage) => {
    const { store, endpoint, ended, seen, deliver, claimIds, equal } = stage
    const to = await endpoint()
    await ended(to, given('gone'))
    const held = await deliver(to)
    const now = await seen(to)
    await store.endpoints.put({ ...rowOf(now), state: 'active', disabledReason: null }, now.revision, true)
    equal(await claimIds(), [held])
  }),
]
