import { describe, expect, test } from 'vitest'
import { parseRetryAfter, verdicts } from '../../src/fetch/index.ts'
import { parseHttpDate } from '../../src/fetch/http-date.ts'

const NOW = Date.UTC(2026, 10, 21, 12, 0, 0)

describe('parseRetryAfter', () => {
  test.each([
    ['0', 0],
    ['1', 1_000],
    ['0120', 120_000],
    ['99999999999999999999', Number.MAX_SAFE_INTEGER],
    ['Sat, 21 Nov 2026 12:00:05 GMT', 5_000],
    ['Saturday, 21-Nov-26 12:00:05 GMT', 5_000],
    ['Sat Nov 21 12:00:05 2026', 5_000],
    ['Tue Dec  1 12:00:00 2026', 10 * 86_400_000],
    ['Sun, 06 Nov 1994 08:49:37 GMT', 0],
    ['Sunday, 06-Nov-94 08:49:37 GMT', 0],
    ['Sun Nov  6 08:49:37 1994', 0],
  ])('%s', (text, expected) => expect(parseRetryAfter(text, NOW)).toBe(expected))

  test.each([
    null,
    '',
    ' ',
    '-1',
    '+1',
    '1.5',
    '1e3',
    '0x10',
    ' 5',
    '5 ',
    '5s',
    '1, 2',
    '٣',
    'soon',
    '2026-11-21T12:00:05Z',
    'Sat, 21 Nov 2026 12:00:05 UTC',
    'Sat, 21 Nov 2026 12:00:05 +0000',
    'Sat, 21 Nov 2026 12:00:05',
    'sat, 21 nov 2026 12:00:05 gmt',
    'Sun, 21 Nov 2026 12:00:05 GMT',
    'Sat, 31 Nov 2026 12:00:05 GMT',
    'Mon, 30 Feb 2026 12:00:05 GMT',
    'Sat, 21 Nov 2026 24:00:00 GMT',
    'Sat, 21 Nov 2026 12:60:00 GMT',
    'Sat, 21 Nov 2026 12:00:61 GMT',
    'Sat, 21 Nob 2026 12:00:05 GMT',
    'Sat, 1 Nov 2026 12:00:05 GMT',
    'Sat, 21-Nov-26 12:00:05 GMT',
    'Saturday, 21-Nov-2026 12:00:05 GMT',
    'Sat Nov 1 12:00:05 2026',
    'Sat Nov 21 12:00:05 2026 GMT',
    'Sat, 21 Nov 2026 12:00:05 GMT, 7',
  ])('%s is nothing', (text) => expect(parseRetryAfter(text, NOW)).toBeUndefined())

  test('a year with two digits is at most 50 years ahead, also at the turn of a century', () => {
    const year = (digits: string, nowMs: number, day: string): number =>
      new Date(parseHttpDate(`${day}, 01-Jan-${digits} 00:00:00 GMT`, nowMs)!).getUTCFullYear()
    expect(year('76', NOW, 'Wednesday')).toBe(2076)
    expect(year('77', NOW, 'Saturday')).toBe(1977)
    expect(year('01', Date.UTC(2099, 0), 'Saturday')).toBe(2101)
  })

  test('a leap second is a second, and years before 100 are themselves', () => {
    expect(parseHttpDate('Sat, 31 Dec 2016 23:59:60 GMT', NOW)).toBe(Date.UTC(2017, 0))
    expect(new Date(parseHttpDate('Sat, 01 Jan 0000 00:00:00 GMT', NOW)!).getUTCFullYear()).toBe(0)
  })
})

