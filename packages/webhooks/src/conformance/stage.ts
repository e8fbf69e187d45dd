import { createHash, randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Case, Tools } from '@keelson/kernel/conformance'
import type { LaneRules, LaneSignal } from '../lane.ts'
import type {
  AttemptRow,
  Claim,
  DeliveryRow,
  EndpointRow,
  NewEvent,
  PageOf,
  Retention,
  Settled,
  Settlement,
  StoredEndpoint,
  Unrouted,
  WebhookStore,
} from '../store.ts'
import type { StoreUnderTest } from './store-under-test.ts'

/** What must not be over lasts an hour: no machine stands still that long. */
export const LONG_MS = 3_600_000
/** What must be over ends soon, and is waited for; nothing depends on it still lasting. */
export const SHORT_MS = 60
/** How long to let pass where two instants must differ. */
export const APART_MS = 10
/** Time of the store in which what was promised has happened, on any machine. */
const PATIENCE_MS = 20_000
const LOOK_EVERY_MS = 10

type ClaimQuery = Parameters<WebhookStore['claim']>[0]

/** What a case of a store works with. */
export interface Stage extends Tools {
  readonly store: WebhookStore
  /** The same store, as another process sees it. */
  readonly peer: WebhookStore
  elapse(ms: number): Promise<void>
  /** Waits for something while the store's time passes; fails when it does not come. */
  until<R>(what: string, isSo: () => Promise<R | undefined | false>): Promise<R>
  /** The store's own time, ms since the epoch. */
  now(): Promise<number>
  /** Makes an endpoint of scope 'acme'. */
  endpoint(rules?: Partial<LaneRules>, more?: Partial<EndpointRow>): Promise<StoredEndpoint>
  /** An endpoint as it is now. */
  seen(of: { readonly scope: string; readonly id: string }): Promise<StoredEndpoint>
  /** Publishes events that are fresh, in one step. */
  publish(...events: readonly Partial<NewEvent>[]): Promise<NewEvent[]>
  /** Routes all that is unrouted, to their endpoint or to all endpoints and handlers; the deliveries made, in order. */
  route(): Promise<string[]>
  /** Publishes to this endpoint alone and routes it; the delivery's id. */
  deliver(to: { readonly scope: string; readonly id: string }, more?: Partial<NewEvent>): Promise<string>
  /** Claims all it can, suspects too. */
  claim(q?: Partial<ClaimQuery>): Promise<readonly Claim[]>
  /** Claims, and fails unless it is one. */
  claimOne(q?: Partial<ClaimQuery>): Promise<Claim>
  /** The ids of the deliveries that a claim gives. */
  claimIds(q?: Partial<ClaimQuery>): Promise<string[]>
  /** Settles a claim; without more words it has succeeded, fast. */
  settle(claim: Pick<Claim, 'token'>, how?: Partial<Settlement>): Promise<Settled>
  /** Fails unless the settle is 'ok'. */
  settled(claim: Pick<Claim, 'token'>, how?: Partial<Settlement>): Promise<void>
  /** Lets `to` have `limit` in flight, by fast successes. */
  widen(to: { readonly scope: string; readonly id: string }, limit: number): Promise<void>
  /** Delivers to `to` and ends that so. */
  ended(
    to: { readonly scope: string; readonly id: string },
    how?: Partial<Settlement>,
    more?: Partial<NewEvent>,
  ): Promise<string>
  delivery(id: string, scope?: string): Promise<DeliveryRow>
  /** Reaps until this many leases have been ended. */
  reaped(count: number): ReturnType<WebhookStore['reap']>
  /** All rows of a list whose pages go on behind their last id. */
  pagesById<R extends { readonly id: string }>(
    limit: number,
    read: (page: PageOf<string>) => Promise<readonly R[]>,
  ): Promise<R[]>
  /** Sweeps until nothing is left; what is not named is kept. How many rows that were. */
  sweepAll(retention?: Partial<Retention>, limit?: number): Promise<number>
  /** All rows of a paged list. */
  pages<R, C>(limit: number, read: (page: PageOf<C>) => Promise<{ rows: readonly R[]; next: C | null }>): Promise<R[]>
}

/** A case on a stage. */
export function storeCase(
  name: string,
  run: (stage: Stage) => Promise<void>,
  ...needs: readonly string[]
): Case<StoreUnderTest> {
  return { name, ...(needs.length === 0 ? {} : { needs }), run: (subject, tools) => run(stageOf(subject, tools)) }
}

