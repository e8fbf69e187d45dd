import type { Case } from '@keelson/kernel/conformance'
import { failed, given, LONG_MS, released, SHORT_MS, storeCase, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const breaker = (cooldownMs: number, failures = 2) => ({ failures, cooldownMs, maxCooldownMs: 3 * cooldownMs })

/** Fails so often in a row. */
async function fails({ ended }: Stage, to: { scope: string; id: string }, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await ended(to, failed(LONG_MS))
}

/** How a claim ends: its lane. */
export const healthCases: readonly Case<StoreUnderTest>[] = [
  storeCase('a success that was not fast leaves the limit', async (stage) => {
    const to = await stage.endpoint()
    await stage.ended(to, { signal: { kind: 'success', fast: false } })
    stage.equal((await stage.seen(to)).health.limit, 1)
  }),

  storeCase('a timeout makes a lane suspect with a limit of 1, a fast success clears it', async (stage) => {
    const { endpoint, widen, ended, seen, deliver, claim, equal } = stage
    const to = await endpoint()
    await widen(to, 3)
    await ended(to, failed(LONG_MS, { kind: 'timeout' }))
    const { limit, suspect, failures } = (await seen(to)).health
    equal([limit, suspect, failures], [1, true, 1])
    await ended(to, { signal: { kind: 'success', fast: false } })
    equal((await seen(to)).health.suspect, true, 'slow is still suspect')
    await ended(to)
    equal([(await seen(to)).health.suspect, (await seen(to)).health.failures], [false, 0])
    await deliver(to)
    equal((await claim({ suspects: false })).length, 1)
  }),

  storeCase('an attempt that takes long makes its lane suspect while it lasts', async (stage) => {
    const { store, peer, endpoint, widen, deliver, claim, claimOne, claimIds, settled, reaped, seen, equal } = stage
    const [to, other] = [await endpoint({ leaseMs: SHORT_MS }), await endpoint({ leaseMs: SHORT_MS })]
    await widen(to, 3)
    for (let i = 0; i < 3; i++) await deliver(to)
    const hung = await claimOne()
    await peer.slow([hung.token, { ...hung.token, delivery: 'dl_none' }])
    equal([(await seen(to)).health.limit, (await seen(to)).health.suspect], [1, true])
    equal(await claimIds(), [], 'it has its one in flight')
    equal((await seen(to)).health.inFlight, 1)
    await settled(hung, { signal: { kind: 'success', fast: false } })
    equal(await claimIds({ suspects: false }), [])
    equal((await claim()).length, 1)
    await deliver(other)
    const lost = await claimOne()
    await reaped(2)
    await store.slow([lost.token])
    equal((await seen(other)).health.suspect, false, 'a lost lease says nothing')
    await store.slow([])
  }),

  storeCase('a receiver that asks for a pause gets it, and half the limit', async (stage) => {
    const { store, endpoint, widen, ended, seen, deliver, claimIds, equal, ok } = stage
    const to = await endpoint({ concurrency: 8 })
    await widen(to, 7)
    const beforeMs = await stage.now()
    await ended(to, failed(0, { kind: 'slow-down', blockMs: LONG_MS }))
    const { limit, blockedUntilMs, blockedBy, failures } = (await seen(to)).health
    equal([limit, blockedBy, failures], [3, 'receiver', 0])
    ok(blockedUntilMs! >= beforeMs + LONG_MS && blockedUntilMs! <= (await stage.now()) + LONG_MS, 'for as long')
    await deliver(to)
    equal(await claimIds(), [])
    const dueIn = await store.nextDue({ handlers: [] })
    ok(dueIn !== null && dueIn > LONG_MS / 2, `next in ${dueIn}`)
  }),

  storeCase('a pause of a receiver ends by itself, and not earlier', async (stage) => {
    const { endpoint, ended, deliver, claimIds, until, now, equal, ok } = stage
    const to = await endpoint()
    const beforeMs = await now()
    await ended(to, { ...given(), signal: { kind: 'slow-down', blockMs: 2 * SHORT_MS } })
    const id = await deliver(to)
    equal(await until('it goes', async () => (await claimIds())[0]), id)
    ok((await now()) >= beforeMs + 2 * SHORT_MS, 'too early')
  }),

  storeCase('the longer of two pauses counts', async (stage) => {
    const { store, endpoint, widen, deliver, claimOne, settled, seen, equal } = stage
    const to = await endpoint()
    await widen(to, 2)
    await deliver(to)
    await deliver(to)
    const claims = [await claimOne(), await claimOne()]
    await settled(claims[0]!, failed(0, { kind: 'slow-down', blockMs: LONG_MS }))
    const { blockedUntilMs } = (await seen(to)).health
    await settled(claims[1]!, failed(0, { kind: 'slow-down', blockMs: 0 }))
    equal((await seen(to)).health.blockedUntilMs, blockedUntilMs)
    equal((await store.inspect()).counts.pending, 2)
  }),

  storeCase('a lane whose key is missing is held, and spends nothing', async (stage) => {
    const { endpoint, deliver, claimOne, claimIds, settled, seen, delivery, equal } = stage
    const to = await endpoint()
    const id = await deliver(to)
    await settled(await claimOne(), { ...released(), signal: { kind: 'no-key', blockMs: LONG_MS } })
    const { blockedBy, failures, limit } = (await seen(to)).health
    equal([blockedBy, failures, limit], ['key', 0, 1])
    const row = await delivery(id)
    equal([row.held, row.attempts, row.status], ['key', 0, 'pending'])
    equal(await claimIds(), [])
  }),

  storeCase('a breaker opens after so many failures in a row, and holds its lane', async (stage) => {
    const { store, endpoint, ended, deliver, seen, claimIds, delivery, equal } = stage
    const to = await endpoint({ breaker: breaker(LONG_MS) })
    await fails(stage, to, 1)
    await ended(to)
    await fails(stage, to, 1)
    equal((await seen(to)).health.openUntilMs, null, 'a success ends the row')
    await fails(stage, to, 1)
    const { openUntilMs, failures, cooldownMs } = (await seen(to)).health
    equal([openUntilMs === null, failures, cooldownMs], [false, 2, LONG_MS])
    const id = await deliver(to)
    equal(await claimIds(), [])
    equal((await delivery(id)).held, 'breaker')
    equal((await store.inspect()).counts.breakersOpen, 1)
    stage.ok((await store.nextDue({ handlers: [] }))! > LONG_MS / 2)
  }),

  storeCase('without a breaker failures hold nothing', async (stage) => {
    const to = await stage.endpoint()
    await fails(stage, to, 12)
    const id = await stage.deliver(to)
    stage.equal(await stage.claimIds(), [id])
    stage.equal((await stage.seen(to)).health.failures, 12)
  }),

  storeCase('an open breaker whose time is over lets one probe go; it fails, and the pause doubles', async (stage) => {
    const { endpoint, widen, deliver, claim, claimIds, settled, seen, until, now, equal, ok } = stage
    const to = await endpoint({ breaker: breaker(SHORT_MS) })
    await widen(to, 4)
    const beforeMs = await now()
    await fails(stage, to, 2)
    for (let i = 0; i < 3; i++) await deliver(to)
    const probeOf = () =>
      until('the probe goes', async () => {
        const claims = await claim()
        return claims.length > 0 && claims[0]
      })
    const probe = await probeOf()
    ok((await now()) >= beforeMs + SHORT_MS, 'too early')
    equal([await claimIds(), await claimIds()], [[], []], 'no second probe')
    equal((await seen(to)).health.inFlight, 1)
    const againMs = await now()
    await settled(probe, failed(LONG_MS))
    equal((await seen(to)).health.cooldownMs, 2 * SHORT_MS)
    const second = await probeOf()
    ok((await now()) >= againMs + 2 * SHORT_MS, 'it waits for longer')
    await settled(second, failed(LONG_MS))
    equal((await seen(to)).health.cooldownMs, 3 * SHORT_MS, 'up to its maximum')
    equal(await stage.settle(await probeOf()), { kind: 'ok', notices: [{ kind: 'recovered' }] })
    const { openUntilMs, cooldownMs, failures, failingSinceMs } = (await seen(to)).health
    equal([openUntilMs, cooldownMs, failures, failingSinceMs], [null, 0, 0, null])
  }),

  storeCase('a probe that is lost gives its place to another', async (stage) => {
    const { endpoint, deliver, claimIds, until, reaped, equal } = stage
    const to = await endpoint({ leaseMs: SHORT_MS, breaker: breaker(SHORT_MS, 1) })
    await fails(stage, to, 1)
    const id = await deliver(to)
    equal(await until('the probe goes', async () => (await claimIds())[0]), id)
    await reaped(1)
    equal(await claimIds(), [id])
  }),

  storeCase('a rate gives its burst and then no more', async (stage) => {
    const { store, endpoint, deliver, ended, claimIds, equal, ok } = stage
    const to = await endpoint({ rate: { limit: 3, perMs: 3 * LONG_MS } })
    for (let i = 0; i < 3; i++) await ended(to)
    await deliver(to)
    equal(await claimIds(), [])
    const dueIn = (await store.nextDue({ handlers: [] }))!
    ok(dueIn > LONG_MS / 2 && dueIn <= LONG_MS, `next in ${dueIn}`)
  }),

  storeCase('a rate gives one each interval, evenly', async (stage) => {
    const { endpoint, ended, deliver, claim, settled, until, now, ok } = stage
    const to = await endpoint({ rate: { limit: 2, perMs: 2 * SHORT_MS } })
    const beganMs = await now()
    await ended(to)
    for (let i = 0; i < 6; i++) await deliver(to)
    for (let n = 2; n <= 5; n++) {
      const next = await until('the rate allows it', async () => (await claim())[0])
      const passedMs = (await now()) - beganMs
      ok(passedMs >= (n - 2) * SHORT_MS, `${n} claims in ${passedMs} ms`)
      await settled(next)
    }
  }),

  storeCase('a waiting rate does not hold what is claimed of other lanes', async (stage) => {
    const { endpoint, ended, deliver, claimIds, equal } = stage
    const [slow, quick] = [await endpoint({ rate: { limit: 1, perMs: LONG_MS } }), await endpoint()]
    await ended(slow)
    await deliver(slow)
    const id = await deliver(quick)
    equal(await claimIds(), [id])
  }),

  storeCase('a receiver that is gone is disabled, once, and what waits is held', async (stage) => {
    const { store, endpoint, widen, deliver, claimOne, claimIds, settle, seen, delivery, equal } = stage
    const to = await endpoint()
    await widen(to, 2)
    for (let i = 0; i < 3; i++) await deliver(to)
    const claims = [await claimOne(), await claimOne()]
    equal(await settle(claims[0]!, given('gone')), { kind: 'ok', notices: [{ kind: 'disabled', reason: 'gone' }] })
    const { state, disabledReason, revision } = await seen(to)
    equal([state, disabledReason, revision], ['disabled', 'gone', 2])
    equal(await settle(claims[1]!, given('gone')), { kind: 'ok', notices: [] })
    equal((await seen(to)).revision, 2)
    equal(await claimIds(), [])
    const last = (await store.deliveries.list({ scope: to.scope, status: 'pending' }, { limit: 10 })).rows
    equal(
      last.map(({ held }) => held),
      ['disabled'],
    )
    equal((await delivery(claims[1]!.token.delivery)).status, 'dead')
    equal((await store.inspect()).counts.endpointsDisabled, 1)
  }),

  storeCase('who fails for too long is disabled', async (stage) => {
    const { endpoint, deliver, claimOne, settle, settled, elapse, seen, claimIds, equal } = stage
    const to = await endpoint({ disableAfterMs: 1 })
    await deliver(to)
    await settled(await claimOne(), failed(0))
    equal((await seen(to)).state, 'active')
    await elapse(SHORT_MS)
    equal(await settle(await claimOne(), failed(0)), { kind: 'ok', notices: [{ kind: 'disabled', reason: 'failing' }] })
    equal([(await seen(to)).state, (await seen(to)).disabledReason], ['disabled', 'failing'])
    equal(await claimIds(), [])
  }),

  storeCase('a success ends the time of failing', async (stage) => {
    const { endpoint, ended, elapse, seen, equal, ok } = stage
    const to = await endpoint({ disableAfterMs: LONG_MS })
    const beforeMs = await stage.now()
    await fails(stage, to, 1)
    const { failingSinceMs } = (await seen(to)).health
    ok(failingSinceMs! >= beforeMs, 'since now')
    await elapse(SHORT_MS)
    await fails(stage, to, 1)
    equal((await seen(to)).health.failingSinceMs, failingSinceMs)
    await ended(to)
    equal((await seen(to)).health.failingSinceMs, null)
  }),

  storeCase(
    'who fails for long is told of before it is disabled',
    async (stage) => {
      const { endpoint, deliver, claimOne, settle, elapse, equal } = stage
      const to = await endpoint({ disableAfterMs: 100_000 })
      await deliver(to)
      const told = []
      for (let percent = 0; percent <= 100; percent += 10) {
        const settled = await settle(await claimOne(), failed(0))
        if (settled.kind === 'ok') told.push(...settled.notices.map((notice) => [percent, notice]))
        if (percent < 100) await elapse(10_000)
      }
      equal(told, [
        [50, { kind: 'failing', percent: 50 }],
        [70, { kind: 'failing', percent: 70 }],
        [90, { kind: 'failing', percent: 90 }],
        [100, { kind: 'disabled', reason: 'failing' }],
      ])
    },
    'elapse',
  ),
]
