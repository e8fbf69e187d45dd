import { describe, expect, it } from 'vitest'
import { createHttp, type HttpOptions } from '@keelson/http'
import { virtualClock } from '@keelson/kernel/testing'
import { exchange, problemOf, type Given } from './support.ts'

const TIMEOUT = 'x-request-timeout-ms'

function begin(headers: NonNullable<Given['headers']>, deadline?: HttpOptions['deadline']) {
  const clock = virtualClock()
  const http = createHttp({ clock, ...(deadline === undefined ? {} : { deadline }) })
  const x = exchange({ headers })
  const { deadline: until, retryAttempt } = http.begin(x)
  return { http, clock, x, leftMs: until === undefined ? undefined : until - clock.monotonic(), retryAttempt }
}

describe('the time of a request', () => {
  it.each([
    ['has no end by default', [], undefined, undefined],
    ['is what http gives', [], { default: '5s' }, 5_000],
    ['is what the caller asks for', ['250'], undefined, 250],
    ['is at most 60 s of what the caller asks for', ['600000'], undefined, 60_000],
    ['is at most `max`', ['600000'], { max: '2m' }, 120_000],
    ['is the shorter one', ['6000'], { default: '5s' }, 5_000],
    ['is the shorter one', ['250'], { default: '5s' }, 250],
  ] as const)('%s: %j, %j', (_, lines, deadline, leftMs) => {
    expect(
      begin(
        lines.map((line) => [TIMEOUT, line]),
        deadline,
      ).leftMs,
    ).toBe(leftMs)
  })

  it.each(['NaN', '-1', '1e308', '1.5', ' 5', '0x10', '', '9'.repeat(400), 'soon'])('ignores and counts %s', (line) => {
    const { http, leftMs } = begin([[TIMEOUT, line]])
    expect(leftMs).toBeUndefined()
    const bad = http.metrics().find(({ name }) => name === 'keelson_http_bad_headers_total')
    expect(bad?.samples).toMatchObject([{ labels: { header: TIMEOUT }, value: 1 }])
  })

  it('ignores two lines', () => {
    expect(
      begin([
        [TIMEOUT, '5'],
        [TIMEOUT, '6'],
      ]).leftMs,
    ).toBeUndefined()
  })
})

describe('a deadline', () => {
  it('that is over is 504 before the handler, and says when to come again to nobody', async () => {
    const { http, x, clock } = begin([[TIMEOUT, '250']])
    const route = http.compile({ deadline: '10s' })
    expect(await route.early(x)).toBeUndefined()
    expect(route.context(x).deadline).toBe(clock.monotonic() + 250)
    await clock.advance(250)
    expect(problemOf((await route.early(x))!)).toMatchObject({ status: 504, code: 'deadline-exceeded' })
  })

  it('of zero is over at once', async () => {
    const { http, x } = begin([[TIMEOUT, '0']])
    expect((await http.compile({}).early(x))?.status).toBe(504)
  })

  it('of a route counts from the beginning of the request', async () => {
    const { http, x, clock } = begin([])
    const began = clock.monotonic()
    await clock.advance(100)
    const route = http.compile({ deadline: '200ms' })
    expect(await route.early(x)).toBeUndefined()
    expect(route.context(x).deadline).toBe(began + 200)
    await clock.advance(100)
    expect((await route.early(x))?.status).toBe(504)
  })

  it.each([0, -1, '25h', 'soon'])('of %s is refused', (deadline) => {
    expect(() => createHttp().compile({ deadline: deadline as number })).toThrow(/"deadline"/)
    expect(() => createHttp({ deadline: { default: deadline as number } })).toThrow(/deadline/)
  })
})

it('a default deadline above the longest one is refused', () => {
  const message = /"deadline.default" must be at most "max" \(got 90000 and 60000 ms\)/
  expect(() => createHttp({ deadline: { default: '90s' } })).toThrow(message)
  expect(() => createHttp({ deadline: { default: '90s', max: '90s' } })).not.toThrow()
})

describe('a retry', () => {
  it.each([
    [[['x-retry-attempt', '2']], 2],
    [[['x-retry', 'no']], 1],
    [[['X-Retry', 'No']], 1],
    [
      [
        ['x-retry', 'no'],
        ['x-retry-attempt', '3'],
      ],
      3,
    ],
    [[['x-retry', 'yes']], undefined],
    [[['x-retry-attempt', '0']], 0],
    [[['x-retry-attempt', '-1']], undefined],
    [[['x-retry-attempt', 'many']], undefined],
    [[], undefined],
  ] as [[string, string][], number | undefined][])('%j is attempt %s', (headers, attempt) => {
    expect(begin(headers).retryAttempt).toBe(attempt)
  })
})