describe('verdicts', () => {
  const of = (status: number, headers: Record<string, string> = {}): unknown =>
    verdicts.value(new Response(null, { status, headers }))

  test('of each status', () => {
    const named: Record<string, number[]> = {}
    for (let status = 200; status < 600; status++) {
      const verdict = of(status)
      const name = typeof verdict === 'string' ? verdict : (verdict as { class: string }).class
      ;(named[name] ??= []).push(status)
    }
    expect(named['throttle']).toEqual([429, 503])
    expect(named['ok']).toEqual(Array.from({ length: 200 }, (_, i) => 200 + i))
    expect(named['ignore']).toEqual([
      ...Array.from({ length: 100 }, (_, i) => 400 + i).filter((status) => status !== 429),
      501,
      505,
    ])
    expect(named['retry']).toHaveLength(97)
    expect(named['retry']).toEqual(expect.arrayContaining([500, 502, 504, 599]))
    expect(named['fatal']).toBeUndefined()
  })

  test('Retry-After counts where it throttles, and a date counts from that of the answer', () => {
    expect(of(503, { 'retry-after': '7' })).toEqual({ class: 'throttle', retryAfter: 7_000 })
    expect(of(429, { 'retry-after': 'soon' })).toEqual({ class: 'throttle' })
    expect(of(500, { 'retry-after': '7' })).toEqual({ class: 'retry' })
    const date = 'Sun, 06 Nov 1994 08:49:37 GMT'
    const later = 'Sun, 06 Nov 1994 08:50:37 GMT'
    expect(of(503, { date, 'retry-after': later })).toEqual({ class: 'throttle', retryAfter: 60_000 })
    expect(of(503, { 'retry-after': later })).toEqual({ class: 'throttle', retryAfter: 0 })
  })

  test('x-retry: no makes a failure final, and nothing else', () => {
    expect(of(502, { 'x-retry': 'No' })).toEqual({ class: 'fatal' })
    expect(of(503, { 'x-retry': 'no', 'retry-after': '1' })).toEqual({ class: 'fatal', retryAfter: 1_000 })
    expect(of(503, { 'x-retry': 'yes' })).toEqual({ class: 'throttle' })
    expect(of(404, { 'x-retry': 'no' })).toBe('ignore')
    expect(of(200, { 'x-retry': 'no' })).toBe('ok')
  })

  test('of errors: the network is retried, what was never sent is ignored, a certificate is final', () => {
    const failed = (cause?: unknown): unknown => verdicts.error(new TypeError('fetch failed', { cause }))
    const coded = (code: string, more: object = {}): Error => Object.assign(new Error(code), { code, ...more })
    for (const code of [
      'ECONNRESET',
      'ECONNREFUSED',
      'ENOTFOUND',
      'EPIPE',
      'UND_ERR_SOCKET',
      'UND_ERR_CONNECT_TIMEOUT',
    ])
      expect([code, failed(coded(code))]).toEqual([code, 'retry'])
    expect(failed(new Error('deeper', { cause: coded('ETIMEDOUT') }))).toBe('retry')
    expect(failed(Object.assign(new AggregateError([coded('ECONNREFUSED')]), { code: 'ECONNREFUSED' }))).toBe('retry')
    for (const code of ['ERR_INVALID_URL', 'UND_ERR_INVALID_ARG', 'UND_ERR_DESTROYED', 'UND_ERR_CLOSED'])
      expect([code, failed(coded(code))]).toEqual([code, 'ignore'])
    for (const code of ['CERT_HAS_EXPIRED', 'DEPTH_ZERO_SELF_SIGNED_CERT', 'ERR_TLS_CERT_ALTNAME_INVALID'])
      expect([code, failed(coded(code))]).toEqual([code, 'fatal'])
    expect(failed()).toBe('ignore')
    expect(failed(new Error('redirect count exceeded'))).toBe('ignore')
    const loop = new TypeError('loop')
    loop.cause = loop
    expect(verdicts.error(loop)).toBe('ignore')
    expect(verdicts.error(new DOMException('left', 'AbortError'))).toBe('ignore')
    expect(verdicts.error(new Error('of a fetch of your own'))).toBe('retry')
    expect(verdicts.error({ retryable: false })).toBe('ignore')
    expect(verdicts.error(undefined)).toBe('retry')
  })
})
