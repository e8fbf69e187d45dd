import type { Subject } from '@keelson/kernel/conformance'
import { virtualClock, type VirtualClock } from '@keelson/kernel/testing'
import type { LaneSignal } from '../lane.ts'
import { memoryStore } from '../memory.ts'
import type { ClaimToken, NewEvent, Retention, Settlement, WebhookStore } from '../store.ts'
import {
  changedStore,
  forgetsFlights,
  hidesEndpoints,
  hidesRules,
  tellsClaims,
  type Changes,
} from './broken/changed-store.ts'
import { without } from './broken/without.ts'
import type { StoreUnderTest } from './store-under-test.ts'

type Fault = (store: WebhookStore, clock: VirtualClock) => Changes

/** Events that are written wrongly. */
const writes =
  (wrong: (event: NewEvent, store: WebhookStore) => NewEvent | Promise<NewEvent>): Fault =>
  (store) => ({
    publish: async (events, tx) => store.publish(await Promise.all(events.map(async (each) => wrong(each, store))), tx),
  })

/** Claims that are settled wrongly. */
const settles =
  (wrong: (settlement: Settlement) => Settlement): Fault =>
  (store) => ({ settle: (settlements) => store.settle(settlements.map(wrong)) })

const signals = (kind: LaneSignal['kind'], as: (signal: any) => LaneSignal): Fault =>
  settles((settlement) =>
    settlement.signal.kind === kind ? { ...settlement, signal: as(settlement.signal) } : settlement,
  )

const sweeps =
  (wrong: Partial<Retention>): Fault =>
  (store) => ({ sweep: (limit, retention) => store.sweep(limit, { ...retention, ...wrong }) })

/** Redrives that are begun wrongly. */
const redrives =
  (wrong: object): Fault =>
  (store) => ({ deliveries: { startRedrive: (row) => store.deliveries.startRedrive({ ...row, ...wrong }) } })

/** Where an id is, whatever scope asks. */
function anyScope(store: WebhookStore): { claims: Changes; of(delivery: string, scope: string): string } {
  const scopes = new Map<string, string>()
  return {
    claims: {
      route(routes) {
        for (const { scope, matched } of routes) for (const { id } of matched.deliveries) scopes.set(id, scope)
        return store.route(routes)
      },
    },
    of: (delivery, scope) => scopes.get(delivery) ?? scope,
  }
}

/** How often the leases of a delivery have ended by themselves. */
function countsCrashes(store: WebhookStore): { changes: Changes; of(delivery: string): number } {
  const crashes = new Map<string, number>()
  return {
    changes: {
      async reap(limit) {
        const reaped = await store.reap(limit)
        for (const { delivery } of reaped) crashes.set(delivery, (crashes.get(delivery) ?? 0) + 1)
        return reaped
      },
    },
    of: (delivery) => crashes.get(delivery) ?? 0,
  }
}

type EventName = 'scope' | 'id' | 'subject' | 'key' | 'correlationId'

/** Names of events are one where `as` makes them one. */
const collates =
  (name: EventName, as: (text: string) => string): Fault =>
  (store) => {
    const one = (of: EventName, text: string): string => (of === name ? as(text) : text)
    const { events } = store
    return {
      publish: async (all, tx) =>
        store.publish(
          all.map((event) => ({ ...event, ...(event[name] === undefined ? {} : { [name]: as(event[name]) }) })),
          tx,
        ),
      events: {
        get: async (scope, id) => events.get(one('scope', scope), one('id', id)),
        bySubject: async (scope, subject, page) => events.bySubject(one('scope', scope), one('subject', subject), page),
        erase: async (scope, subject, limit) => events.erase(one('scope', scope), one('subject', subject), limit),
        trace: async (id) => events.trace(one('correlationId', id)),
      },
    }
  }

const anyCase = (text: string): string => text.toLowerCase()
const unpadded = (text: string): string => text.trimEnd()
const unaccented = (text: string): string => text.normalize('NFD').replaceAll(/\p{M}/gu, '')
const normal = (text: string): string => text.normalize()
const cut = (text: string): string => text.slice(0, 100)

