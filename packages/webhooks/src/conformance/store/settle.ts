import type { Case } from '@keelson/kernel/conformance'
import {
  attempt,
  failed,
  given,
  laneRules,
  LONG_MS,
  released,
  SCOPE,
  settlement,
  SHORT_MS,
  storeCase,
} from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** How a claim ends: its delivery. */
export const settleCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a success is final, and its attempt is kept', async (stage) => {
    const { store, endpoint, deliver, claimOne, settle, delivery, now, seen, claimIds, equal, ok } = stage
    const to = await endpoint()
    const id = await deliver(to)
    const beforeMs = await now()
    const claim = await claimOne()
    const row = attempt({ durationMs: 3, status: 204, response: 'grüße', remoteAddress: '2001:db8::1' })
    equal(await settle(claim, { attempt: row }), { kind: 'ok', notices: [] })
    const afterMs = await now()
    const { status, reason, attempts, held, nextAttemptAtMs, finishedAtMs } = await delivery(id)
    equal([status, reason, attempts, held, nextAttemptAtMs], ['succeeded', null, 1, null, null])
    ok(finishedAtMs! >= beforeMs && finishedAtMs! <= afterMs, 'ended now')
    const rows = await store.deliveries.attempts(SCOPE, id, { limit: 10 })
    const { atMs } = rows![0]!
    equal(rows, [{ ...row, fence: claim.token.fence, number: 1, atMs }])
    ok(atMs >= beforeMs - 3 && atMs <= afterMs - 3, 'it began as long ago as it lasted')
    equal((await seen(to)).health.inFlight, 0)
    equal(await claimIds(), [])
    equal(await store.nextDue({ handlers: [] }), null)
  }),

  storeCase('a retry is due after its time and not earlier, with one attempt spent', async (stage) => {
    const { store, endpoint, deliver, claim, claimOne, settled, delivery, now, until, equal, ok } = stage
    const id = await deliver(await endpoint())
    await settled(await claimOne(), failed(0))
    const first = await claimOne()
    equal([first.attempts, first.spent], [1, 1])
    const beforeMs = await now()
    await settled(first, {
      ...failed(SHORT_MS),
      attempt: attempt({ outcome: 'reset', status: null, error: 'ECONNRESET' }),
    })
    const afterMs = await now()
    const row = await delivery(id)
    equal([row.status, row.reason, row.attempts, row.finishedAtMs], ['pending', null, 2, null])
    ok(row.nextAttemptAtMs! >= beforeMs + SHORT_MS && row.nextAttemptAtMs! <= afterMs + SHORT_MS, 'after its time')
    const [again] = await until('it is due', async () => {
      const claims = await claim()
      return claims.length > 0 && claims
    })
    ok((await now()) >= beforeMs + SHORT_MS, 'claimed too early')
    equal([again!.attempts, again!.spent], [2, 2])
    const rows = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
    equal(
      rows.map(({ number, outcome, status, error }) => [number, outcome, status, error]),
      [
        [1, 'status', 500, null],
        [2, 'reset', null, 'ECONNRESET'],
      ],
    )
  }),

  storeCase('a release spends nothing', async (stage) => {
    const { store, endpoint, deliver, claimOne, claimIds, settled, seen, delivery, equal } = stage
    const to = await endpoint()
    const id = await deliver(to)
    await settled(await claimOne(), released())
    const claim = await claimOne()
    equal([claim.attempts, claim.spent], [0, 0])
    const { health } = await seen(to)
    equal([health.limit, health.failures, health.suspect], [1, 0, false])
    await settled(claim, released(LONG_MS))
    equal(await claimIds(), [])
    equal([(await delivery(id)).status, (await delivery(id)).attempts], ['pending', 0])
    equal(await store.deliveries.attempts(SCOPE, id, { limit: 10 }), [])
  }),

  storeCase('a release that was tried spends an attempt', async (stage) => {
    const { endpoint, deliver, claimOne, settled, equal } = stage
    await deliver(await endpoint())
    await settled(await claimOne(), { ...released(), attempt: attempt({ outcome: 'timeout' }) })
    equal((await claimOne()).attempts, 1)
  }),

  storeCase('what is given up is dead for its reason', async (stage) => {
    const { endpoint, ended, delivery, claimIds, equal } = stage
    for (const reason of ['exhausted', 'refused', 'gone'] as const) {
      const id = await ended(await endpoint(), given(reason))
      const { status, reason: why, attempts, nextAttemptAtMs, finishedAtMs } = await delivery(id)
      equal([status, why, attempts, nextAttemptAtMs, finishedAtMs === null], ['dead', reason, 1, null, false])
    }
    equal(await claimIds(), [])
  }),

  storeCase('a claim is settled once: a repeat is stale and adds no row', async (stage) => {
    const { store, peer, endpoint, deliver, claimOne, settle, settled, delivery, seen, equal } = stage
    for (const first of [{}, failed(LONG_MS), given(), released(LONG_MS)]) {
      const to = await endpoint()
      const id = await deliver(to)
      const claim = await claimOne()
      await settled(claim, first)
      const [row, { health }] = [await delivery(id), await seen(to)]
      const rows = await store.deliveries.attempts(SCOPE, id, { limit: 10 })
      equal(await settle(claim, first), { kind: 'stale' })
      equal(await peer.settle([settlement(claim, first)]), [{ kind: 'stale' }])
      equal([await delivery(id), (await seen(to)).health], [row, health])
      equal(await store.deliveries.attempts(SCOPE, id, { limit: 10 }), rows)
    }
  }),

  storeCase('one call settles many, each by itself', async (stage) => {
    const { store, endpoint, deliver, claim, delivery, equal } = stage
    const lanes = [await endpoint(), await endpoint(), await endpoint(), await endpoint()]
    const made: string[] = []
    for (const to of lanes) made.push(await deliver(to))
    const claims = await claim()
    const of = (i: number) => claims.find(({ token }) => token.delivery === made[i])!
    const lost = { token: { ...of(3).token, fence: of(3).token.fence - 1 } }
    const kinds = await store.settle([
      settlement(of(0)),
      settlement(lost),
      settlement(of(1), given()),
      settlement(of(0), given()),
      settlement(of(2), failed(LONG_MS)),
      settlement({ token: { scope: SCOPE, endpoint: 'ep_none', delivery: 'dl_none', fence: 1 } }),
    ])
    equal(
      kinds.map(({ kind }) => kind),
      ['ok', 'stale', 'ok', 'stale', 'ok', 'stale'],
    )
    const states = await Promise.all(made.map((id) => delivery(id)))
    equal(
      states.map(({ status }) => status),
      ['succeeded', 'dead', 'pending', 'delivering'],
    )
    equal(await store.settle([]), [])
  }),

  storeCase('two of one lane in one call both count', async (stage) => {
    const { store, endpoint, widen, deliver, claimOne, seen, equal } = stage
    const to = await endpoint({ concurrency: 8 })
    await widen(to, 2)
    await deliver(to)
    await deliver(to)
    const claims = [await claimOne(), await claimOne()]
    await store.settle(claims.map((claim) => settlement(claim)))
    const { inFlight, limit } = (await seen(to)).health
    equal([inFlight, limit], [0, 4])
    await deliver(to)
    await deliver(to)
    const failing = [await claimOne(), await claimOne()]
    await store.settle(failing.map((claim) => settlement(claim, failed(LONG_MS))))
    const { failures } = (await seen(to)).health
    equal(failures, 2)
  }),

  storeCase('a token of another scope, endpoint or fence settles nothing', async (stage) => {
    const { endpoint, deliver, claimOne, settle, settled, equal } = stage
    await endpoint({}, { scope: 'other' })
    await deliver(await endpoint())
    const { token } = await claimOne()
    for (const wrong of [
      { scope: 'other' },
      { fence: token.fence + 1 },
      { fence: token.fence - 1 },
      { delivery: 'dl_none' },
    ]) {
      equal(await settle({ token: { ...token, ...wrong } }), { kind: 'stale' })
    }
    await settled({ token })
  }),

  storeCase('who is late but was not reaped has settled', async (stage) => {
    const { endpoint, deliver, claimOne, settled, elapse, delivery, equal } = stage
    const id = await deliver(await endpoint({ leaseMs: SHORT_MS }))
    const claim = await claimOne()
    await elapse(2 * SHORT_MS)
    await settled(claim)
    equal((await delivery(id)).status, 'succeeded')
  }),

  storeCase(
    'a settle after its lease is stale: its attempt is kept as such, nothing else has changed',
    async (stage) => {
      const { store, endpoint, deliver, claimOne, settle, reaped, delivery, seen, equal } = stage
      const to = await endpoint({
        leaseMs: SHORT_MS,
        breaker: { failures: 1, cooldownMs: LONG_MS, maxCooldownMs: LONG_MS },
      })
      const id = await deliver(to)
      const lost = await claimOne()
      await reaped(1)
      const [row, { health }] = [await delivery(id), await seen(to)]
      const late = attempt({ durationMs: 9, status: 201, response: 'late', error: 'e' })
      equal(await settle(lost, { attempt: late }), { kind: 'stale' })
      equal(await settle(lost, { ...failed(0), rules: laneRules({ concurrency: 9 }) }), { kind: 'stale' })
      equal([await delivery(id), (await seen(to)).health, (await seen(to)).rules], [row, health, to.rules])
      const rows = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
      equal(rows, [{ ...late, outcome: 'stale', fence: lost.token.fence, number: 1, atMs: rows[0]!.atMs }])
    },
  ),

  storeCase('a settle after another claim is stale, and leaves the other its slot and its word', async (stage) => {
    const { store, endpoint, deliver, claimOne, settle, settled, reaped, delivery, seen, equal } = stage
    const to = await endpoint({ leaseMs: SHORT_MS })
    const id = await deliver(to)
    const lost = await claimOne()
    await reaped(1)
    const { health: _, revision, createdAtMs: __, updatedAtMs: ___, ...row } = await seen(to)
    await store.endpoints.put({ ...row, rules: laneRules() }, revision, false)
    const mine = await claimOne()
    for (const how of [{}, given('gone'), failed(LONG_MS), released(LONG_MS)]) {
      equal(await settle(lost, how), { kind: 'stale' })
    }
    equal([(await delivery(id)).status, (await seen(to)).health.inFlight], ['delivering', 1])
    await settled(mine)
    equal([(await delivery(id)).status, (await delivery(id)).attempts], ['succeeded', 1])
    equal((await seen(to)).health.inFlight, 0)
    const rows = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
    equal(
      rows.map(({ number, outcome, fence }) => [number, outcome, fence]),
      [
        [1, 'stale', lost.token.fence],
        [1, 'success', mine.token.fence],
      ],
    )
  }),

  storeCase('a lease that was lost without an attempt leaves its crash', async (stage) => {
    const { store, endpoint, deliver, claimOne, settle, reaped, equal } = stage
    const id = await deliver(await endpoint({ leaseMs: SHORT_MS }))
    const lost = await claimOne()
    await reaped(1)
    equal(await settle(lost, released()), { kind: 'stale' })
    const rows = (await store.deliveries.attempts(SCOPE, id, { limit: 10 }))!
    equal(
      rows.map(({ outcome }) => outcome),
      ['crashed'],
    )
  }),

  storeCase('rules that come with a settle hold from then on', async (stage) => {
    const { endpoint, deliver, claimOne, settled, seen, equal } = stage
    const to = await endpoint()
    const id = await deliver(to)
    const rules = laneRules({
      concurrency: 2,
      leaseMs: 7_777,
      rate: { limit: 50, perMs: 1_000 },
      disableAfterMs: LONG_MS,
    })
    await settled(await claimOne(), { ...failed(0), rules })
    const { rules: now, revision } = await seen(to)
    equal([now, revision], [rules, 1])
    const claim = await claimOne()
    equal([claim.token.delivery, claim.leaseMs], [id, 7_777])
  }),

  storeCase('bytes are the same in each attempt', async (stage) => {
    const { endpoint, deliver, claimOne, settled, reaped, equal } = stage
    const body = new Uint8Array(1_000).map(() => Math.floor(stage.random() * 256))
    await deliver(await endpoint({ leaseMs: SHORT_MS }), { body })
    for (let i = 0; i < 4; i++) {
      const claim = await claimOne()
      equal([...claim.event.body], [...body])
      if (i % 2 === 0) await settled(claim, failed(0))
      else await reaped(1)
    }
  }),
]
