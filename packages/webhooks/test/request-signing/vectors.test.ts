/** Vectors of RFC 9421, RFC 9530 and RFC 8941, as far as the profile goes. */
import { createSecretKey, hash } from 'node:crypto'
import { expect, test } from 'vitest'
import { receivedTarget, sentTarget } from '../../src/request-signing/request-target.ts'
import { requestSigner } from '../../src/request-signing/index.ts'
import { componentOf, signatureBase } from '../../src/request-signing/signature-base.ts'
import { parseByteSequences, parseInnerLists } from '../../src/request-signing/structured-fields.ts'
import { hmac } from '../../src/signing/hmac.ts'

/** B.2: "test-request". */
const headers = {
  Host: 'example.com',
  Date: 'Tue, 20 Apr 2021 02:07:55 GMT',
  'Content-Type': 'application/json',
  'Content-Length': '18',
}
const request = { method: 'POST', headers, target: receivedTarget('/foo?param=Value&Pet=dog', headers) }

test('RFC 9421, B.2.5: HMAC-SHA256', () => {
  const key = createSecretKey(
    'uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ==',
    'base64',
  )
  const input = 'sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"'
  const signature = 'sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:'
  const list = parseInnerLists(input)!.get('sig-b25')!
  const base = signatureBase(
    list.items.map(({ name }) => [name, componentOf(name, request)!]),
    list.text,
  )
  expect(base).toBe(`"date": Tue, 20 Apr 2021 02:07:55 GMT
"@authority": example.com
"content-type": application/json
"@signature-params": ("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`)
  expect(hmac(key, '', Buffer.from(base), 'base64')).toBe(parseByteSequences(signature)!.get('sig-b25'))
})

test('RFC 9421, 2.2: derived components', () => {
  expect(componentOf('@method', request)).toBe('POST')
  expect(componentOf('@path', request)).toBe('/foo')
  expect(componentOf('@query', request)).toBe('?param=Value&Pet=dog')
  expect(componentOf('date', { ...request, headers: { dAtE: '  a b\t' } })).toBe('a b')
})

test.each([
  ['https://www.Example.com/path?param=value', 'www.example.com', '/path', '?param=value'],
  ['https://example.com:443', 'example.com', '/', '?'],
  ['http://example.com:80?queryString', 'example.com', '/', '?queryString'],
  ['http://example.com:443/', 'example.com:443', '/', '?'],
  ['HTTPS://user:secret@[::1]:3000/a%20b%2F/?#part', '[::1]:3000', '/a%20b%2F/', '?'],
  [
    'https://example.com/path?param=value&foo=bar&baz=bat%2Dman',
    'example.com',
    '/path',
    '?param=value&foo=bar&baz=bat%2Dman',
  ],
  ['https://example.com//a?b?c', 'example.com', '//a', '?b?c'],
])('RFC 9421, 2.2.3, 2.2.6, 2.2.7: %s', (url, authority, path, query) => {
  expect(receivedTarget(url, {})).toEqual({ authority, path, query })
  expect(sentTarget(url)).toEqual({ authority, path, query })
})

test('a target that came in is taken letter by letter, with the authority of its Host header', () => {
  expect(receivedTarget('/a/../b?c', { host: 'Example.COM:8080' })).toEqual({
    authority: 'example.com:8080',
    path: '/a/../b',
    query: '?c',
  })
  expect(receivedTarget('https://example.com/a/../b', {})?.path).toBe('/a/../b')
  expect(receivedTarget('//evil.example/x', { host: 'a' })).toEqual({
    authority: 'a',
    path: '//evil.example/x',
    query: '?',
  })
  expect(receivedTarget('/', { ':authority': 'example.com' })?.authority).toBe('example.com')
  expect(receivedTarget('/', new Headers({ host: 'example.com' }))?.authority).toBe('example.com')
  expect(receivedTarget('/', new Headers())?.authority).toBeUndefined()
  for (const url of ['example.com/', '*', '', 'ftp://example.com/']) expect(receivedTarget(url, {})).toBeUndefined()
  for (const url of ['/relative', 'ftp://example.com/', 'nonsense']) expect(sentTarget(url)).toBeUndefined()
})

test('RFC 9530, B.1: sha-256 of a body', () => {
  const signer = requestSigner({ keyId: 'k', key: { alg: 'hmac-sha256', key: 'hush' } })
  const digestOf = (body?: string) =>
    signer.sign({ method: 'PUT', url: 'https://example.com/', ...(body === undefined ? {} : { body }) })[
      'content-digest'
    ]
  expect(digestOf('{"hello": "world"}\n')).toBe('sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:')
  expect(digestOf()).toBe(`sha-256=:${hash('sha256', '', 'base64')}:`)
})

test('RFC 8941: a dictionary of others beside ours', () => {
  const others = 'ttrp=("@status" "signature";req;key="sig1");created=1618884475;t=a/b:c;d=-1.5;b;c=?0;e=:aGk=:'
  const ours = 'sig1=("@method" "a\\"b");keyid="\\\\\\"x"'
  const lists = parseInnerLists(`${others} ,\t${ours}, empty=()`)!
  expect([...lists.keys()]).toEqual(['ttrp', 'sig1', 'empty'])
  expect(lists.get('ttrp')).toEqual({
    items: [
      { name: '@status', plain: true },
      { name: 'signature', plain: false },
    ],
    params: new Map<string, unknown>([
      ['created', 1618884475],
      ['t', true],
      ['d', true],
      ['b', true],
      ['c', true],
      ['e', true],
    ]),
    text: others.slice(5),
  })
  expect(lists.get('sig1')).toMatchObject({ params: new Map([['keyid', '\\"x']]), text: ours.slice(5) })
  expect(parseByteSequences('a=:aGk=:, b=::')).toEqual(
    new Map([
      ['a', 'aGk='],
      ['b', ''],
    ]),
  )
})

test.each([
  '',
  ' ',
  'sig1',
  'sig1=',
  'sig1=(',
  'sig1=()(',
  'sig1=("a)',
  'sig1=("a"',
  'sig1=("a""b")',
  'sig1=("a"  "b")',
  'sig1=( "a")',
  'sig1=("a" )',
  'sig1=("a");',
  'sig1=("a"); b',
  'sig1=("a");b=',
  'sig1=("a");b=1;b=1',
  'sig1=("a");b=1.',
  'sig1=("a");b="\\x"',
  'sig1=("a");b=1234567890123456',
  'sig1=("ä")',
  'sig1=("a\n")',
  'sig1=(a)',
  'Sig1=("a")',
  'sig1=("a"),',
  'sig1=("a"),sig1=("a")',
  'sig1=("a") x=("a")',
  ',sig1=("a")',
  `sig1=("${'a'.repeat(8192)}")`,
])('no dictionary of inner lists: %j', (text) => {
  expect(parseInnerLists(text)).toBeUndefined()
})

test.each(['', 'a', 'a=', 'a=aGk=', 'a=:aGk=', 'a=:a-_:', 'a=:aGk=:,', 'a=:aGk=:;b', 'a=:a=Gk:', 'a=:aGk=:,a=:aGk=:'])(
  'no dictionary of byte sequences: %j',
  (text) => {
    expect(parseByteSequences(text)).toBeUndefined()
  },
)
