import { expect, it } from 'vitest'
import { groupHeaders } from '@keelson/http/adapter'

const grouped = (headers: [string, string][], before: Record<string, string | string[]> = {}): unknown =>
  Object.fromEntries(groupHeaders(headers, (name) => before[name.toLowerCase()]))

it('groups headers by name under the first spelling, in order', () => {
  const headers = groupHeaders([
    ['X-B', '1'],
    ['Link', '</a>'],
    ['x-b', '2'],
    ['__proto__', '3'],
  ])
  expect(headers).toEqual([
    ['X-B', ['1', '2']],
    ['Link', '</a>'],
    ['__proto__', '3'],
  ])
})

it('adds to the lists of middleware, and says nothing twice', () => {
  expect(grouped([['Vary', 'Origin']], { vary: 'Accept' })).toEqual({ Vary: ['Accept', 'Origin'] })
  expect(grouped([['Vary', 'Origin, Accept']], { vary: 'accept' })).toEqual({ Vary: 'Origin, Accept' })
  expect(grouped([['Vary', 'Origin']], { vary: 'Origin, Accept' })).toEqual({ Vary: ['Origin, Accept', 'Origin'] })
  expect(
    grouped(
      [
        ['Link', '</a>; rel=a'],
        ['Link', '</b>; rel=b'],
      ],
      { link: '</a>; rel=a' },
    ),
  ).toEqual({
    Link: ['</a>; rel=a', '</b>; rel=b'],
  })
  expect(grouped([['X-A', 'new']], { 'x-a': 'old' })).toEqual({ 'X-A': 'new' })
})

it('never takes one cookie for a part of others', () => {
  const cookies: [string, string][] = [
    ['Set-Cookie', 'a=1; Expires=Wed, 22 Oct 2031'],
    ['Set-Cookie', 'b=2; Expires=Thu, 21 Oct 2031'],
  ]
  expect(grouped(cookies, { 'set-cookie': ['a=1; Expires=Wed, 21 Oct 2031'] })).toEqual({
    'Set-Cookie': ['a=1; Expires=Wed, 21 Oct 2031', ...cookies.map(([, value]) => value)],
  })
})
