import fc from 'fast-check'
import { expect, test } from 'vitest'
import { virtualClock, type VirtualClock } from '@keelson/kernel/testing'
import { memoryStore, type Claim, type LaneRules, type NewEvent, type WebhookStore } from '@keelson/webhooks'

const RUNS = { numRuns: process.env['LONG'] === undefined ? 100 : 1_000 }
const LEASE_MS = 1_000
const RULES: LaneRules = { concurrency: 3, rate: null, leaseMs: LEASE_MS, breaker: null, disableAfterMs: null }

/** What a receiver does, in the order of its requests; the last one goes on. */
type Answer = 'ok' | 'fail' | 'timeout' | 'slow-down' | 'crash' | 'dead'
const answers = fc.array(fc.constantFrom<Answer>('ok', 'ok', 'fail', 'timeout', 'slow-down', 'crash', 'dead'), {
  maxLength: 12,
})

/** What there is to deliver: which endpoint it is for, and in which line. */
const plan = fc.record({
  receivers: fc.array(answers, { minLength: 1, maxLength: 4 }),
  events: fc.array(fc.record({ to: fc.nat(3), key: fc.option(fc.constantFrom('a', 'b')), twice: fc.boolean() }), {
    minLength: 1,
    maxLength: 25,
  }),
  lastsMs: fc.array(fc.integer({ min: 0, max: 900 }), { minLength: 1, maxLength: 7 }),
})

interface Flight {
  readonly claim: Claim
  readonly claimedMs: number
  readonly endsMs: number
  readonly answer: Answer
}

const RETRY_MS = [0, 50, 400]
const PAUSE_MS = 300

/** A few dispatchers over one store, until nothing is open; `sees` is told of each claim, with those in flight. */
async function dispatch(
  clock: VirtualClock,
  store: WebhookStore,
  receivers: ReadonlyMap<string, readonly Answer[]>,
  lastsMs: readonly number[],
  sees: (claim: Claim, flying: readonly Flight[]) => void | Promise<void>,
): Promise<void> {
  const requests = new Map<string, number>()
  let flying: Flight[] = []
  for (let turn = 0; turn < 2_000; turn++) {
    const nowMs = clock.now()
    for (const flight of flying.filter(({ endsMs }) => endsMs <= nowMs)) {
      flying = flying.filter((other) => other !== flight)
      await settle(store, flight)
    }
    for (const { delivery } of await store.reap(100)) {
      flying = flying.filter(({ claim }) => claim.token.delivery !== delivery)
    }
    for (const owner of ['a', 'b', 'c']) {
      for (const claim of await store.claim({ limit: 2, owner, suspects: true, handlers: [] })) {
        await sees(claim, flying)
        const { endpoint } = claim.token
        const request = requests.get(endpoint) ?? 0
        requests.set(endpoint, request + 1)
        const all = receivers.get(endpoint)!
        const answer = all[request] ?? 'ok'
        const endsMs = answer === 'crash' ? Infinity : nowMs + lastsMs[request % lastsMs.length]!
        flying.push({ claim, claimedMs: nowMs, endsMs, answer })
      }
    }
    if (flying.length === 0 && (await store.nextDue({ handlers: [] })) === null) return
    await clock.advance(10)
  }
  throw new Error('it has no end')
}

async function settle(store: WebhookStore, { claim, answer, claimedMs, endsMs }: Flight): Promise<void> {
  const { token, spent } = claim
  const row = { durationMs: endsMs - claimedMs, status: null, remoteAddress: null, response: null, error: null }
  const again = RETRY_MS[spent]
  const retry =
    again === undefined
      ? ({ kind: 'dead', reason: 'exhausted' } as const)
      : ({ kind: 'retry', afterMs: again } as const)
  const later = { kind: 'retry', afterMs: Math.max(again ?? 0, PAUSE_MS) } as const
  const [settled] = await store.settle([
    answer === 'ok'
      ? {
          token,
          attempt: { ...row, outcome: 'success' },
          end: { kind: 'succeeded' },
          signal: { kind: 'success', fast: true },
        }
      : answer === 'dead'
        ? {
            token,
            attempt: { ...row, outcome: 'refused' },
            end: { kind: 'dead', reason: 'refused' },
            signal: { kind: 'failure' },
          }
        : answer === 'slow-down'
          ? {
              token,
              attempt: { ...row, outcome: 'status' },
              end: again === undefined ? retry : later,
              signal: { kind: 'slow-down', blockMs: PAUSE_MS },
            }
          : {
              token,
              attempt: { ...row, outcome: 'status' },
              end: retry,
              signal: { kind: answer === 'timeout' ? 'timeout' : 'failure' },
            },
  ])
  expect(settled!.kind).toBe('ok')
}