let ids = 0
/** An id of something new; later ones sort behind. */
export function nextId(prefix: string): string {
  return `${prefix}_${String(++ids).padStart(12, '0')}`
}

/** Sets the stage for one case. */
export function stageOf({ store, peer = store, elapse = sleepFor }: StoreUnderTest, tools: Tools): Stage {
  const stage: Stage = {
    ...tools,
    store,
    peer,
    elapse,
    async until(what, isSo) {
      for (let waitedMs = 0; ; waitedMs += LOOK_EVERY_MS) {
        const found = await isSo()
        if (found !== undefined && found !== false) return found
        tools.ok(waitedMs < PATIENCE_MS, `after ${PATIENCE_MS} ms of the store's time: ${what}`)
        await elapse(LOOK_EVERY_MS)
      }
    },
    async now() {
      const key = { keyId: nextId('now'), scope: 'clock', principal: 'clock', sealed: new Uint8Array() }
      return (await store.signingKeys.insert(key, null)).createdAtMs
    },
    async endpoint(rules, more) {
      const inserted = await store.endpoints.insert(endpointRow(rules, more), 1_000)
      tools.ok(inserted !== 'limit', 'there is room for an endpoint')
      return inserted as StoredEndpoint
    },
    async seen({ scope, id }) {
      const found = await store.endpoints.get(scope, id)
      tools.ok(found, `endpoint ${id} is there`)
      return found!
    },
    async publish(...given) {
      const events = given.map(newEvent)
      tools.equal(
        await store.publish(events),
        events.map(() => 'fresh'),
      )
      return events
    },
    async route() {
      const made: string[] = []
      for (;;) {
        const taken = await store.takeUnrouted(100, LONG_MS)
        if (taken.length === 0) return made
        const routes = []
        for (const unrouted of taken) {
          const { scope, id } = unrouted.event
          const matched = { revision: unrouted.revision, deliveries: await matches(store, unrouted) }
          routes.push({ scope, event: id, token: unrouted.token, matched })
        }
        tools.equal(
          await store.route(routes),
          routes.map(() => 'ok'),
        )
        made.push(...routes.flatMap(({ matched }) => matched.deliveries.map(({ id }) => id)))
      }
    },
    async deliver({ scope, id }, more) {
      await stage.publish({ scope, endpoint: id, ...more })
      const [delivery] = await stage.route()
      return delivery!
    },
    claim: (q) => store.claim({ limit: 1_000, owner: 'node 1', suspects: true, handlers: [], ...q }),
    async claimOne(q) {
      const claims = await stage.claim(q)
      tools.equal(claims.length, 1, 'claims')
      return claims[0]!
    },
    claimIds: async (q) => (await stage.claim(q)).map(({ token }) => token.delivery),
    async settle(claim, how) {
      const [settled] = await store.settle([settlement(claim, how)])
      return settled!
    },
    async settled(claim, how) {
      tools.equal((await stage.settle(claim, how)).kind, 'ok')
    },
    async widen(to, limit) {
      for (let n = 1; n < limit; n++) await stage.ended(to)
      tools.equal((await stage.seen(to)).health.limit, limit)
    },
    async ended(to, how, more) {
      const id = await stage.deliver(to, more)
      const claim = (await stage.claim({ handlers: [to.id.slice(3)] })).find(({ token }) => token.delivery === id)
      tools.ok(claim, `${id} is claimed`)
      await stage.settled(claim!, how)
      return id
    },
    async delivery(id, scope = SCOPE) {
      const found = await store.deliveries.get(scope, id)
      tools.ok(found, `delivery ${id} is there`)
      return found!
    },
    async reaped(count) {
      const all: Awaited<ReturnType<WebhookStore['reap']>>[number][] = []
      await stage.until(`${count} leases are reaped`, async () => {
        all.push(...(await store.reap(100)))
        return all.length >= count
      })
      tools.equal(all.length, count, 'reaped')
      return all
    },
    pagesById: (limit, read) =>
      stage.pages<Awaited<ReturnType<typeof read>>[number], string>(limit, async (page) => {
        const rows = await read(page)
        return { rows, next: rows.length < limit ? null : rows.at(-1)!.id }
      }),
    async sweepAll(retention, limit = 100) {
      let removed = 0
      for (let sweeps = 0; ; sweeps++) {
        const count = await store.sweep(limit, { ...FOREVER, ...retention })
        if (count === 0) return removed
        removed += count
        tools.ok(sweeps < 1_000, 'sweep goes on for ever')
      }
    },
    async pages(limit, read) {
      const all = []
      let page: Parameters<typeof read>[0] = { limit }
      for (let reads = 0; ; reads++) {
        tools.ok(reads < 1_000, 'the pages have an end')
        const { rows, next } = await read(page)
        tools.ok(rows.length <= limit, `a page of ${rows.length}, at most ${limit} were to be`)
        all.push(...rows)
        if (next === null) return all
        page = { after: next, limit }
      }
    },
  }
  return stage
}

