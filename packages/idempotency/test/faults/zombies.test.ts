import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { unwrap } from '@keelson/idempotency'
import { until } from '../../../../tools/servers/until.ts'
import type { StoreKind } from './open-store.ts'
import { startRunProcess, type RunProcess } from './run-process.ts'
import { gate, startStand, type Stand } from './stand.ts'
import { watchRejections } from './unhandled.ts'

watchRejections()

const kinds: StoreKind[] = ['ioredis 6', 'node-redis 6', 'Postgres']
const LEASE_MS = 400

/** Within one store: stores side by side. */
const SEQUENTIAL = { concurrent: false }

describe.concurrent.each(kinds)('%s: an owner that stood still past its lease', (kind) => {
  let stand: Stand
  let processes: AsyncDisposableStack
  let zombie: RunProcess
  beforeAll(async () => {
    stand = await startStand(kind)
    processes = new AsyncDisposableStack()
    zombie = processes.use(await startRunProcess({ ...stand, options: { storeTimeout: '5s' } }))
  })
  afterAll(async () => {
    zombie.thaw()
    await processes.disposeAsync()
    await stand[Symbol.asyncDispose]()
  })

  const someCall = () => ({ scope: 'm1', op: 'POST /charges', key: randomUUID(), lease: LEASE_MS })

  test('answers the value of who took over, and has changed nothing', SEQUENTIAL, async () => {
    const winner = await stand.open({ storeTimeout: '30s' })
    const call = someCall()
    const first = zombie.order({ call, save: 'half', gated: true, value: 'zombie' })
    const { fence } = await first.started
    await first.saved
    zombie.freeze()
    const won = await winner.run({ ...call, wait: '30s' }, async (x) => {
      expect(x).toMatchObject({ attempt: 2, checkpoint: { name: 'half' } })
      expect(x.fence).toBeGreaterThan(fence)
      return 'winner'
    })
    expect(won).toMatchObject({ ok: true, kind: 'executed', attempt: 2, stored: true, value: 'winner' })
    zombie.thaw()
    first.go()
    const [answer] = await first.answers
    expect(answer!.outcome).toMatchObject({ ok: true, kind: 'replayed', attempt: 2, value: 'winner' })
    expect(await winner.find(call)).toMatchObject({ state: 'done', attempt: 2 })
    expect(unwrap(await winner.run(call, async () => 'third'))).toBe('winner')
  })

  test('answers it too when the work fails because the key was lost', SEQUENTIAL, async () => {
    const winner = await stand.open({ storeTimeout: '30s' })
    const call = someCall()
    const first = zombie.order({ call, gated: true, save: 'early', saveLater: 'late', value: 'zombie' })
    await first.saved
    zombie.freeze()
    expect(unwrap(await winner.run({ ...call, wait: '30s' }, async () => 'winner'))).toBe('winner')
    zombie.thaw()
    first.go()
    const [answer] = await first.answers
    expect(answer!.outcome).toMatchObject({ ok: true, kind: 'replayed', attempt: 2, value: 'winner' })
  })

  test('answers LEASE_LOST while who took over still runs, whose value it then is', SEQUENTIAL, async () => {
    const winner = await stand.open({ storeTimeout: '30s' })
    const call = { ...someCall(), wait: 0 }
    const first = zombie.order({ call, gated: true, value: 'zombie' })
    await first.started
    zombie.freeze()
    const running = gate()
    const release = gate()
    const winning = winner.run({ ...call, wait: '30s', lease: '1m' }, async () => {
      running.open()
      await release.opened
      return 'winner'
    })
    await running.opened
    zombie.thaw()
    first.go()
    const [answer] = await first.answers
    expect(answer!.outcome).toMatchObject({ ok: false, code: 'LEASE_LOST', retryable: true })
    release.open()
    expect(await winning).toMatchObject({ ok: true, stored: true, attempt: 2, value: 'winner' })
    const again = await zombie.order({ call }).answers
    expect(again[0]!.outcome).toMatchObject({ ok: true, kind: 'replayed', value: 'winner' })
  })

  test('answers LEASE_LOST when who took over has failed', SEQUENTIAL, async () => {
    const winner = await stand.open({ storeTimeout: '30s' })
    const call = someCall()
    const first = zombie.order({ call, gated: true, value: 'zombie' })
    await first.started
    zombie.freeze()
    const failure = new Error('the bank said no')
    await expect(winner.run({ ...call, wait: '30s' }, () => Promise.reject(failure))).rejects.toBe(failure)
    zombie.thaw()
    first.go()
    const [answer] = await first.answers
    expect(answer!.outcome).toMatchObject({ ok: false, code: 'LEASE_LOST', retryable: true })
    expect(unwrap(await winner.run({ ...call, wait: '30s' }, async () => 'second'))).toBe('second')
  })

  test('answers the same when it stood still in the middle of a renewal', SEQUENTIAL, async () => {
    const winner = await stand.open({ storeTimeout: '30s' }, { direct: true })
    const second = processes.use(await startRunProcess({ ...stand, options: { storeTimeout: '2s' } }))
    await second.order({ call: someCall() }).answers
    // Longer than storeTimeout: its guard is open when it goes on.
    const call = { ...someCall(), lease: '4s' as const, wait: '30s' as const }
    const first = second.order({ call, gated: true, value: 'zombie' })
    await first.started
    // Its renewal is on its way, and is answered while it does not look.
    const renewing = gate()
    let renewed = false
    // In Postgres only the first one of a connection has its text; nobody says anything else, but goodbye.
    const isRenewal = (bytes: Buffer): boolean => (kind === 'Postgres' ? bytes.length > 5 : bytes.includes('EVALSHA'))
    void stand.proxy.loseReplyAfter((bytes) => {
      if (renewed || !isRenewal(bytes)) return false
      renewed = true
      stand.proxy.freeze()
      renewing.open()
      return false
    })
    await renewing.opened
    second.freeze()
    stand.proxy.pass()
    expect(unwrap(await winner.run(call, async () => 'winner'))).toBe('winner')
    second.thaw()
    first.go()
    const [answer] = await first.answers
    expect(answer!.outcome).toMatchObject({ ok: true, kind: 'replayed', attempt: 2, value: 'winner' })
  })

  test('at most once: nobody takes over, and what it answers is the answer', SEQUENTIAL, async () => {
    const other = await stand.open({ storeTimeout: '30s' })
    const call = { ...someCall(), guarantee: 'at-most-once' as const }
    const first = zombie.order({ call, gated: true, value: 'late but only' })
    await first.started
    zombie.freeze()
    const refused = await other.run({ ...call, wait: '30s' }, async () => 'second')
    expect(refused).toMatchObject({ ok: false, code: 'OUTCOME_UNKNOWN', retryable: false })
    zombie.thaw()
    first.go()
    const [answer] = await first.answers
    expect(answer!.outcome).toMatchObject({ ok: true, kind: 'executed', stored: true, value: 'late but only' })
    expect(unwrap(await other.run(call, async () => 'third'))).toBe('late but only')
  })

  test('killed: a takeover that nobody was told of keeps the attempts and what was saved', SEQUENTIAL, async () => {
    const mortal = await startRunProcess({ ...stand, options: { storeTimeout: '30s' } })
    // Time to hear of the answer, had there been one: what it gives back must not come before that is lost.
    const heir = await stand.open({ storeTimeout: '5s' })
    const heirs = await stand.open({ storeTimeout: '30s' }, { direct: true })
    const call = someCall()
    const first = mortal.order({ call, save: 'charged', gated: true })
    const { fence } = await first.started
    await first.saved
    await mortal.kill()
    await until('the lease has ended', 60_000, async () => {
      const found = await heirs.find(call)
      return found?.leaseLeftMs === 0 || undefined
    })
    // It takes over, and never hears of it; nor can it give back, yet, what it may have got.
    const taken = gate()
    const never = stand.proxy.loseReplyAfter(
      (bytes) => bytes.includes(kind === 'Postgres' ? 'COMMIT\0' : 'EVALSHA'),
      () => {
        stand.proxy.freeze()
        taken.open()
        return false
      },
    )
    const unheard = await heir.run({ ...call, lease: '1m' }, async () => 'never')
    expect(unheard).toMatchObject({ ok: false, code: 'STORE_UNAVAILABLE' })
    await taken.opened
    expect(await heirs.find(call)).toMatchObject({ state: 'inflight', attempt: 2 })
    stand.proxy.pass()
    stand.proxy.resetAll()
    await never
    const outcome = await until('the key is free', 60_000, async () => {
      const tried = await heir.run({ ...call, wait: 0 }, async (x) => {
        expect(x.attempt).toBeGreaterThan(1)
        expect(x.fence).toBeGreaterThan(fence)
        return x.checkpoint
      })
      return tried.ok ? tried : undefined
    })
    expect(outcome.value).toEqual({ name: 'charged' })
  })
})