/** A store with these receivers and events, routed. */
async function stage({
  receivers,
  events,
}: {
  receivers: Answer[][]
  events: { to: number; key: string | null; twice: boolean }[]
}) {
  const clock = virtualClock()
  const store = memoryStore({ clock })
  const ids = receivers.map((_, i) => `ep_${i}`)
  for (const id of ids) {
    const row = {
      scope: 's',
      id,
      state: 'active',
      disabledReason: null,
      config: '',
      secrets: [],
      rules: RULES,
    } as const
    await store.endpoints.insert(row, 100)
  }
  const published = events.map(({ to, key }, i): NewEvent => ({
    scope: 's',
    id: `ev_${i}`,
    type: 't',
    body: new Uint8Array([i, 255 - i]),
    digest: String(i),
    endpoint: ids[to % ids.length]!,
    ...(key === null ? {} : { key }),
  }))
  for (const [i, event] of published.entries()) {
    expect(await store.publish([event])).toEqual(['fresh'])
    if (events[i]!.twice) expect(await store.publish([event])).toEqual(['duplicate'])
  }
  for (;;) {
    const taken = await store.takeUnrouted(4, 1_000)
    if (taken.length === 0) break
    const routes = taken.map(({ event, token, revision }) => ({
      scope: 's',
      event: event.id,
      token,
      matched: { revision, deliveries: [{ id: `dl_${event.id.padStart(8, '0')}`, endpoint: event.endpoint! }] },
    }))
    expect(await store.route(routes)).toEqual(routes.map(() => 'ok'))
  }
  return { clock, store, published, receivers: new Map(receivers.map((all, i) => [`ep_${i}`, all])) }
}

test('each event that was routed ends once, whatever receivers and processes do', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async (given) => {
      const { clock, store, published, receivers } = await stage(given)
      const claims = new Map<string, number>()
      await dispatch(clock, store, receivers, given.lastsMs, ({ token }) => {
        claims.set(token.delivery, (claims.get(token.delivery) ?? 0) + 1)
      })
      const { rows } = await store.deliveries.list({ scope: 's' }, { limit: 100 })
      expect(rows.length, 'an event that was published twice is one').toBe(published.length)
      for (const { id, status, reason, finishedAtMs, attempts } of rows) {
        expect(['succeeded', 'dead']).toContain(status)
        expect(reason === null).toBe(status === 'succeeded')
        expect(finishedAtMs).not.toBeNull()
        const log = (await store.deliveries.attempts('s', id, { limit: 100 }))!
        expect(log.length, 'each claim has left its row').toBe(claims.get(id))
        expect(log.filter(({ outcome }) => outcome !== 'crashed').length).toBe(attempts)
        expect(log.filter(({ outcome }) => outcome === 'success').length).toBe(status === 'succeeded' ? 1 : 0)
      }
      for (const id of receivers.keys()) {
        expect((await store.endpoints.get('s', id))!.health).toMatchObject({ inFlight: 0, redriven: 0 })
      }
    }),
    RUNS,
  )
})

