import { virtualClock } from '@keelson/kernel/testing'
import { expect, test } from 'vitest'
import { keepLease } from '../src/lease.ts'

const LEASE_MS = 900

function kept(answer: (asked: number) => Promise<'ok' | 'lost'>) {
  const clock = virtualClock()
  const asked: number[] = []
  const lease = keepLease(clock, LEASE_MS, clock.monotonic(), () => {
    asked.push(clock.monotonic())
    return answer(asked.length)
  })
  return { clock, asked, lease }
}

test('a lease is renewed every third of it, until it is stopped', async () => {
  const { clock, asked, lease } = kept(async () => 'ok')
  await clock.advance(2_000)
  expect(asked).toEqual([300, 600, 900, 1200, 1500, 1800])
  expect(lease.signal.aborted).toBe(false)
  lease.stop()
  await clock.advance(10_000)
  expect(asked).toHaveLength(6)
  expect(lease.signal.aborted).toBe(false)
  expect(clock.pending()).toBe(0)
})

test('its signal aborts as soon as the store says that it is lost', async () => {
  const { clock, asked, lease } = kept(async (n) => (n < 2 ? 'ok' : 'lost'))
  await clock.advance(599)
  expect(lease.signal.aborted).toBe(false)
  await clock.advance(1)
  expect(lease.signal.reason).toMatchObject({ code: 'LEASE_LOST' })
  await clock.advance(10_000)
  expect(asked).toHaveLength(2)
})

test('a renewal that fails is repeated sooner, and the signal aborts when the lease is over', async () => {
  let down = true
  const { clock, asked, lease } = kept(() => (down ? Promise.reject(new Error('down')) : Promise.resolve('ok')))
  await clock.advance(LEASE_MS - 1)
  expect(asked.slice(0, 3)).toEqual([300, 390, 480])
  expect(lease.signal.aborted).toBe(false)
  await clock.advance(1)
  expect(lease.signal.aborted).toBe(true)
  // It may still be ours: nobody else may have come.
  down = false
  await clock.advance(LEASE_MS / 10)
  await expect(lease.renew()).resolves.toBeUndefined()
})

test('a lease counts from when it was asked for, not from when it was answered', async () => {
  const clock = virtualClock()
  await clock.advance(500)
  const { promise } = Promise.withResolvers<'ok'>()
  const lease = keepLease(clock, LEASE_MS, 0, () => promise)
  await clock.advance(LEASE_MS - 500 - 1)
  expect(lease.signal.aborted).toBe(false)
  await clock.advance(1)
  expect(lease.signal.aborted).toBe(true)
})

test('a jump of the wall clock changes nothing', async () => {
  const { clock, asked, lease } = kept(async () => 'ok')
  clock.jumpWall(3_600_000)
  await clock.advance(600)
  clock.jumpWall(-7_200_000)
  await clock.advance(300)
  expect(asked).toEqual([300, 600, 900])
  expect(lease.signal.aborted).toBe(false)
})
