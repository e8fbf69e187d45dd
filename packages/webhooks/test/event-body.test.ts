import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import type { EventKind } from '@keelson/webhooks'
import { eventBody, readBody } from '../src/event-body.ts'

const nowMs = Date.UTC(2026, 0, 2, 3, 4, 5, 678)

function bodyOf(data: unknown, kind?: EventKind, more: { maxBytes?: number; nowMs?: number; type?: string } = {}) {
  const made = eventBody({ type: 'order.created', kind, data, nowMs, maxBytes: 262_144, ...more })
  return { ...made, text: Buffer.from(made.body).toString() }
}

const codeOf = (code: string, message: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) })

test('type, timestamp, version and data, in this order', () => {
  expect(bodyOf({ a: 1 }).text).toBe('{"type":"order.created","timestamp":"2026-01-02T03:04:05.678Z","data":{"a":1}}')
  const versioned = bodyOf(null, { version: 3 })
  expect(versioned.text).toBe('{"type":"order.created","timestamp":"2026-01-02T03:04:05.678Z","version":3,"data":null}')
  expect(readBody(versioned.body)).toEqual({ timestamp: new Date(nowMs), version: 3, data: null })
  expect(bodyOf([new Date(0), true, 'ü\u2028', -0, { u: undefined }]).data()).toEqual([
    '1970-01-01T00:00:00.000Z',
    true,
    'ü\u2028',
    0,
    {},
  ])
})

describe('schemas', () => {
  const schema = z.object({ id: z.string(), n: z.number().default(7) })

  test('check the data, and what they answer is sent', () => {
    expect(bodyOf({ id: 'a', extra: 1 }, { schema }).data()).toEqual({ id: 'a', n: 7 })
    expect(() => bodyOf({ id: 1 }, { schema })).toThrow(codeOf('SCHEMA_FAILED', /order\.created: .* at "id"/))
  })

  test('that are asynchronous are refused, and what they say later harms nobody', async () => {
    const late = z.string().refine(async () => true)
    const validate = async () => Promise.reject(new Error('late'))
    const own = { '~standard': { version: 1, vendor: 'test', validate } } as unknown as NonNullable<EventKind['schema']>
    expect(() => bodyOf('a', { schema: own })).toThrow(codeOf('SCHEMA_ASYNC', /asynchronously/))
    expect(() => bodyOf('a', { schema: late })).toThrow(expect.objectContaining({ code: 'SCHEMA_ASYNC' }))
    await new Promise((resolve) => setImmediate(resolve))
  })

  test('come before what makes an event thin', () => {
    expect(bodyOf({ id: 'a' }, { schema, thin: ({ id, n }: { id: string; n: number }) => ({ id, n }) }).data()).toEqual(
      { id: 'a', n: 7 },
    )
    expect(() => bodyOf({ id: 'a' }, { thin: () => undefined })).toThrow(
      codeOf('PAYLOAD_NOT_JSON', /data is undefined/),
    )
  })
})

test('what is no JSON is refused, with its place', () => {
  const cycle: Record<string, unknown> = { a: [{}] }
  ;(cycle['a'] as Record<string, unknown>[])[0]!['back'] = cycle
  let deep: unknown = 1
  for (let i = 0; i < 300; i++) deep = [deep]
  const cases: [unknown, RegExp][] = [
    [undefined, /data is undefined/],
    [() => 1, /data is a function/],
    [{ a: [1n] }, /data\.a\[0\] is a bigint/],
    [{ a: { b: NaN } }, /data\.a\.b is NaN/],
    [[Infinity], /data\[0\] is Infinity/],
    [{ a: Symbol('x') }, /data\.a is a symbol/],
    [{ a: () => 1 }, /data\.a is a function/],
    [[undefined], /data\[0\] is undefined/],
    [cycle, /data\.a\[0\]\.back is a cycle/],
    [deep, /deeper than 200 levels/],
  ]
  for (const [data, message] of cases) expect(() => bodyOf(data)).toThrow(codeOf('PAYLOAD_NOT_JSON', message))
  const twice = { x: 1 }
  expect(bodyOf({ a: twice, b: [twice, twice] }).data()).toEqual({ a: { x: 1 }, b: [{ x: 1 }, { x: 1 }] })
})

test('a body is as long as it may be, in bytes', () => {
  const { body } = bodyOf('ü')
  expect(bodyOf('ü', undefined, { maxBytes: body.length }).body).toEqual(body)
  expect(() => bodyOf('ü', undefined, { maxBytes: body.length - 1 })).toThrow(
    codeOf(
      'PAYLOAD_TOO_LARGE',
      new RegExp(`has ${body.length} bytes, more than "maxPayloadBytes" \\(${body.length - 1}\\)`),
    ),
  )
})

test('the digest tells events apart by type, version and data, not by time', () => {
  const digest = bodyOf({ a: 1 }).digest
  expect(digest).toMatch(/^[0-9a-f]{64}$/)
  expect(bodyOf({ a: 1 }, undefined, { nowMs: nowMs + 1 }).digest).toBe(digest)
  const others = [
    bodyOf({ a: 2 }),
    bodyOf({ a: 1 }, { version: 1 }),
    bodyOf({ a: 1 }, undefined, { type: 'order.paid' }),
  ]
  expect(new Set([digest, ...others.map((one) => one.digest)]).size).toBe(4)
})