/** One fault each; the name says what is wrong. */
const faults: Record<string, Fault> = {
  // Events.
  'an id that is there is fresh': (store) => ({
    publish: async (events) => (await store.publish(events)).map((kind) => (kind === 'duplicate' ? 'fresh' : kind)),
  }),
  'a conflict is a duplicate': (store) => ({
    publish: async (events) => (await store.publish(events)).map((kind) => (kind === 'conflict' ? 'duplicate' : kind)),
  }),
  'look, then write': (store) => ({
    async publish(events) {
      const known = await Promise.all(events.map(({ scope, id }) => store.events.get(scope, id)))
      await new Promise((resolve) => setImmediate(resolve))
      const kinds = await store.publish(events)
      return kinds.map((kind, i) => (known[i] === null ? 'fresh' : kind))
    },
  }),
  'a conflict is written over the first': (store) => {
    const bodies = new Map<string, Uint8Array>()
    return {
      async publish(events) {
        const kinds = await store.publish(events)
        for (const [i, kind] of kinds.entries()) if (kind === 'conflict') bodies.set(events[i]!.id, events[i]!.body)
        return kinds
      },
      ...tellsClaims(store, (claim) => {
        const body = bodies.get(claim.event.id) ?? claim.event.body
        return { ...claim, event: { ...claim.event, body } }
      }),
    }
  },
  'a duplicate is routed twice': (store) => ({
    async publish(events) {
      const kinds = await store.publish(events)
      const again = events.filter((_, i) => kinds[i] === 'duplicate')
      await store.publish(again.map((event) => ({ ...event, id: `${event.id}.again` })))
      return kinds
    },
  }),
  'ids are of all scopes': writes((event) => ({ ...event, scope: event.scope === 'other' ? 'acme' : event.scope })),
  'bytes are text': (store) =>
    tellsClaims(store, (claim) => {
      const body = new Uint8Array(Buffer.from(Buffer.from(claim.event.body).toString()))
      return { ...claim, event: { ...claim.event, body } }
    }),
  'the time of an event is its writer’s': (store) => ({
    events: {
      async get(scope, id) {
        const found = await store.events.get(scope, id)
        return found && { ...found, createdAtMs: Date.now() }
      },
    },
  }),
  'traceparent is lost': writes((event) => without(event, 'traceparent')),
  'the correlation id is lost': writes((event) => without(event, 'correlationId')),
  ...Object.fromEntries(
    (['channel', 'key', 'subject', 'correlationId', 'traceparent'] as const).map((name): [string, Fault] => [
      `a router is not told the ${name}`,
      (store) => ({
        async takeUnrouted(limit, leaseMs) {
          const taken = await store.takeUnrouted(limit, leaseMs)
          return taken.map((each) => ({ ...each, event: without(each.event, name) }))
        },
      }),
    ]),
  ),
  'a sender is not told the channel': (store) =>
    tellsClaims(store, (claim) => ({ ...claim, event: without(claim.event, 'channel') })),
  'events of a subject have no bytes': (store) => ({
    events: {
      async bySubject(...args) {
        const events = await store.events.bySubject(...args)
        return events.map((event) => ({ ...event, body: new Uint8Array() }))
      },
    },
  }),
  'what was matched is never routed at once': writes((event) => without(event, 'matched')),
  'what was matched is routed whatever has changed': writes(async (event, store) => {
    if (event.matched === undefined) return event
    const { revision } = await store.audience(event.scope)
    return { ...event, matched: { ...event.matched, revision } }
  }),
  'not before is at once': writes((event) => without(event, 'notBeforeMs')),

  // Routing.
  'events are routed in any order': (store) => ({
    takeUnrouted: async (limit, leaseMs) => (await store.takeUnrouted(limit, leaseMs)).toReversed(),
  }),
  'many routers of a scope': (store) => ({ takeUnrouted: (limit) => store.takeUnrouted(limit, 0) }),
  'a router for ever': (store) => ({ takeUnrouted: (limit) => store.takeUnrouted(limit, 1e12) }),
  'takes more than was asked for': (store) => ({ takeUnrouted: (_, leaseMs) => store.takeUnrouted(1_000, leaseMs) }),
  'any token routes': (store) => {
    const last = new Map<string, string>()
    return {
      async takeUnrouted(limit, leaseMs) {
        const taken = await store.takeUnrouted(limit, leaseMs)
        for (const { event, token } of taken) last.set(event.scope, token)
        return taken
      },
      route: (routes) =>
        store.route(routes.map((route) => ({ ...route, token: last.get(route.scope) ?? route.token }))),
    }
  },
  'routes by an old audience': (store) => ({
    async route(routes) {
      const now = routes.map(async (route) => {
        const { revision } = await store.audience(route.scope)
        return { ...route, matched: { ...route.matched, revision } }
      })
      return store.route(await Promise.all(now))
    },
  }),
  'only the first endpoint is routed to': (store) => ({
    route: (routes) =>
      store.route(
        routes.map((route) => ({
          ...route,
          matched: { ...route.matched, deliveries: route.matched.deliveries.slice(0, 1) },
        })),
      ),
  }),
  'an audience of all handlers': (store) => {
    const names = new Map<string, readonly string[]>()
    return {
      registerHandlers(rows) {
        for (const { name, types } of rows) names.set(name, types)
        return store.registerHandlers(rows)
      },
      audience: async (scope) => ({
        ...(await store.audience(scope)),
        handlers: [...names].map(([name, types]) => ({ name, types })),
      }),
    }
  },

  // Claims.
  'a cap per node': (store) => forgetsFlights(store, (_, byOwner, q) => byOwner !== q.owner),
  'no cap': (store) => forgetsFlights(store, () => true),
  'a limit that is always one': signals('success', () => ({ kind: 'success', fast: false })),
  'a limit above concurrency': (store) => hidesRules(store, () => ({ concurrency: 1_000 })),
  'many of a lane in a claim': (store) => ({
    async claim(q) {
      const all = []
      for (;;) {
        const claims = await store.claim({ ...q, limit: q.limit - all.length })
        if (claims.length === 0) return all
        all.push(...claims)
      }
    },
  }),
  'more than were asked for': (store) => ({ claim: (q) => store.claim({ ...q, limit: 1_000 }) }),
  'one at a time': (store) => ({ claim: (q) => store.claim({ ...q, limit: 1 }) }),
  'the last lane first': (store) => ({
    async claim(q) {
      const claims = await store.claim({ ...q, limit: 1_000 })
      const [back, mine] = [claims.slice(0, -q.limit), claims.slice(-q.limit)]
      const end = { kind: 'release', afterMs: 0 } as const
      await store.settle(back.map(({ token }) => ({ token, attempt: null, end, signal: { kind: 'none' } })))
      return mine
    },
  }),
  'suspects whether asked for or not': (store) => ({ claim: (q) => store.claim({ ...q, suspects: true }) }),
  'suspects never': (store) => ({ claim: (q) => store.claim({ ...q, suspects: false }) }),
  'no claim is suspect': (store) => tellsClaims(store, (claim) => ({ ...claim, suspect: false })),
  'a handler is claimed by a stranger': (store) => {
    const names = new Set<string>()
    return {
      registerHandlers(rows) {
        for (const { name } of rows) names.add(name)
        return store.registerHandlers(rows)
      },
      claim: (q) => store.claim({ ...q, handlers: [...names] }),
    }
  },
  'paused and disabled lanes are claimed': (store) => hidesEndpoints(store, (row) => ({ ...row, state: 'active' })),
  'paused lanes are claimed': (store) =>
    hidesEndpoints(store, (row) => (row.state === 'paused' ? { ...row, state: 'active' } : row)),
  'a deleted endpoint is claimed': (store) => {
    const gone = new Set<string>()
    return {
      endpoints: {
        async remove(scope, id) {
          if (gone.has(id) || (await store.endpoints.get(scope, id)) === null) return false
          gone.add(id)
          return true
        },
        get: async (scope, id) => (gone.has(id) ? null : store.endpoints.get(scope, id)),
        list: async (scope, page) => (await store.endpoints.list(scope, page)).filter(({ id }) => !gone.has(id)),
      },
      async audience(scope) {
        const audience = await store.audience(scope)
        return { ...audience, endpoints: audience.endpoints.filter(({ id }) => !gone.has(id)) }
      },
    }
  },
  'secrets that have ended are given': (store) =>
    tellsClaims(store, async (claim) => {
      const found = await store.endpoints.get(claim.token.scope, claim.token.endpoint)
      return { ...claim, endpoint: claim.endpoint && { ...claim.endpoint, secrets: found!.secrets } }
    }),
  'the oldest secret first': (store) =>
    tellsClaims(store, (claim) => ({
      ...claim,
      endpoint: claim.endpoint && { ...claim.endpoint, secrets: claim.endpoint.secrets.toReversed() },
    })),
  'keys are not kept in order': (store) => {
    const keys = new Map<string, string | undefined>()
    return {
      publish: (events) =>
        store.publish(
          events.map(({ key, ...event }) => {
            keys.set(event.id, key)
            return event
          }),
        ),
      ...tellsClaims(store, (claim) => {
        const key = keys.get(claim.event.id)
        return key === undefined ? claim : { ...claim, event: { ...claim.event, key } }
      }),
    }
  },
  'a key waits for all keys': writes((event) => (event.key === undefined ? event : { ...event, key: 'all' })),
  'redriven deliveries are live ones': (store) => ({
    deliveries: {
      async redriveStep(limit) {
        const moved = await store.deliveries.redriveStep(limit)
        for (const scope of ['acme', 'other']) {
          const { rows } = await store.deliveries.list({ scope, status: 'pending' }, { limit: 1_000 })
          for (const row of rows) if (row.attempts > 0) await store.deliveries.retry(scope, row.id)
        }
        return moved
      },
    },
  }),
  'a rate is ignored': (store) => hidesRules(store, () => ({ rate: null })),
  'a rate is twice as high': (store) =>
    hidesRules(store, ({ rate }) => ({ rate: rate && { ...rate, perMs: rate.perMs / 2 } })),
  'a rate has no burst': (store) =>
    hidesRules(store, ({ rate }) => ({ rate: rate && { limit: 1, perMs: rate.perMs / rate.limit } })),
  'the breaker lets two probes go': (store) =>
    forgetsFlights(store, async ({ scope, endpoint }) => {
      return (await store.endpoints.get(scope, endpoint))?.health.openUntilMs !== null
    }),
  'no breaker': (store) => hidesRules(store, () => ({ breaker: null })),
  'a breaker opens a failure late': (store) =>
    hidesRules(store, ({ breaker }) => ({ breaker: breaker && { ...breaker, failures: breaker.failures + 1 } })),
  'the pause of a breaker grows without end': (store) =>
    hidesRules(store, ({ breaker }) => ({ breaker: breaker && { ...breaker, maxCooldownMs: 1e12 } })),
  'leases end early': (store) => hidesRules(store, ({ leaseMs }) => ({ leaseMs: leaseMs / 2 })),
  'leases never end': (store) => hidesRules(store, () => ({ leaseMs: 1e12 })),

  // Settles.
  'no fence': (store) => {
    const last = new Map<string, ClaimToken>()
    return {
      ...tellsClaims(store, (claim) => {
        last.set(claim.token.delivery, claim.token)
        return claim
      }),
      settle: (all) => store.settle(all.map((one) => ({ ...one, token: last.get(one.token.delivery) ?? one.token }))),
    }
  },
  'a settle that changed nothing is told as done': (store) => ({
    settle: async (all) =>
      (await store.settle(all)).map((settled) => (settled.kind === 'stale' ? { kind: 'ok', notices: [] } : settled)),
  }),
  'one stale settle makes all stale': (store) => ({
    async settle(all) {
      const settled = await store.settle(all)
      return settled.some(({ kind }) => kind === 'stale') ? settled.map(() => ({ kind: 'stale' })) : settled
    },
  }),
  'a retry is due too early': settles((one) =>
    'afterMs' in one.end ? { ...one, end: { ...one.end, afterMs: one.end.afterMs / 2 } } : one,
  ),
  'a release spends an attempt': (store) => {
    const released = new Map<string, number>()
    return {
      async settle(all) {
        for (const { token, attempt } of all) {
          if (attempt === null) released.set(token.delivery, (released.get(token.delivery) ?? 0) + 1)
        }
        return store.settle(all)
      },
      ...tellsClaims(store, (claim) => {
        const more = released.get(claim.token.delivery) ?? 0
        return { ...claim, attempts: claim.attempts + more, spent: claim.spent + more }
      }),
    }
  },
  'every end is exhausted': settles((one) =>
    one.end.kind === 'dead' ? { ...one, end: { ...one.end, reason: 'exhausted' } } : one,
  ),
  'rules of a settle are lost': settles((one) => without(one, 'rules')),
  'notices are lost': (store) => ({
    settle: async (all) =>
      (await store.settle(all)).map((settled) => (settled.kind === 'ok' ? { ...settled, notices: [] } : settled)),
  }),
  'a timeout is any failure': signals('timeout', () => ({ kind: 'failure' })),
  'a slow success is a fast one': signals('success', () => ({ kind: 'success', fast: true })),
  'a request for a pause is a failure': signals('slow-down', () => ({ kind: 'failure' })),
  'a pause is half as long': signals('slow-down', ({ blockMs }) => ({ kind: 'slow-down', blockMs: blockMs / 2 })),
  'a missing key is a failure': signals('no-key', () => ({ kind: 'failure' })),
  'a missing key is the receiver’s': signals('no-key', ({ blockMs }) => ({ kind: 'slow-down', blockMs })),
  'who is gone is only failing': signals('gone', () => ({ kind: 'failure' })),
  'nobody is disabled for failing': (store) => hidesRules(store, () => ({ disableAfterMs: null })),
  'what takes long is not told': () => ({ async slow() {} }),
  'a lost lease makes its lane suspect': (store) => {
    const last = new Map<string, ClaimToken>()
    return {
      ...tellsClaims(store, (claim) => {
        last.set(claim.token.delivery, claim.token)
        return claim
      }),
      async slow(tokens) {
        for (const { scope, endpoint, delivery } of tokens) {
          if ((await store.deliveries.get(scope, delivery))?.status !== 'pending') continue
          const claims = await store.claim({ limit: 1_000, owner: 'x', suspects: true, handlers: [] })
          await store.slow(claims.map(({ token }) => token).filter((token) => token.endpoint === endpoint))
        }
        await store.slow(tokens)
      },
    }
  },
  'attempts are not kept': (store) => ({
    deliveries: { attempts: async (scope, id, page) => (await store.deliveries.attempts(scope, id, page)) && [] },
  }),
  'late attempts are not kept': (store) => ({
    deliveries: {
      attempts: async (...args) =>
        (await store.deliveries.attempts(...args))?.filter(({ outcome }) => outcome !== 'stale') ?? null,
    },
  }),
  'late attempts say what they came to': (store) => ({
    deliveries: {
      attempts: async (...args) =>
        (await store.deliveries.attempts(...args))?.map((row) =>
          row.outcome === 'stale' ? { ...row, outcome: 'success' } : row,
        ) ?? null,
    },
  }),
  'crashes are not kept': (store) => ({
    deliveries: {
      attempts: async (...args) =>
        (await store.deliveries.attempts(...args))?.filter(({ outcome }) => outcome !== 'crashed') ?? null,
    },
  }),
  'answers are cut to ASCII': settles((one) => ({
    ...one,
    attempt: one.attempt && { ...one.attempt, response: one.attempt.response?.replaceAll(/[^ -~]/gu, '') ?? null },
  })),

  // Crashes.
  'a crash leaks its slot': (store) => {
    const leaked = new Map<string, number>()
    return {
      async reap(limit) {
        const reaped = await store.reap(limit)
        for (const { endpoint } of reaped) leaked.set(endpoint, (leaked.get(endpoint) ?? 0) + 1)
        return reaped
      },
      async claim(q) {
        const claims = await store.claim(q)
        const stuck = claims.filter(({ token }) => leaked.has(token.endpoint))
        const end = { kind: 'release', afterMs: 0 } as const
        await store.settle(stuck.map(({ token }) => ({ token, attempt: null, end, signal: { kind: 'none' } })))
        return claims.filter((claim) => !stuck.includes(claim))
      },
    }
  },
  'a crash spends an attempt': (store) => {
    const crashes = countsCrashes(store)
    return {
      ...crashes.changes,
      ...tellsClaims(store, (claim) => {
        const more = crashes.of(claim.token.delivery)
        return { ...claim, attempts: claim.attempts + more, spent: claim.spent + more }
      }),
    }
  },
  'nothing is poison': (store) => ({
    async reap(limit) {
      const reaped = await store.reap(limit)
      for (const { dead, scope, delivery } of reaped) if (dead) await store.deliveries.retry(scope, delivery)
      return reaped.map((each) => ({ ...each, dead: false }))
    },
  }),
  'five crashes in a life are poison': (store) => {
    const crashes = countsCrashes(store)
    return {
      async reap(limit) {
        const reaped = await crashes.changes.reap!(limit)
        return reaped.map((each) => ({ ...each, dead: each.dead || crashes.of(each.delivery) >= 5 }))
      },
    }
  },
  'reaps as many as it finds': (store) => ({ reap: () => store.reap(1_000) }),
  'reaps nothing': () => ({ reap: async () => [] }),

  // What is due.
  'nobody is woken': () => ({ onWake: async () => async () => {} }),
  'who has stopped is woken': (store) => ({
    async onWake(fn) {
      await store.onWake(fn)
      return async () => {}
    },
  }),
  'nothing is ever due': () => ({ nextDue: async () => null }),
  'something is always due': () => ({ nextDue: async () => 0 }),
  'handlers are never due': (store) => ({ nextDue: () => store.nextDue({ handlers: [] }) }),
  'a scope is never paused': (store) => ({
    async pause(scope, paused) {
      if (scope === null) await store.pause(scope, paused)
    },
  }),
  'all are never paused': (store) => ({
    async pause(scope, paused) {
      if (scope !== null) await store.pause(scope, paused)
    },
  }),
  'all that go on make each scope go on': (store) => {
    const scopes = new Set<string>()
    return {
      async pause(scope, paused) {
        await store.pause(scope, paused)
        if (scope !== null) scopes.add(scope)
        else if (!paused) for (const each of scopes) await store.pause(each, false)
      },
    }
  },

  // Endpoints.
  'no limit of endpoints': (store) => ({ endpoints: { insert: (row) => store.endpoints.insert(row, 1e9) } }),
  'an endpoint too few': (store) => ({ endpoints: { insert: (row, max) => store.endpoints.insert(row, max - 1) } }),
  'the last put wins': (store) => ({
    endpoints: {
      async put(row, _, heal) {
        const found = await store.endpoints.get(row.scope, row.id)
        return found && store.endpoints.put(row, found.revision, heal)
      },
    },
  }),
  'a put always heals': (store) => ({
    endpoints: { put: (row, revision) => store.endpoints.put(row, revision, true) },
  }),
  'a put never heals': (store) => ({
    endpoints: { put: (row, revision) => store.endpoints.put(row, revision, false) },
  }),
  'an old secret is lost': (store) => ({
    endpoints: {
      put: (row, revision, heal) => store.endpoints.put({ ...row, secrets: row.secrets.slice(0, 1) }, revision, heal),
    },
  }),
  'endpoints in any order': (store) => ({
    endpoints: { list: async (scope, page) => (await store.endpoints.list(scope, page)).toReversed() },
  }),
  'endpoints without pages': (store) => ({
    endpoints: { list: (scope, { limit }) => store.endpoints.list(scope, { limit }) },
  }),
  'removing an endpoint of any scope': (store) => ({
    endpoints: {
      async remove(scope, id) {
        return (
          (await store.endpoints.remove(scope, id)) || store.endpoints.remove(scope === 'other' ? 'acme' : 'other', id)
        )
      },
    },
  }),

  // Events of persons.
  'an erased event keeps its bytes': (store) => {
    const bodies = new Map<string, Uint8Array>()
    return {
      publish(events) {
        for (const { id, body } of events) bodies.set(id, body)
        return store.publish(events)
      },
      events: {
        async get(scope, id) {
          const found = await store.events.get(scope, id)
          return found && { ...found, body: bodies.get(id) ?? found.body }
        },
      },
    }
  },
  'an erased event keeps its answers': (store) => {
    const rows = new Map<string, string | null>()
    return {
      settle(all) {
        for (const { token, attempt } of all) rows.set(`${token.delivery} ${token.fence}`, attempt?.response ?? null)
        return store.settle(all)
      },
      deliveries: {
        attempts: async (scope, id, page) =>
          (await store.deliveries.attempts(scope, id, page))?.map((row) => ({
            ...row,
            response: rows.get(`${id} ${row.fence}`) ?? row.response,
          })) ?? null,
      },
    }
  },
  'erasing knows no bound': (store) => ({
    events: { erase: (scope, subject) => store.events.erase(scope, subject, 1_000) },
  }),
  'erasing does nothing': () => ({ events: { erase: async () => ({ events: 0, cancelled: 0 }) } }),
  'events of a subject newest first': (store) => ({
    events: { bySubject: async (...args) => (await store.events.bySubject(...args)).toReversed() },
  }),
  'a trace has events only': (store) => ({
    events: { trace: async (id) => (await store.events.trace(id)).filter(({ kind }) => kind === 'event') },
  }),

  // Deliveries.
  'a foreign delivery is seen': (store) => {
    const any = anyScope(store)
    return { ...any.claims, deliveries: { get: (scope, id) => store.deliveries.get(any.of(id, scope), id) } }
  },
  'a foreign delivery is retried': (store) => {
    const any = anyScope(store)
    return { ...any.claims, deliveries: { retry: (scope, id) => store.deliveries.retry(any.of(id, scope), id) } }
  },
  'attempts of a foreign delivery are seen': (store) => {
    const any = anyScope(store)
    return {
      ...any.claims,
      deliveries: { attempts: (scope, id, page) => store.deliveries.attempts(any.of(id, scope), id, page) },
    }
  },
  'deliveries oldest first': (store) => ({
    deliveries: {
      async list(query, page) {
        const { rows, next } = await store.deliveries.list(query, page)
        return { rows: rows.toReversed(), next }
      },
    },
  }),
  'a page begins with the last of the one before': (store) => ({
    deliveries: {
      list: (query, { after, limit }) =>
        store.deliveries.list(query, after === undefined ? { limit } : { after: `${after}~`, limit }),
    },
  }),
  'deliveries have no second page': (store) => ({
    deliveries: { list: async (query, page) => ({ ...(await store.deliveries.list(query, page)), next: null }) },
  }),
  ...Object.fromEntries(
    (['endpoint', 'event', 'type', 'status', 'fromMs', 'toMs'] as const).map((name): [string, Fault] => [
      `deliveries of any ${name}`,
      (store) => ({
        deliveries: {
          list: (query, page) => store.deliveries.list(without(query, name), page),
        },
      }),
    ]),
  ),
  'attempts newest first': (store) => ({
    deliveries: { attempts: async (...args) => (await store.deliveries.attempts(...args))?.toReversed() ?? null },
  }),
  'attempts have no pages': (store) => ({
    deliveries: { attempts: (scope, id, { limit }) => store.deliveries.attempts(scope, id, { limit }) },
  }),
  'a retry keeps the spent budget': (store) => tellsClaims(store, (claim) => ({ ...claim, spent: claim.attempts })),
  'a retry forgets all attempts': (store) => tellsClaims(store, (claim) => ({ ...claim, attempts: claim.spent })),
  'only the dead are retried': (store) => ({
    deliveries: {
      async retry(scope, id) {
        const row = await store.deliveries.get(scope, id)
        return row?.status === 'dead' ? store.deliveries.retry(scope, id) : row
      },
    },
  }),
  'a retry takes what is leased': (store) => ({
    deliveries: {
      async retry(scope, id) {
        const row = await store.deliveries.get(scope, id)
        if (row?.status === 'delivering') await store.deliveries.cancel({ scope, id }, 1)
        return store.deliveries.retry(scope, id)
      },
    },
  }),
  'what is leased is not cancelled': (store) => ({
    deliveries: {
      async cancel(q, limit) {
        const row = q.id === undefined ? null : await store.deliveries.get(q.scope, q.id)
        return row?.status === 'delivering' ? 0 : store.deliveries.cancel(q, limit)
      },
    },
  }),
  'a settle revives what was cancelled': (store) => ({
    async settle(all) {
      const settled = await store.settle(all)
      for (const [i, { token, attempt }] of all.entries()) {
        const row = await store.deliveries.get(token.scope, token.delivery)
        if (settled[i]!.kind !== 'stale' || row?.status !== 'cancelled' || attempt === null) continue
        await store.deliveries.retry(token.scope, token.delivery)
      }
      return settled
    },
  }),
  'cancelling knows no bound': (store) => ({ deliveries: { cancel: (q) => store.deliveries.cancel(q, 1_000) } }),
  'cancelling knows no endpoint': (store) => ({
    deliveries: { cancel: (q, limit) => store.deliveries.cancel(without(q, 'endpoint'), limit) },
  }),
  'a redrive knows no pace': redrives({ perSecond: 1e9 }),
  'a redrive knows no endpoint': redrives({ endpoint: undefined }),
  'a redrive knows no beginning': redrives({ fromMs: undefined }),
  'a redrive knows no end': redrives({ toMs: undefined }),
  'a redrive moves the dead only': redrives({ status: 'dead' }),
  'a redrive moves all at once': (store) => ({
    deliveries: { redriveStep: () => store.deliveries.redriveStep(1_000) },
  }),
  'a redrive is never done': (store) => ({
    deliveries: {
      async redriveStatus(scope, id) {
        const status = await store.deliveries.redriveStatus(scope, id)
        return status && { ...status, state: 'running' }
      },
    },
  }),

  // What is kept.
  'sweeps what is still wanted': sweeps({ deliveriesMs: 0 }),
  'sweeps events of yesterday': sweeps({ eventsMs: 0 }),
  'sweeps no events': sweeps({ eventsMs: 1e12 }),
  'sweeps no deliveries': sweeps({ deliveriesMs: 1e12 }),
  'sweeps no attempts': sweeps({ attemptsMs: 1e12 }),
  'held for ever': sweeps({ heldMs: 1e12 }),
  'what is held expires at once': sweeps({ heldMs: 0 }),
  'a sweep knows no bound': (store) => ({ sweep: (_, retention) => store.sweep(1e6, retention) }),
  'an expired key is gone': (store, clock) => ({
    signingKeys: {
      async get(keyId) {
        const row = await store.signingKeys.get(keyId)
        return row !== null && row.expiresAtMs !== null && row.expiresAtMs <= clock.now() ? null : row
      },
    },
  }),
  'a key ends in another scope': (store) => ({
    signingKeys: {
      async expire(scope, keyId, inMs) {
        const row = await store.signingKeys.get(keyId)
        return store.signingKeys.expire(row?.scope ?? scope, keyId, inMs)
      },
    },
  }),
  'keys of all principals': (store) => ({ signingKeys: { list: (scope) => store.signingKeys.list(scope) } }),
  'keys never end': (store) => ({ signingKeys: { insert: (row) => store.signingKeys.insert(row, null) } }),
  'scopes in any case are one': collates('scope', anyCase),
  'scopes with blanks behind are one': collates('scope', unpadded),
  'scopes with any accent are one': collates('scope', unaccented),
  'scopes in any normal form are one': collates('scope', normal),
  'scopes that begin so are one': collates('scope', cut),
  'ids in any case are one': collates('id', anyCase),
  'ids that begin so are one': collates('id', cut),
  'subjects in any case are one': collates('subject', anyCase),
  'subjects with blanks behind are one': collates('subject', unpadded),
  'correlations in any case are one': collates('correlationId', anyCase),
  'keys of a lane in any case are one': collates('key', anyCase),
  'keys of a lane with any accent are one': collates('key', unaccented),
  'principals in any case are one': (store) => ({
    signingKeys: {
      async list(scope, principal) {
        const rows = await store.signingKeys.list(scope)
        return rows.filter((row) => principal === undefined || anyCase(row.principal) === anyCase(principal))
      },
    },
  }),
  'endpoints of scopes in any case are one': ({ endpoints }) => ({
    endpoints: {
      insert: async (row, max) => endpoints.insert({ ...row, scope: anyCase(row.scope) }, max),
      get: async (scope, id) => endpoints.get(anyCase(scope), id),
      list: async (scope, page) => endpoints.list(anyCase(scope), page),
      remove: async (scope, id) => endpoints.remove(anyCase(scope), id),
    },
  }),
  'nothing is counted as held': (store) => ({
    async inspect() {
      const status = await store.inspect()
      return { ...status, counts: { ...status.counts, held: 0 } }
    },
  }),
  'nothing is ever late': (store) => ({ inspect: async () => ({ ...(await store.inspect()), oldestDueMs: 0 }) }),
}

/** Stores in memory with one fault each: what {@link webhookStoreSuite} must catch. */
export const brokenStores: Readonly<Record<string, Subject<StoreUnderTest>>> = Object.fromEntries(
  Object.entries(faults).map(([name, fault]) => [
    name,
    {
      has: ['elapse'],
      async make() {
        const clock = virtualClock()
        const store = memoryStore({ clock })
        return {
          store: changedStore(store, fault(store, clock)),
          elapse: (ms: number) => clock.advance(ms),
          async dispose() {},
        }
      },
    },
  ]),
)
