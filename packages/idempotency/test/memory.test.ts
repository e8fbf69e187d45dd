import fc from 'fast-check'
import { virtualClock } from '@keelson/kernel/testing'
import { expect, test } from 'vitest'
import { memoryStore } from '@keelson/idempotency'
import { createExpiryHeap } from '../src/expiry-heap.ts'
import { bytes, claim, someRef } from './stores.ts'

test('a full store refuses new claims, and has room again when records expire', async () => {
  const clock = virtualClock()
  const store = memoryStore({ maxRecords: 2, clock })
  const first = someRef()
  const mine = claim({ retainMs: 1_000, leaseMs: 500 })
  const begun = await store.begin(first, mine)
  await store.begin(someRef(), claim({ retainMs: 60_000 }))
  await expect(store.begin(someRef(), claim())).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
    details: { reason: 'overload' },
  })
  // Who is there already is served.
  if (begun.kind !== 'yours') throw new Error('not claimed')
  expect(await store.settle(first, { nonce: mine.nonce, fence: begun.fence }, { kind: 'tombstone' }, 1_000)).toBe('ok')
  await clock.advance(1_000)
  expect(await store.begin(someRef(), claim())).toMatchObject({ kind: 'yours' })
})

test('sweep removes what has expired, and no more than it is told', async () => {
  const clock = virtualClock()
  const store = memoryStore({ clock })
  for (let i = 0; i < 10; i++) await store.begin(someRef(), claim({ retainMs: 1_000, leaseMs: 500 }))
  await store.begin(someRef(), claim({ retainMs: 60_000 }))
  expect(await store.sweep!(100)).toBe(0)
  await clock.advance(1_000)
  expect(await store.sweep!(4)).toBe(4)
  expect(await store.sweep!(100)).toBe(6)
  expect(await store.counts!()).toEqual({ inflight: 1 })
})

test('a record that is kept for less than its lease makes room by its retention', async () => {
  const clock = virtualClock()
  const store = memoryStore({ maxRecords: 1, clock })
  const ref = someRef()
  const mine = claim({ retainMs: 1_000, leaseMs: 15_000 })
  const begun = await store.begin(ref, mine)
  if (begun.kind !== 'yours') throw new Error('not claimed')
  await store.settle(ref, { nonce: mine.nonce, fence: begun.fence }, { kind: 'tombstone' }, 1_000)
  await clock.advance(1_000)
  expect(await store.begin(someRef(), claim())).toMatchObject({ kind: 'yours' })
})

test('claims that are released and claimed again leave nothing behind', async () => {
  const store = memoryStore({ maxRecords: 3 })
  const ref = someRef()
  for (let i = 0; i < 20_000; i++) {
    const mine = claim()
    const begun = await store.begin(ref, mine)
    if (begun.kind !== 'yours') throw new Error('not claimed')
    await store.settle(ref, { nonce: mine.nonce, fence: begun.fence }, { kind: 'release' }, 1)
  }
  expect(await store.counts!()).toEqual({})
})

test('whoever is answered cannot change what is stored', async () => {
  const store = memoryStore()
  const ref = someRef()
  const mine = claim()
  const begun = await store.begin(ref, mine)
  if (begun.kind !== 'yours') throw new Error('not claimed')
  const answer = bytes(1, 2)
  await store.settle(ref, { nonce: mine.nonce, fence: begun.fence }, { kind: 'done', bytes: answer }, 60_000)
  answer[0] = 9
  const done = (await store.begin(ref, claim())) as { bytes: Uint8Array }
  done.bytes[1] = 9
  expect([...((await store.begin(ref, claim())) as { bytes: Uint8Array }).bytes]).toEqual([1, 2])
})

test('an expiry heap gives what is due, earliest first', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000)), fc.nat(1_000), (times, nowMs) => {
      const heap = createExpiryHeap()
      times.forEach((atMs, i) => heap.push(atMs, String(i)))
      const popped: number[] = []
      for (let key = heap.popDue(nowMs); key !== undefined; key = heap.popDue(nowMs)) popped.push(times[Number(key)]!)
      expect(popped).toEqual(times.filter((atMs) => atMs <= nowMs).toSorted((a, b) => a - b))
      expect(heap.size).toBe(times.length - popped.length)
    }),
  )
})
