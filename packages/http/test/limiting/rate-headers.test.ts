import { expect, it } from 'vitest'
import type { Decision } from '@keelson/resilience/limiter'
import { rateHeaders } from '../../src/limiting/rate-headers.ts'

const minute = { name: 'minute', limit: 10, windowMs: 60_000, remaining: 4, resetMs: 18_001 }
const day = { name: 'day', limit: 100, windowMs: 86_400_000, remaining: 90, resetMs: 40_000_000 }
const decision: Decision = {
  allowed: true,
  retryAfter: 0,
  source: 'store',
  exact: true,
  binding: 'minute',
  quotas: [day, minute],
}
const of = (taken: Parameters<typeof rateHeaders>[0]): Record<string, string> =>
  Object.fromEntries(rateHeaders(taken, 1_700_000_000_500))

it('puts the quota that binds first, and tells the older fields of it alone', () => {
  expect(of([{ prefix: '', decision }])).toEqual({
    'RateLimit-Policy': '"minute";q=10;w=60, "day";q=100;w=86400',
    RateLimit: '"minute";r=4;t=19, "day";r=90;t=40000',
    'X-RateLimit-Limit': '10',
    'X-RateLimit-Remaining': '4',
    'X-RateLimit-Reset': '1700000019',
  })
})

it('of several limiters the nearest binds, and a refusal before all', () => {
  const nearer: Decision = { ...decision, quotas: [{ ...minute, remaining: 1 }] }
  const a = { prefix: 'a.', decision }
  const b = { prefix: 'b.', decision: nearer }
  expect(of([a, b])['RateLimit']).toBe('"b.minute";r=1;t=19, "a.day";r=90;t=40000, "a.minute";r=4;t=19')
  const refused = { ...a, decision: { ...decision, allowed: false } }
  expect(of([b, refused])['X-RateLimit-Remaining']).toBe('4')
})

it('tells nothing that is not exact, and all that is', () => {
  const guessed = { prefix: 'a.', decision: { ...decision, exact: false, allowed: false } }
  expect(rateHeaders([guessed], 0)).toEqual([])
  expect(of([guessed, { prefix: 'b.', decision: { ...decision, quotas: [minute] } }])['RateLimit']).toBe(
    '"b.minute";r=4;t=19',
  )
})

it('a window of less than a second is one', () => {
  const quick = { ...decision, quotas: [{ ...minute, windowMs: 250, resetMs: 1 }] }
  expect(of([{ prefix: '', decision: quick }])).toMatchObject({
    'RateLimit-Policy': '"minute";q=10;w=1',
    RateLimit: '"minute";r=4;t=1',
  })
})
