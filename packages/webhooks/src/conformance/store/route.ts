import type { Case } from '@keelson/kernel/conformance'
import type { Route, Unrouted } from '../../store.ts'
import { laneRules, LONG_MS, nextId, SCOPE, SHORT_MS, storeCase, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const idsOf = (taken: readonly Unrouted[]): string[] => taken.map(({ event }) => event.id)

/** A route of what was taken to these endpoints. */
function routeTo({ event, token, revision }: Unrouted, ...endpoints: string[]): Route {
  const deliveries = endpoints.map((endpoint) => ({ id: nextId('dl'), endpoint }))
  return { scope: event.scope, event: event.id, token, matched: { revision, deliveries } }
}

async function takeOne({ store, equal }: Stage, leaseMs = LONG_MS): Promise<Unrouted> {
  const taken = await store.takeUnrouted(10, leaseMs)
  equal(taken.length, 1, 'taken')
  return taken[0]!
}

/** From events to deliveries. */
export const routeCases: readonly Case<StoreUnderTest>[] = [
  storeCase('events of a scope are taken in the order in which they were published', async (stage) => {
    const { store, publish, route, endpoint, equal } = stage
    await endpoint()
    const events = [...(await publish({}, {}, {})), ...(await publish({})), ...(await publish({}, {}))]
    const taken = await store.takeUnrouted(4, SHORT_MS)
    equal(
      idsOf(taken),
      events.slice(0, 4).map(({ id }) => id),
    )
    const { erased, type, scope, body } = taken[0]!.event
    equal([erased, type, scope, [...body]], [false, 'shipment.created', SCOPE, [...events[0]!.body]])
    await stage.until('the router has lost its lease', async () => (await route()).length > 0)
    const rows = await stage.pages<{ id: string; event: string }, string>(50, (page) =>
      store.deliveries.list({ scope: SCOPE }, page),
    )
    equal(
      rows.map(({ event }) => event),
      events.map(({ id }) => id).toReversed(),
    )
  }),

  storeCase('a scope is taken by one router at a time, other scopes by others', async (stage) => {
    const { store, peer, publish, equal } = stage
    const [a1] = await publish({})
    const first = await store.takeUnrouted(1, LONG_MS)
    equal(idsOf(first), [a1!.id])
    const [a2, b1] = await publish({}, { scope: 'other' })
    equal(idsOf(await peer.takeUnrouted(10, LONG_MS)), [b1!.id])
    equal(await peer.takeUnrouted(10, LONG_MS), [])
    equal(await store.route(first.map((unrouted) => routeTo(unrouted))), ['ok'])
    equal(idsOf(await peer.takeUnrouted(10, LONG_MS)), [a2!.id], 'free when all was routed')
  }),

  storeCase('of twenty routers at once one gets the scope', async ({ store, peer, publish, together, equal }) => {
    await publish({}, {}, {})
    const taken = await together(20, (i) => (i % 2 === 0 ? store : peer).takeUnrouted(10, LONG_MS))
    equal(
      taken
        .map((each) => each.length)
        .toSorted((a, b) => b - a)
        .slice(0, 2),
      [3, 0],
    )
  }),

  storeCase('who lost its lease to another router routes nothing', async (stage) => {
    const { store, peer, publish, endpoint, until, equal } = stage
    const { id } = await endpoint()
    const [event] = await publish({})
    const lost = await takeOne(stage, SHORT_MS)
    const [taken] = await until('the lease of the first is over', async () => {
      const again = await peer.takeUnrouted(10, LONG_MS)
      return again.length > 0 && again
    })
    equal(taken!.event.id, event!.id)
    equal(await store.route([routeTo(lost, id)]), ['stale'])
    equal(await store.route([routeTo({ ...taken!, token: 'another' }, id)]), ['stale'])
    equal(await store.route([routeTo(taken!, id)]), ['ok'])
    equal(await store.route([routeTo(taken!, id)]), ['stale'], 'each event once')
    equal((await store.deliveries.list({ scope: SCOPE }, { limit: 10 })).rows.length, 1)
  }),

  storeCase('one event becomes one delivery for each of its endpoints', async (stage) => {
    const { store, publish, endpoint, equal, delivery, now } = stage
    const [a, b] = [await endpoint(), await endpoint(), await endpoint()]
    const [event] = await publish({})
    const taken = await takeOne(stage)
    const route = routeTo(taken, a.id, b.id)
    const beforeMs = await now()
    equal(await store.route([route]), ['ok'])
    const afterMs = await now()
    for (const { id, endpoint: to } of route.matched.deliveries) {
      const { createdAtMs, nextAttemptAtMs, ...row } = await delivery(id)
      equal(row, {
        id,
        scope: SCOPE,
        event: event!.id,
        type: event!.type,
        endpoint: to,
        status: 'pending',
        reason: null,
        held: null,
        attempts: 0,
        finishedAtMs: null,
      })
      stage.ok(createdAtMs >= beforeMs && createdAtMs <= afterMs, 'made now')
      stage.ok(nextAttemptAtMs! >= beforeMs && nextAttemptAtMs! <= afterMs, 'due now')
    }
    equal((await store.deliveries.list({ scope: SCOPE }, { limit: 10 })).rows.length, 2)
  }),

  storeCase('an event that nobody listens to is routed to nobody', async (stage) => {
    const { store, publish, equal } = stage
    await publish({})
    equal(await store.route([routeTo(await takeOne(stage))]), ['ok'])
    equal(await store.takeUnrouted(10, LONG_MS), [])
    equal(await store.nextDue({ handlers: [] }), null)
  }),

  storeCase('endpoints that are gone or another scope’s are left out', async (stage) => {
    const { store, publish, endpoint, equal, claim } = stage
    const here = await endpoint()
    const theirs = await endpoint({}, { scope: 'other' })
    await publish({})
    const taken = await takeOne(stage)
    const route = routeTo(taken, 'ep_none', theirs.id, here.id, 'fn:nobody')
    equal(await store.route([route]), ['ok'])
    equal(
      (await claim({ handlers: ['nobody'] })).map(({ token }) => token.endpoint),
      [here.id],
    )
    equal(await store.deliveries.get(SCOPE, route.matched.deliveries[0]!.id), null)
  }),

  storeCase('each change of an audience moves its revision, and what it matched is matched again', async (stage) => {
    const { store, peer, publish, endpoint, seen, equal } = stage
    const first = await endpoint()
    const changes: Record<string, () => Promise<unknown>> = {
      'a new endpoint': () => endpoint(),
      'another config': async () => {
        const { health: _, revision, createdAtMs: __, updatedAtMs: ___, ...row } = await seen(first)
        return store.endpoints.put({ ...row, config: '{"types":["a.*"]}' }, revision, false)
      },
      'a new handler': () => store.registerHandlers([{ name: 'a', types: ['**'], scope: null, rules: laneRules() }]),
      'other types of a handler': () =>
        peer.registerHandlers([{ name: 'a', types: ['b'], scope: null, rules: laneRules() }]),
      'an endpoint less': () => store.endpoints.remove(SCOPE, first.id),
    }
    for (const [what, change] of Object.entries(changes)) {
      await publish({})
      const taken = await takeOne(stage)
      equal(taken.revision, (await store.audience(SCOPE)).revision, what)
      await change()
      equal(await store.route([routeTo(taken, first.id)]), ['moved'], what)
      const { revision } = await peer.audience(SCOPE)
      equal(revision === taken.revision, false, what)
      equal(await store.route([routeTo({ ...taken, revision })]), ['ok'], `${what}: under the same token`)
    }
  }),

  storeCase('what changes nothing of an audience leaves its revision', async (stage) => {
    const { store, publish, endpoint, equal } = stage
    const handler = { name: 'a', types: ['**'], scope: null, rules: laneRules() }
    await store.registerHandlers([handler])
    const mine = await endpoint()
    await publish({})
    const taken = await takeOne(stage)
    await store.registerHandlers([handler])
    await endpoint({}, { scope: 'other' })
    await store.pause(SCOPE, true)
    await store.pause(SCOPE, false)
    equal((await store.audience(SCOPE)).revision, taken.revision)
    equal(await store.route([routeTo(taken, mine.id)]), ['ok'])
  }),

  storeCase('an audience is the endpoints of a scope and the handlers that hear it', async (stage) => {
    const { store, endpoint, equal } = stage
    const a = await endpoint({}, { config: 'a' })
    const b = await endpoint({}, { config: 'b', state: 'paused' })
    await endpoint({}, { scope: 'other' })
    const rules = laneRules()
    await store.registerHandlers([
      { name: 'all', types: ['**'], scope: null, rules },
      { name: 'mine', types: ['a', 'b.*'], scope: SCOPE, rules },
      { name: 'theirs', types: ['a'], scope: 'other', rules },
    ])
    const { endpoints, handlers } = await store.audience(SCOPE)
    equal(
      endpoints.toSorted((x, y) => (x.id < y.id ? -1 : 1)),
      [a, b].map(({ id, config }) => ({ id, config })),
    )
    equal(
      handlers.toSorted((x, y) => (x.name < y.name ? -1 : 1)),
      [
        { name: 'all', types: ['**'] },
        { name: 'mine', types: ['a', 'b.*'] },
      ],
    )
    const empty = await store.audience('nobody')
    equal([empty.endpoints, empty.handlers.map(({ name }) => name)], [[], ['all']])
  }),

  storeCase('a handler has a lane in each scope that it hears, with its rules', async (stage) => {
    const { store, publish, route, seen, claim, equal } = stage
    await store.registerHandlers([
      { name: 'mail', types: ['**'], scope: null, rules: laneRules({ concurrency: 2, leaseMs: 12_345 }) },
    ])
    await publish({}, { scope: 'other' })
    equal((await route()).length, 2)
    for (const scope of [SCOPE, 'other']) {
      const row = await seen({ scope, id: 'fn:mail' })
      equal([row.config, row.secrets, row.state, row.rules.concurrency], ['', [], 'active', 2])
      equal(await store.endpoints.list(scope, { limit: 10 }), [])
      equal((await store.audience(scope)).endpoints, [])
    }
    const claims = await claim({ handlers: ['mail'] })
    const shown = claims.map(({ token, endpoint, leaseMs }) => ({
      of: token.scope,
      to: token.endpoint,
      endpoint,
      leaseMs,
    }))
    equal(
      shown.toSorted((x, y) => (x.of < y.of ? -1 : 1)),
      [SCOPE, 'other'].map((of) => ({ of, to: 'fn:mail', endpoint: null, leaseMs: 12_345 })),
    )
  }),

  storeCase('an event for later is routed now and due then', async (stage) => {
    const { store, endpoint, publish, route, claimIds, delivery, now, until, equal, ok } = stage
    const to = await endpoint()
    const nowMs = await now()
    await publish({ endpoint: to.id, notBeforeMs: nowMs + LONG_MS })
    const [later] = await route()
    equal(await claimIds(), [])
    equal((await delivery(later!)).nextAttemptAtMs, nowMs + LONG_MS)
    const dueIn = (await store.nextDue({ handlers: [] }))!
    ok(dueIn > LONG_MS / 2 && dueIn <= LONG_MS, `due in ${dueIn}`)
    const soonMs = (await now()) + SHORT_MS
    await publish({ endpoint: to.id, notBeforeMs: soonMs })
    const [soon] = await route()
    const claimed = await until('it is due', async () => (await claimIds())[0])
    equal(claimed, soon)
    ok((await now()) >= soonMs, 'not earlier')
  }),
]
