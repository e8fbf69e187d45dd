import { expect, it } from 'vitest'
import { storedHeaders } from '../src/stored-headers.ts'

it('keeps what belongs to the answer, in order and with repeats', () => {
  const headers = [
    ['Link', '</a>; rel=a'],
    ['Set-Cookie', 's=1'],
    ['ETag', '"1"'],
    ['Link', '</b>; rel=b'],
    ['X-Correlation-ID', 'order-17'],
    ['My-Request', 'order-17'],
    ['location', '/orders/1'],
  ] as const
  expect(storedHeaders(headers, 'my-request').map(([name, value]) => `${name}: ${value}`)).toEqual([
    'Link: </a>; rel=a',
    'ETag: "1"',
    'Link: </b>; rel=b',
    'location: /orders/1',
  ])
})

it('drops what belongs to one connection, moment, client or request', () => {
  const names =
    'connection keep-alive proxy-authenticate proxy-connection te trailer transfer-encoding upgrade content-length date age ' +
    'set-cookie www-authenticate authentication-info retry-after ratelimit ratelimit-policy x-ratelimit-limit ' +
    'access-control-allow-origin traceparent tracestate x-correlation-id x-request-id x-response-time server-timing ' +
    'deprecation sunset cache-status'
  for (const name of names.split(' ')) {
    expect(storedHeaders([[name.toUpperCase(), 'x']], 'x-correlation-id')).toEqual([])
  }
})
