import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Begin, Claim, IdempotencyStore, Own } from '@keelson/idempotency'
import { bytes, claim, print, someRef, stores, type OpenStore } from './stores.ts'

/** Long enough to be alive when a test looks, short enough to wait for. */
const SHORT_MS = 30

describe.each(Object.keys(stores))('%s', (name) => {
  let opened: OpenStore
  let store: IdempotencyStore
  beforeAll(async () => {
    opened = await stores[name]!()
    store = opened.store
  })
  afterAll(() => opened[Symbol.asyncDispose]())

  async function won(
    ref: Uint8Array,
    more: Partial<Claim> = {},
  ): Promise<Own & { begin: Extract<Begin, { kind: 'yours' }> }> {
    const mine = claim(more)
    const begin = await store.begin(ref, mine)
    if (begin.kind !== 'yours') throw new Error(`expected the claim, got ${begin.kind}`)
    return { nonce: mine.nonce, fence: begin.fence, begin }
  }
  const lapse = (): Promise<void> => sleep(2 * SHORT_MS)

  test('one of fifty callers at once gets the claim', async () => {
    const ref = someRef()
    const kinds = await Promise.all(Array.from({ length: 50 }, async () => (await store.begin(ref, claim())).kind))
    expect(kinds.toSorted()).toEqual([...Array.from({ length: 49 }, () => 'busy'), 'yours'])
  })

  test('a repeated claim recognises itself, lapsed or not, and has its lease again', async () => {
    const ref = someRef()
    const mine = claim({ leaseMs: SHORT_MS })
    const first = await store.begin(ref, mine)
    await lapse()
    expect(await store.begin(ref, { ...mine, leaseMs: 60_000 })).toEqual(first)
    expect(await store.begin(ref, claim())).toMatchObject({ kind: 'busy' })
  })

  test('a done record gives its answer, its first run and its trace to everybody', async () => {
    const ref = someRef()
    const trace = { correlationId: 'corr-0001', traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
    const own = await won(ref, { trace })
    expect(await store.settle(ref, own, { kind: 'done', bytes: bytes(0, 255, 128, 10, 13) }, 60_000)).toBe('ok')
    const done = await store.begin(ref, claim())
    expect(done).toMatchObject({ kind: 'done', attempt: 1, trace })
    expect(Buffer.from((done as { bytes: Uint8Array }).bytes)).toEqual(Buffer.from([0, 255, 128, 10, 13]))
    const hex = Buffer.from(own.nonce).toString('hex')
    expect((done as { operationId: string }).operationId.replaceAll('-', '')).toBe(hex)
  })

  test('an empty answer is an answer', async () => {
    const ref = someRef()
    await store.settle(ref, await won(ref), { kind: 'done', bytes: bytes() }, 60_000)
    expect(await store.begin(ref, claim())).toMatchObject({
      kind: 'done',
      bytes: expect.objectContaining({ length: 0 }),
    })
  })

  test('another payload is refused in every state; another algorithm is not comparable', async () => {
    const ref = someRef()
    const own = await won(ref, { fingerprint: print(1) })
    expect(await store.begin(ref, claim({ fingerprint: print(2) }))).toEqual({ kind: 'mismatch' })
    expect(await store.begin(ref, claim({ fingerprint: print(2, 'raw') }))).toMatchObject({
      kind: 'busy',
      fingerprintSkipped: true,
    })
    for (const more of [{}, { fingerprint: print(1) }]) {
      const busy = await store.begin(ref, claim(more))
      expect(busy.kind).toBe('busy')
      expect(busy).not.toHaveProperty('fingerprintSkipped')
    }
    await store.settle(ref, own, { kind: 'done', bytes: bytes(1) }, 60_000)
    expect(await store.begin(ref, claim({ fingerprint: print(2) }))).toEqual({ kind: 'mismatch' })
    expect(await store.begin(ref, claim({ fingerprint: print(1) }))).toMatchObject({ kind: 'done' })
  })

  test('a lapsed record is taken over with the next attempt, a higher fence and what was saved', async () => {
    const ref = someRef()
    const first = await won(ref, { leaseMs: SHORT_MS })
    expect(first.begin).toEqual({ kind: 'yours', fence: first.fence, attempt: 1 })
    expect(await store.touch(ref, first, SHORT_MS, bytes(7, 8))).toBe('ok')
    await lapse()
    const reported = await store.begin(ref, claim({ onLapsed: 'report' }))
    expect(reported).toEqual({ kind: 'lapsed', attempt: 1 })
    const second = await won(ref)
    expect(second.begin.attempt).toBe(2)
    expect(second.fence).toBeGreaterThan(first.fence)
    expect(Buffer.from(second.begin.checkpoint!)).toEqual(Buffer.from([7, 8]))
  })

  test('who lost the record changes nothing', async () => {
    const ref = someRef()
    const first = await won(ref, { leaseMs: SHORT_MS })
    await lapse()
    const second = await won(ref)
    expect(await store.touch(ref, first, 60_000, bytes(1))).toBe('lost')
    for (const kind of ['tombstone', 'release', 'unknown'] as const) {
      expect(await store.settle(ref, first, { kind }, 60_000)).toBe('lost')
    }
    expect(await store.settle(ref, first, { kind: 'done', bytes: bytes(1) }, 60_000)).toBe('lost')
    // Each half of the proof alone is none.
    expect(await store.settle(ref, { ...second, nonce: first.nonce }, { kind: 'release' }, 60_000)).toBe('lost')
    expect(await store.settle(ref, { ...second, fence: first.fence }, { kind: 'release' }, 60_000)).toBe('lost')
    expect(await store.settle(ref, second, { kind: 'done', bytes: bytes(2) }, 60_000)).toBe('ok')
    expect(await store.settle(ref, first, { kind: 'done', bytes: bytes(1) }, 60_000)).toBe('lost')
    const done = (await store.begin(ref, claim())) as { bytes: Uint8Array }
    expect([...done.bytes]).toEqual([2])
  })

  test('who comes late but first still settles; a repeat of it is ok and changes nothing', async () => {
    const ref = someRef()
    const own = await won(ref, { leaseMs: SHORT_MS })
    await lapse()
    expect(await store.settle(ref, own, { kind: 'done', bytes: bytes(1) }, 60_000)).toBe('ok')
    expect(await store.settle(ref, own, { kind: 'done', bytes: bytes(1) }, 60_000)).toBe('ok')
    expect(await store.settle(ref, own, { kind: 'release' }, 60_000)).toBe('lost')
    expect(await store.touch(ref, own, 60_000)).toBe('lost')
    expect(await store.begin(ref, claim())).toMatchObject({ kind: 'done' })
  })

  test('a tombstone and an unknown end never run again', async () => {
    const tomb = someRef()
    const own = await won(tomb)
    expect(await store.settle(tomb, own, { kind: 'tombstone' }, 60_000)).toBe('ok')
    expect(await store.begin(tomb, claim())).toMatchObject({ kind: 'tombstone', attempt: 1 })
    const lost = someRef()
    expect(await store.settle(lost, await won(lost), { kind: 'unknown' }, 60_000)).toBe('ok')
    expect(await store.begin(lost, claim())).toEqual({ kind: 'unknown' })
  })

  test('a released ref is free, and its next fence is higher', async () => {
    const ref = someRef()
    const first = await won(ref)
    expect(await store.settle(ref, first, { kind: 'release' }, 60_000)).toBe('ok')
    const second = await won(ref)
    expect(second.begin.attempt).toBe(1)
    expect(second.fence).toBeGreaterThan(first.fence)
    expect(second.begin.checkpoint).toBeUndefined()
  })

  test('a lapse ends a lease at once: the next claim takes over with what was saved', async () => {
    const ref = someRef()
    const first = await won(ref, { fingerprint: print(1) })
    await store.touch(ref, first, 60_000, bytes(7))
    expect(await store.settle(ref, first, { kind: 'lapse' }, 60_000)).toBe('ok')
    expect(await store.settle(ref, first, { kind: 'lapse' }, 60_000)).toBe('ok')
    expect(await store.begin(ref, claim({ onLapsed: 'report' }))).toMatchObject({ kind: 'lapsed', attempt: 1 })
    const second = await won(ref)
    expect(second.begin.attempt).toBe(2)
    expect(second.fence).toBeGreaterThan(first.fence)
    expect([...second.begin.checkpoint!]).toEqual([7])
    expect(await store.settle(ref, first, { kind: 'lapse' }, 60_000)).toBe('lost')
  })

  test('a record expires by its retention, and is then nobody’s', async () => {
    const ref = someRef()
    const own = await won(ref, { fingerprint: print(1) })
    await store.settle(ref, own, { kind: 'done', bytes: bytes(1) }, SHORT_MS)
    await lapse()
    expect(await store.peek(ref)).toBeNull()
    expect(await store.begin(ref, claim({ fingerprint: print(2), onLapsed: 'report' }))).toMatchObject({
      kind: 'yours',
      attempt: 1,
    })
  })

  test('touch renews a lease, and the record with it', async () => {
    const ref = someRef()
    const own = await won(ref, { leaseMs: SHORT_MS, retainMs: SHORT_MS })
    expect(await store.touch(ref, own, 60_000)).toBe('ok')
    await lapse()
    expect(await store.begin(ref, claim())).toMatchObject({ kind: 'busy' })
    const { leaseLeftMs } = (await store.begin(ref, claim())) as { leaseLeftMs: number }
    expect(leaseLeftMs).toBeGreaterThan(50_000)
    expect(leaseLeftMs).toBeLessThanOrEqual(60_000)
  })

  test('peek shows a record without its answer', async () => {
    const ref = someRef()
    expect(await store.peek(ref)).toBeNull()
    const own = await won(ref)
    const flying = await store.peek(ref)
    expect(flying).toMatchObject({ state: 'inflight', attempt: 1, bytes: 0 })
    expect(flying!.leaseLeftMs).toBeGreaterThan(50_000)
    await store.settle(ref, own, { kind: 'done', bytes: bytes(1, 2, 3) }, 90_000)
    const done = (await store.peek(ref))!
    expect(done).toMatchObject({ state: 'done', bytes: 3 })
    expect(done.leaseLeftMs).toBeUndefined()
    expect(done.ageMs).toBeGreaterThanOrEqual(0)
    expect(done.ageMs).toBeLessThan(50_000)
    expect(done.expiresInMs).toBeGreaterThan(80_000)
    expect(done.expiresInMs).toBeLessThanOrEqual(90_000)
    expect(done.operationId!.replaceAll('-', '')).toBe(Buffer.from(own.nonce).toString('hex'))
  })

  test('forget removes what has no living owner', async () => {
    const ref = someRef()
    expect(await store.clear(ref, 'forget')).toBe(false)
    const own = await won(ref)
    expect(await store.clear(ref, 'forget')).toBe(false)
    await store.settle(ref, own, { kind: 'done', bytes: bytes(1) }, 60_000)
    expect(await store.clear(ref, 'forget')).toBe(true)
    expect(await store.begin(ref, claim())).toMatchObject({ kind: 'yours', attempt: 1 })
  })

  test.each(['unknown', 'lapsed'])('an %s record can be given back or answered, another one not', async (how) => {
    const end = async (ref: Uint8Array): Promise<Own> => {
      const own = await won(ref, { leaseMs: how === 'lapsed' ? SHORT_MS : 60_000 })
      expect(await store.clear(ref, 'retry')).toBe(false)
      expect(await store.clear(ref, { bytes: bytes(9) })).toBe(false)
      if (how === 'lapsed') await lapse()
      else await store.settle(ref, own, { kind: 'unknown' }, 60_000)
      return own
    }
    const again = someRef()
    await end(again)
    expect(await store.clear(again, 'retry')).toBe(true)
    expect(await store.begin(again, claim())).toMatchObject({ kind: 'yours' })
    const told = someRef()
    const own = await end(told)
    expect(await store.clear(told, { bytes: bytes(9) })).toBe(true)
    expect(await store.clear(told, 'retry')).toBe(false)
    expect(await store.settle(told, own, { kind: 'done', bytes: bytes(1) }, 60_000)).toBe('lost')
    const done = (await store.begin(told, claim())) as { bytes: Uint8Array }
    expect([...done.bytes]).toEqual([9])
  })

  test('who waits is woken by each end, and by its signal', async () => {
    if (store.wait === undefined) return
    for (const end of ['done', 'release', 'lapse', 'forget'] as const) {
      const ref = someRef()
      const own = await won(ref, { leaseMs: end === 'forget' ? SHORT_MS : 60_000 })
      const waiting = store.wait(ref, new AbortController().signal)
      await lapse()
      if (end === 'forget') await store.clear(ref, 'forget')
      else await store.settle(ref, own, end === 'done' ? { kind: 'done', bytes: bytes(1) } : { kind: end }, 60_000)
      await waiting
    }
    const controller = new AbortController()
    const waiting = store.wait(someRef(), controller.signal)
    controller.abort()
    await waiting
  })

  test('it says that it lives', async () => {
    await store.health({ answerMs: 2_000 })
  })
})
