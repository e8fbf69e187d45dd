import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Audience, Claim, EndpointRow, NewEvent, Settlement, Unrouted, WebhookStore } from '@keelson/webhooks'
import { timedMemory, timedStores } from './timed-stores.ts'

const LONG = process.env['LONG'] === '1'
/** For what hangs. */
const LIMIT_MS = LONG ? 6 * 3_600_000 : 600_000
const SCOPES = ['a', 'b'] as const
const ENDPOINTS = ['ep_1', 'ep_2', 'ep_3'] as const
const START_MS = 1_700_000_000_000
const FOREVER_MS = 10 ** 13

type Step =
  | { do: 'publish'; scope: string; ids: number[]; key?: string; subject?: string; laterMs?: number; matched: boolean }
  | { do: 'take' | 'route' | 'audience' | 'reap' | 'redriveStep' }
  | { do: 'wait'; ms: number }
  | { do: 'claim'; suspects: boolean; handlers: boolean }
  | { do: 'settle'; pick: number; count: number; how: number; repeat: boolean }
  | { do: 'slow'; pick: number }
  | { do: 'insert'; scope: string; id: string; rate: boolean; paused: boolean }
  | { do: 'put'; scope: string; id: string; state: EndpointRow['state']; heal: boolean; config: string }
  | { do: 'remove'; scope: string; id: string }
  | { do: 'pause'; scope: string | null; paused: boolean }
  | { do: 'retry'; pick: number }
  | { do: 'cancel'; scope: string; endpoint?: string; pick?: number }
  | { do: 'redrive'; scope: string; endpoint?: string; status: 'dead' | 'cancelled'; perSecond: number }
  | { do: 'erase'; scope: string }
  | { do: 'sweep'; days: number }
  | { do: 'handlers'; types: string[] }

const scope = fc.constantFrom(...SCOPES)
const id = fc.constantFrom(...ENDPOINTS)
const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined })
const pick = fc.nat(20)