test('in flight is never more than the limit, and no two leases are on one delivery', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async (given) => {
      const { clock, store, receivers } = await stage(given)
      const fences = new Map<string, number>()
      await dispatch(clock, store, receivers, given.lastsMs, async ({ token }, flying) => {
        const lane = flying.filter(({ claim }) => claim.token.endpoint === token.endpoint)
        const { limit, inFlight } = (await store.endpoints.get('s', token.endpoint))!.health
        // Its limit may have come down since the others were claimed.
        expect(inFlight).toBe(lane.length + 1)
        expect(inFlight).toBeLessThanOrEqual(Math.max(limit, 1))
        expect(limit).toBeLessThanOrEqual(RULES.concurrency)
        expect(lane.map(({ claim }) => claim.token.delivery)).not.toContain(token.delivery)
        expect(token.fence).toBeGreaterThan(fences.get(token.delivery) ?? 0)
        fences.set(token.delivery, token.fence)
      })
    }),
    RUNS,
  )
})

test('what is of one key goes in its order, one at a time', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async (given) => {
      const { clock, store, published, receivers } = await stage(given)
      const order = new Map(published.map(({ id }, i) => [id, i]))
      const last = new Map<string, number>()
      await dispatch(clock, store, receivers, given.lastsMs, async ({ token, event }, flying) => {
        if (event.key === undefined) return
        const line = `${token.endpoint} ${event.key}`
        const mine = order.get(event.id)!
        expect(
          flying.some(({ claim }) => claim.token.endpoint === token.endpoint && claim.event.key === event.key),
        ).toBe(false)
        expect(mine).toBeGreaterThanOrEqual(last.get(line) ?? 0)
        last.set(line, mine)
      })
    }),
    RUNS,
  )
})

test('each attempt sends the same bytes, and none comes before its time', async () => {
  await fc.assert(
    fc.asyncProperty(plan, async (given) => {
      const { clock, store, published, receivers } = await stage(given)
      const bodies = new Map(published.map(({ id, body }) => [id, Buffer.from(body)]))
      await dispatch(clock, store, receivers, given.lastsMs, async ({ token, event, spent, attempts }) => {
        expect(Buffer.compare(bodies.get(event.id)!, event.body)).toBe(0)
        expect(spent).toBe(attempts)
        const log = (await store.deliveries.attempts('s', token.delivery, { limit: 100 }))!
        const before = log.at(-1)
        if (before === undefined) return
        const endedMs = before.atMs + before.durationMs
        const waitMs = before.outcome === 'crashed' ? 0 : RETRY_MS[before.number - 1]!
        expect(clock.now() - endedMs).toBeGreaterThanOrEqual(waitMs)
      })
    }),
    RUNS,
  )
})

test('whatever others hang, each healthy lane is served within one turn', async () => {
  const hung = fc.array(fc.boolean(), { minLength: 1, maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(hung, fc.integer({ min: 1, max: 6 }), fc.nat(3), async (hangs, slots, backlog) => {
      const { clock, store } = await stage({
        receivers: hangs.map(() => []),
        events: Array.from({ length: hangs.length * (backlog + 1) }, (_, i) => ({ to: i, key: null, twice: false })),
      })
      const served = new Set<string>()
      // One turn: all lanes once. Who is slow leaves its slot to others after a while, as a dispatcher has it.
      for (let claims = 0; claims < hangs.length;) {
        const turn = await store.claim({ limit: slots, owner: 'a', suspects: false, handlers: [] })
        claims += turn.length
        expect(turn.length, 'somebody is always served').toBeGreaterThan(0)
        for (const { token } of turn) {
          const isAgain = served.has(token.endpoint)
          expect(isAgain && served.size < hangs.length, 'nobody twice before all others').toBe(false)
          served.add(token.endpoint)
        }
        await clock.advance(1)
        const slow = turn.filter(({ token }) => hangs[Number(token.endpoint.slice(3))])
        await store.slow(slow.map(({ token }) => token))
        const quick = turn.filter((claim) => !slow.includes(claim))
        await store.settle(
          quick.map(({ token }) => ({
            token,
            attempt: {
              durationMs: 1,
              outcome: 'success',
              status: 200,
              remoteAddress: null,
              response: null,
              error: null,
            },
            end: { kind: 'succeeded' },
            signal: { kind: 'success', fast: true },
          })),
        )
      }
      expect(served.size).toBe(hangs.length)
    }),
    RUNS,
  )
})