const FOREVER_MS = 1_000 * LONG_MS
/** Nothing is over. */
export const FOREVER: Retention = {
  attemptsMs: FOREVER_MS,
  deliveriesMs: FOREVER_MS,
  eventsMs: FOREVER_MS,
  heldMs: FOREVER_MS,
}

/** A machine's own sleep may end a little early by another clock. */
async function sleepFor(ms: number): Promise<void> {
  await sleep(Math.ceil(ms) + 2)
}

/** The scope of all that names none. */
export const SCOPE = 'acme'

/** Texts, each two of which some database takes for one: by case, accents, spelling, blanks at an end, or length. */
export const LOOKALIKES: readonly string[] = [
  'Oslo',
  'oslo',
  'Oslo ',
  ' Oslo',
  'Osl\u00f3',
  'Oslo\u0301',
  `${'o'.repeat(100)}1`,
  `${'o'.repeat(100)}2`,
]

/** What a store need not know: who receives an event. */
async function matches(store: WebhookStore, { event }: Unrouted): Promise<{ id: string; endpoint: string }[]> {
  if (event.endpoint !== undefined) return [{ id: nextId('dl'), endpoint: event.endpoint }]
  const { endpoints, handlers } = await store.audience(event.scope)
  const all = [...endpoints.map(({ id }) => id), ...handlers.map(({ name }) => `fn:${name}`)]
  return all.map((endpoint) => ({ id: nextId('dl'), endpoint }))
}

/** An event that nobody has published. */
export function newEvent(more: Partial<NewEvent> = {}): NewEvent {
  const id = more.id ?? nextId('ev')
  const body = more.body ?? Buffer.from(`{"type":"shipment.created","data":{"id":"${id}"}}`)
  const digest = createHash('sha256').update(body).digest('hex')
  return { scope: SCOPE, id, type: 'shipment.created', body: new Uint8Array(body), digest, ...more }
}

/** An endpoint that nobody has made: four in flight, nothing ends soon. */
export function endpointRow(rules: Partial<LaneRules> = {}, more: Partial<EndpointRow> = {}): EndpointRow {
  return {
    scope: SCOPE,
    id: nextId('ep'),
    state: 'active',
    disabledReason: null,
    config: '{"url":"https://acme.example/hook"}',
    secrets: [{ sealed: new Uint8Array(randomBytes(24)), untilMs: null }],
    rules: laneRules(rules),
    ...more,
  }
}

/** Rules that stop nothing but more than four. */
export function laneRules(more: Partial<LaneRules> = {}): LaneRules {
  return { concurrency: 4, rate: null, leaseMs: LONG_MS, breaker: null, disableAfterMs: null, ...more }
}

/** An attempt that came to this. */
export function attempt(more: Partial<AttemptRow> = {}): AttemptRow {
  return {
    durationMs: 7,
    outcome: 'success',
    status: 200,
    remoteAddress: '192.0.2.1',
    response: 'thanks',
    error: null,
    ...more,
  }
}

/** How a claim ended; without more words it has succeeded, fast. */
export function settlement({ token }: Pick<Claim, 'token'>, more: Partial<Settlement> = {}): Settlement {
  return { token, attempt: attempt(), end: { kind: 'succeeded' }, signal: { kind: 'success', fast: true }, ...more }
}

/** The receiver failed; again in `afterMs`. */
export function failed(afterMs: number, signal: LaneSignal = { kind: 'failure' }): Partial<Settlement> {
  return {
    attempt: attempt({ outcome: 'status', status: 500, response: 'no' }),
    end: { kind: 'retry', afterMs },
    signal,
  }
}

/** Nothing was tried; again in `afterMs`. */
export function released(afterMs = 0): Partial<Settlement> {
  return { attempt: null, end: { kind: 'release', afterMs }, signal: { kind: 'none' } }
}

/** Given up for this reason. */
export function given(reason: 'exhausted' | 'refused' | 'gone' = 'exhausted'): Partial<Settlement> {
  return {
    ...failed(0),
    end: { kind: 'dead', reason },
    signal: reason === 'gone' ? { kind: 'gone' } : { kind: 'none' },
  }
}
