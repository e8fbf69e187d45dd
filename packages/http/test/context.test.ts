import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createHttp } from '@keelson/http'
import { exchange } from './support.ts'

const TRACEPARENT = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]$/
const UUIDV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/

describe('correlation id', () => {
  it('is the caller’s when it is acceptable, and set on the answer', () => {
    const x = exchange({ headers: [['X-Correlation-ID', 'order-17.retry:2']] })
    expect(createHttp().begin(x).correlationId).toBe('order-17.retry:2')
    expect(x.answerHeaders['x-correlation-id']).toBe('order-17.retry:2')
  })

  it.each([
    ['none', []],
    ['a short one', ['abc']],
    ['a long one', ['a'.repeat(129)]],
    ['a space', ['order 17 of 3']],
    ['a line feed', ['order-17\n']],
    ['markup', ['<script>alert(1)</script>']],
    ['two lines', ['order-17', 'order-18']],
    ['an empty one', ['']],
  ])('is a new UUIDv7 for %s', (_, lines) => {
    const x = exchange({ headers: lines.map((line) => ['x-correlation-id', line] as const) })
    expect(createHttp().begin(x).correlationId).toMatch(UUIDV7)
  })

  it('is never anything that `accept` does not match in full', () => {
    const http = createHttp({ correlation: { header: 'X-Request-Id', accept: /^[a-z]{3}|[0-9]{3}$/ } })
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab1 \n'), maxLength: 7 }), (given) => {
        const x = exchange({ headers: [['x-request-id', given]] })
        const { correlationId } = http.begin(x)
        expect(x.answerHeaders['x-request-id']).toBe(correlationId)
        if (correlationId !== given) expect(correlationId).toMatch(UUIDV7)
        else expect(given).toMatch(/^([a-z]{3}|[0-9]{3})$/)
      }),
    )
  })
})

describe('traceparent', () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c'
  const begin = (...lines: string[]): string => {
    const x = exchange({ headers: lines.map((line) => ['traceparent', line] as const) })
    const { traceparent } = createHttp().begin(x)
    expect(x.answerHeaders['traceparent']).toBe(traceparent)
    expect(traceparent).toMatch(TRACEPARENT)
    return traceparent!
  }

  it.each([
    ['version 00', `00-${traceId}-b7ad6b7169203331-01`, '01'],
    ['unknown flags', `00-${traceId}-b7ad6b7169203331-ff`, '03'],
    ['a later version', `cc-${traceId}-b7ad6b7169203331-01-what-the-future-holds`, '01'],
  ])('continues %s under a new parent id', (_, given, flags) => {
    const continued = begin(given)
    expect(continued.slice(3, 35)).toBe(traceId)
    expect(continued.slice(36, 52)).not.toBe('b7ad6b7169203331')
    expect(continued.slice(-2)).toBe(flags)
  })

  it.each([
    ['none', []],
    ['version ff', [`ff-${traceId}-b7ad6b7169203331-01`]],
    ['fields behind version 00', [`00-${traceId}-b7ad6b7169203331-01-x`]],
    ['a trace id of zeros', [`00-${'0'.repeat(32)}-b7ad6b7169203331-01`]],
    ['a parent id of zeros', [`00-${traceId}-${'0'.repeat(16)}-01`]],
    ['upper case', [`00-${traceId.toUpperCase()}-b7ad6b7169203331-01`]],
    ['text', ['not a traceparent']],
    ['two lines', [`00-${traceId}-b7ad6b7169203331-01`, `00-${traceId}-b7ad6b7169203331-01`]],
  ])('starts a new trace for %s', (_, lines) => {
    expect(begin(...lines).slice(3, 35)).not.toBe(traceId)
  })
})
