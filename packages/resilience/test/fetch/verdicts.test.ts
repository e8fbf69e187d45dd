import { describe, expect, test } from 'vitest'
import { verdicts } from '../../src/fetch/index.ts'

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
