import { describe, expect, it } from 'vitest'
import { createHttp, type DeprecatedRule } from '@keelson/http'
import { exchange, type TestExchange } from './support.ts'

async function asked(deprecated: DeprecatedRule): Promise<TestExchange> {
  const http = createHttp()
  const x = exchange()
  http.begin(x)
  expect(await http.compile({ deprecated }).early(x)).toBeUndefined()
  return x
}

describe('a deprecated route', () => {
  it('says since when, until when, why and what instead', async () => {
    const x = await asked({
      since: '2024-06-30T23:59:59Z',
      sunset: '2027-01-31',
      link: 'https://api.example.com/docs/v1',
      successor: '/v2/orders',
    })
    // The first two are the examples of RFC 9745 and RFC 8594 in form.
    expect(x.answerHeaders['deprecation']).toBe('@1719791999')
    expect(x.answerHeaders['sunset']).toBe('Sun, 31 Jan 2027 00:00:00 GMT')
    x.headLeaves(200, [
      ['Link', '</orders?page=2>; rel="next"'],
      ['link', '</schema>; rel="describedby"'],
    ])
    expect(x.answerHeaders['link']).toEqual([
      '</orders?page=2>; rel="next"',
      '</schema>; rel="describedby"',
      '<https://api.example.com/docs/v1>; rel="deprecation"',
      '</v2/orders>; rel="successor-version"',
    ])
  })

  it('says no more than it knows', async () => {
    const x = await asked({ since: '2027-01-31' })
    x.headLeaves(200, [])
    expect(Object.keys(x.answerHeaders)).toEqual(expect.not.arrayContaining(['sunset', 'link']))
  })

  it('does not say it twice where two policies do', async () => {
    const http = createHttp()
    const x = exchange()
    http.begin(x)
    const route = http.compile({ deprecated: { since: '2027-01-31', link: '/why' } })
    await route.early(x)
    await route.early(x)
    x.headLeaves(200, [['Link', '</why>; rel="deprecation"']])
    expect(x.answerHeaders['link']).toEqual(['</why>; rel="deprecation"'])
  })

  it.each<[string, object, RegExp]>([
    ['no date', {}, /deprecated: "since" is required/],
    ['a date that does not exist', { since: '2027-02-31' }, /"since" must be an ISO 8601 date .*2027-02-31/],
    ['a month that does not exist', { since: '2027-13-01' }, /"since" must be/],
    ['a date in words', { since: 'tomorrow' }, /"since" must be/],
    ['a time without a zone', { since: '2027-01-31T12:00:00' }, /"since" must be/],
    ['a sunset before', { since: '2027-01-31', sunset: '2026-01-31' }, /"sunset" must not be before "since"/],
    ['a link that ends too soon', { since: '2027-01-31', link: 'x>; rel="x"' }, /"link" must be a URI/],
    ['a line feed', { since: '2027-01-31', successor: 'x\r\nSet-Cookie: a=b' }, /"successor" must be a URI/],
    ['an unknown one', { since: '2027-01-31', until: '2028-01-31' }, /unknown option "until"/],
  ])('is refused with %s', (_, deprecated, message) => {
    expect(() => createHttp().compile({ deprecated: deprecated as DeprecatedRule })).toThrow(message)
  })
})