/** Options that are absent are not there. */
const step = (fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Step> =>
  fc.record(fields).map((given) => JSON.parse(JSON.stringify(given)) as Step)

const steps = fc.array(
  fc.oneof(
    {
      weight: 6,
      arbitrary: step({
        do: fc.constant('publish'),
        scope,
        ids: fc.array(fc.nat(60), { minLength: 1, maxLength: 4 }),
        key: maybe(fc.constantFrom('k', 'k2')),
        subject: maybe(fc.constant('s')),
        laterMs: maybe(fc.nat(5_000)),
        matched: fc.boolean(),
      }),
    },
    { weight: 5, arbitrary: step({ do: fc.constant('take') }) },
    { weight: 5, arbitrary: step({ do: fc.constant('route') }) },
    { weight: 8, arbitrary: step({ do: fc.constant('claim'), suspects: fc.boolean(), handlers: fc.boolean() }) },
    {
      weight: 8,
      arbitrary: step({
        do: fc.constant('settle'),
        pick,
        count: fc.integer({ min: 1, max: 4 }),
        how: fc.nat(8),
        repeat: fc.boolean(),
      }),
    },
    { weight: 5, arbitrary: step({ do: fc.constant('wait'), ms: fc.constantFrom(1, 300, 2_000, 9_000, 90_000) }) },
    { weight: 2, arbitrary: step({ do: fc.constant('slow'), pick }) },
    {
      weight: 4,
      arbitrary: step({ do: fc.constant('insert'), scope, id, rate: fc.boolean(), paused: fc.boolean() }),
    },
    {
      weight: 3,
      arbitrary: step({
        do: fc.constant('put'),
        scope,
        id,
        state: fc.constantFrom('active', 'active', 'paused', 'disabled'),
        heal: fc.boolean(),
        config: fc.constantFrom('{}', '{"types":1}'),
      }),
    },
    { weight: 1, arbitrary: step({ do: fc.constant('remove'), scope, id }) },
    {
      weight: 2,
      arbitrary: step({
        do: fc.constant('pause'),
        scope: fc.option(scope, { nil: null }),
        paused: fc.boolean(),
      }),
    },
    { weight: 3, arbitrary: step({ do: fc.constant('retry'), pick }) },
    { weight: 1, arbitrary: step({ do: fc.constant('cancel'), scope, endpoint: maybe(id), pick: maybe(pick) }) },
    {
      weight: 2,
      arbitrary: step({
        do: fc.constant('redrive'),
        scope,
        endpoint: maybe(id),
        status: fc.constantFrom('dead', 'cancelled'),
        perSecond: fc.constantFrom(1, 1_000),
      }),
    },
    { weight: 3, arbitrary: step({ do: fc.constant('redriveStep') }) },
    { weight: 3, arbitrary: step({ do: fc.constant('reap') }) },
    { weight: 1, arbitrary: step({ do: fc.constant('erase'), scope }) },
    { weight: 1, arbitrary: step({ do: fc.constant('sweep'), days: fc.constantFrom(0, 1) }) },
    {
      weight: 1,
      arbitrary: step({ do: fc.constant('handlers'), types: fc.constantFrom(['**'], ['x.*']) }),
    },
    { weight: 1, arbitrary: step({ do: fc.constant('audience') }) },
  ),
  { minLength: 15, maxLength: 70 },
)

/** There are endpoints to begin with. */
const FIRST: readonly Step[] = [
  { do: 'insert', scope: 'a', id: 'ep_1', rate: false, paused: false },
  { do: 'insert', scope: 'a', id: 'ep_2', rate: true, paused: false },
  { do: 'insert', scope: 'b', id: 'ep_1', rate: false, paused: false },
]

/** One of the two stores, with what it alone calls things: fences and tokens. */
class Side {
  readonly store: WebhookStore
  claims: Claim[] = []
  taken: Unrouted[] = []
  readonly redrives: string[] = []

  constructor(store: WebhookStore) {
    this.store = store
  }
}

/** Plays one step, and answers what may be compared. */
async function play(side: Side, step: Step, n: number): Promise<unknown> {
  const { store } = side
  switch (step.do) {
    case 'publish': {
      const { revision, endpoints } = await audienceOf(store, step.scope)
      const events = step.ids.map((number, i): NewEvent => ({
        scope: step.scope,
        id: `ev_${number}`,
        type: 'x.y',
        body: new TextEncoder().encode(`body ${n} ${i}`),
        digest: createHash('sha256')
          .update(String(number % 7 === 0 ? n : number))
          .digest('hex'),
        ...(step.key === undefined ? {} : { key: `\\${step.key}\0` }),
        ...(step.subject === undefined ? {} : { subject: step.subject }),
        ...(step.laterMs === undefined ? {} : { notBeforeMs: START_MS + n * 500 + step.laterMs }),
        ...(step.matched
          ? {
              matched: {
                revision,
                deliveries: endpoints.map(({ id }, e) => ({ id: deliveryId(n, i, e), endpoint: id })),
              },
            }
          : {}),
      }))
      return store.publish(events)
    }
    case 'take':
      // Only events of one scope have an order.
      side.taken.push(...(await store.takeUnrouted(1_000, 3_000)).toSorted(byScope))
      return side.taken.map(({ event }) => plain(event))
    case 'route': {
      const taken = side.taken
      side.taken = []
      return store.route(
        await Promise.all(
          taken.map(async ({ event, revision, token }, i) => {
            const { endpoints, handlers } = await store.audience(event.scope)
            const ids = [...endpoints.map(({ id }) => id), ...handlers.map(({ name }) => `fn:${name}`)]
            const deliveries = ids.toSorted().map((endpoint, e) => ({ id: deliveryId(n, i, e), endpoint }))
            return { scope: event.scope, event: event.id, token, matched: { revision, deliveries } }
          }),
        ),
      )
    }
    case 'audience':
      return Promise.all(SCOPES.map(async (name) => ({ ...(await audienceOf(store, name)), revision: '' })))
    case 'claim': {
      const claims = await store.claim({
        limit: 100,
        owner: 'n',
        suspects: step.suspects,
        handlers: step.handlers ? ['h'] : [],
      })
      const sorted = claims.toSorted((x, y) => (nameOf(x) < nameOf(y) ? -1 : 1))
      side.claims.push(...sorted)
      // Fences are each store's own.
      return sorted.map((claim) => ({ ...claim, token: { ...claim.token, fence: 0 }, event: plain(claim.event) }))
    }
    case 'settle': {
      const picked = side.claims.splice(step.pick % Math.max(1, side.claims.length), step.count)
      const settlements = picked.map((claim, i) => settlement(claim, step.how + i))
      if (step.repeat) settlements.push(...settlements)
      return store.settle(settlements)
    }
    case 'slow':
      return store.slow(side.claims.slice(step.pick % Math.max(1, side.claims.length)).map(({ token }) => token))
    case 'reap': {
      const reaped = await store.reap(100)
      return reaped.toSorted((x, y) => (x.delivery < y.delivery ? -1 : 1))
    }
    case 'insert':
      return view(await store.endpoints.insert(endpointRow(step), 3))
    case 'put': {
      const known = await store.endpoints.get(step.scope, step.id)
      if (known === null) return null
      const { state, config } = step
      const row = { ...known, state, config, disabledReason: state === 'disabled' ? 'a\\b' : null }
      return view(
        await store.endpoints.put(rowOf(row), known.revision - (step.heal && state === 'paused' ? 1 : 0), step.heal),
      )
    }
    case 'remove':
      return store.endpoints.remove(step.scope, step.id)
    case 'pause':
      return store.pause(step.scope, step.paused)
    case 'retry': {
      const { rows } = await store.deliveries.list({ scope: SCOPES[step.pick % 2]! }, { limit: 200 })
      const row = rows[step.pick % Math.max(1, rows.length)]
      return row === undefined ? null : store.deliveries.retry(row.scope, row.id)
    }
    case 'cancel': {
      const { rows } = await store.deliveries.list({ scope: step.scope }, { limit: 200 })
      const row = step.pick === undefined ? undefined : rows[step.pick % Math.max(1, rows.length)]
      const { scope, endpoint } = step
      return store.deliveries.cancel(
        { scope, ...(endpoint === undefined ? {} : { endpoint }), ...(row === undefined ? {} : { id: row.id }) },
        1_000,
      )
    }
    case 'redrive': {
      const { do: _, ...query } = step
      side.redrives.push(`rd_${n}`)
      return store.deliveries.startRedrive({ id: `rd_${n}`, ...query })
    }
    case 'redriveStep':
      return store.deliveries.redriveStep(3)
    case 'erase':
      return store.events.erase(step.scope, 's', 3)
    case 'sweep': {
      const ms = step.days * 60_000
      const retention = { attemptsMs: FOREVER_MS, deliveriesMs: ms, eventsMs: ms, heldMs: ms }
      let all = 0
      for (let swept = 1; swept > 0; all += swept) swept = await store.sweep(1_000, retention)
      return all
    }
    case 'handlers':
      return store.registerHandlers([{ name: 'h', types: step.types, scope: null, rules: RULES }])
    case 'wait':
      return undefined
  }
}

function byScope(x: Unrouted, y: Unrouted): number {
  return x.event.scope === y.event.scope ? 0 : x.event.scope < y.event.scope ? -1 : 1
}

async function audienceOf(store: WebhookStore, name: string): Promise<Audience> {
  const { endpoints, ...audience } = await store.audience(name)
  return { ...audience, endpoints: endpoints.toSorted((x, y) => (x.id < y.id ? -1 : 1)) }
}

const RULES = {
  concurrency: 3,
  rate: null,
  leaseMs: 5_000,
  breaker: { failures: 3, cooldownMs: 1_000, maxCooldownMs: 4_000 },
  disableAfterMs: 100_000,
}

function endpointRow(step: Extract<Step, { do: 'insert' }>): EndpointRow {
  return {
    scope: step.scope,
    id: step.id,
    state: step.paused && step.rate ? 'paused' : 'active',
    disabledReason: null,
    config: '{}',
    secrets: [
      { sealed: new Uint8Array([0, 1, 255]), untilMs: null },
      { sealed: new Uint8Array([2]), untilMs: START_MS + 20_000 },
    ],
    rules: step.rate ? { ...RULES, rate: { limit: 3, perMs: 1_000 } } : RULES,
  }
}

const SIGNALS = [
  { kind: 'success', fast: true },
  { kind: 'success', fast: true },
  { kind: 'success', fast: false },
  { kind: 'failure' },
  { kind: 'timeout' },
  { kind: 'gone' },
  { kind: 'slow-down', blockMs: 1_500 },
  { kind: 'no-key', blockMs: 700 },
  { kind: 'none' },
] as const

function settlement({ token }: Claim, how: number): Settlement {
  const signal = SIGNALS[how % SIGNALS.length]!
  const tried = signal.kind !== 'none' && signal.kind !== 'no-key'
  return {
    token,
    attempt: tried
      ? {
          durationMs: 20 + how,
          outcome: signal.kind === 'success' ? 'success' : 'status',
          status: 200 + how,
          remoteAddress: '127.0.0.1',
          response: 'nul \0 and \\0',
          error: signal.kind === 'success' ? null : 'why',
        }
      : null,
    end:
      signal.kind === 'success'
        ? { kind: 'succeeded' }
        : signal.kind === 'gone'
          ? { kind: 'dead', reason: 'gone' }
          : how % 4 === 3
            ? { kind: 'dead', reason: 'exhausted' }
            : { kind: tried ? 'retry' : 'release', afterMs: 400 * how },
    signal,
    ...(how % 3 === 0 ? { rules: { ...RULES, concurrency: 5 } } : {}),
  }
}

/** All that can be read of a store. */
async function look(side: Side): Promise<unknown> {
  const { store } = side
  const scopes = await Promise.all(
    SCOPES.map(async (name) => {
      const { rows } = await store.deliveries.list({ scope: name }, { limit: 200 })
      const logs = await Promise.all(
        rows.map(async ({ id }) =>
          (await store.deliveries.attempts(name, id, { limit: 100 }))?.map((row) => ({ ...row, fence: 0 })),
        ),
      )
      const endpoints = await store.endpoints.list(name, { limit: 10 })
      const subjects = await store.events.bySubject(name, 's', { limit: 100 })
      return { rows, logs, endpoints: endpoints.map(view), subjects: subjects.map(plain) }
    }),
  )
  const redrives = await Promise.all(
    SCOPES.flatMap((name) => side.redrives.map((redrive) => store.deliveries.redriveStatus(name, redrive))),
  )
  return { scopes, redrives, status: await store.inspect(), due: await store.nextDue({ handlers: ['h'] }) }
}

const deliveryId = (n: number, i: number, e: number): string =>
  `dl_${String(n).padStart(4, '0')}_${String(i).padStart(3, '0')}_${e}`
const nameOf = ({ token }: Claim): string => `${token.scope} ${token.delivery}`
const plain = ({ body, ...event }: { body: Uint8Array }): object => ({ ...event, body: Buffer.from(body).toString() })

function rowOf({ scope, id, state, disabledReason, config, secrets, rules }: EndpointRow): EndpointRow {
  return { scope, id, state, disabledReason, config, secrets, rules }
}

function view<T>(endpoint: T): T {
  return typeof endpoint === 'object' && endpoint !== null ? (JSON.parse(JSON.stringify(endpoint)) as T) : endpoint
}

describe.each(Object.keys(timedStores))('%s', (kind) => {
  test('whatever is done to it, it answers as the store in memory does', { timeout: LIMIT_MS }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (played) => {
        await using real = await timedStores[kind]!()
        await using model = timedMemory()
        const sides = [new Side(real.store), new Side(model.store)] as const
        let nowMs = START_MS
        for (const [n, step] of [...FIRST, ...played].entries()) {
          nowMs += step.do === 'wait' ? step.ms : 1
          await real.at(nowMs)
          await model.at(nowMs)
          const [answer, expected] = [await play(sides[0], step, n), await play(sides[1], step, n)]
          const why = `step ${n}: ${JSON.stringify(step)}`
          expect(answer, why).toEqual(expected)
          expect(await look(sides[0]), why).toEqual(await look(sides[1]))
        }
      }),
      {
        numRuns: Number(process.env['RUNS'] ?? (LONG ? 1_000 : 15)),
        endOnFailure: process.env['SHRINK'] === undefined,
      },
    )
  })
})
