import { Readable } from 'node:stream'
import { expect, test } from 'vitest'
import { isReply, reply, type Effect } from '../src/index.ts'
import { secondCopy } from './second-copy.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()
const JSON_TYPE = 'application/json; charset=utf-8'

test.each<[string, unknown, string | undefined, string]>([
  ['undefined', undefined, undefined, ''],
  ['text', 'Grüße', 'text/plain; charset=utf-8', 'Grüße'],
  ['empty text', '', 'text/plain; charset=utf-8', ''],
  ['bytes', new Uint8Array([104, 105]), 'application/octet-stream', 'hi'],
  ['a Buffer', Buffer.from('hi'), 'application/octet-stream', 'hi'],
  ['null', null, JSON_TYPE, 'null'],
  ['a number', 5, JSON_TYPE, '5'],
  ['false', false, JSON_TYPE, 'false'],
  ['an object', { a: [1, 'é'] }, JSON_TYPE, '{"a":[1,"é"]}'],
  ['a Date', new Date(0), JSON_TYPE, '"1970-01-01T00:00:00.000Z"'],
])('%s becomes bytes with their type', (_, body, type, expected) => {
  const { response } = reply(201, body)
  expect(response.status).toBe(201)
  expect(response.headers).toEqual(type === undefined ? [] : [['Content-Type', type]])
  expect(text(response.body)).toBe(expected)
})

test('a given Content-Type wins in any case; order, case and repeats of headers stay', () => {
  const headers: [string, string][] = [
    ['X-b', '2'],
    ['content-TYPE', 'application/vnd.api+json'],
    ['x-B', '1'],
    ['Set-Cookie', 'a=1'],
    ['Set-Cookie', 'b="\t\u00e9"'],
  ]
  expect(reply(200, {}, [], headers).response.headers).toEqual(headers)
})

test('the body is encoded now: what the caller changes afterwards changes nothing', () => {
  const object = { sku: 'tea' }
  const bytes = Buffer.from('tea')
  const answers = [reply(200, object), reply(200, bytes)]
  object.sku = 'gin'
  bytes.write('gin')
  expect(answers.map(({ response }) => text(response.body))).toEqual(['{"sku":"tea"}', 'tea'])
})

test('effects are kept as they are, and a reply is frozen', () => {
  const effects: Effect[] = [{ kind: 'audit.entry', statements: () => [] }]
  const made = reply(200, undefined, effects)
  expect(made.effects).toBe(effects)
  expect(Object.isFrozen(made)).toBe(true)
  expect(Object.keys(made)).toEqual(['response', 'effects'])
})

test('a reply is recognised, by another copy of the kernel too', async () => {
  const other = await secondCopy()
  expect([isReply(reply(200)), isReply(other.reply(200)), other.isReply(reply(200))]).toEqual([true, true, true])
  const like = { response: { status: 200, headers: [], body: new Uint8Array() }, effects: [] }
  expect([like, null, undefined, 'x', {}].map(isReply)).toEqual([false, false, false, false, false])
})

const cycle: { self?: unknown } = {}
cycle.self = cycle

test.each<[string, () => unknown, RegExp]>([
  ['status 199', () => reply(199), /status must be an integer from 200 to 599 \(got 199\)/],
  ['status 600', () => reply(600), /got 600/],
  ['status 200.5', () => reply(200.5), /got 200\.5/],
  ['status NaN', () => reply(NaN), /got NaN/],
  ['status as text', () => reply('200' as never), /got '200'/],
  ['204 with a body', () => reply(204, 'x'), /status 204 has no body/],
  ['304 with a body', () => reply(304, {}), /status 304 has no body/],
  ['effects that are no array', () => reply(200, {}, {} as never), /effects must be an array \(got an object\)/],
  ['headers that are no array', () => reply(200, {}, [], { ETag: 'x' } as never), /headers must be an array/],
  ['a header that is no pair', () => reply(200, {}, [], ['ETag: x'] as never), /header name/],
  ['an empty header name', () => reply(200, {}, [], [['', 'x']]), /header name is not a token: ''/],
  ['a header name with a space', () => reply(200, {}, [], [['X Y', 'x']]), /not a token: 'X Y'/],
  ['a header name with a line break', () => reply(200, {}, [], [['X\r\nY', 'x']]), /not a token: 'X\\u000d\\u000aY'$/],
  ['a header with CR', () => reply(200, {}, [], [['X', 'a\rb']]), /"X" must be a string without control characters/],
  ['a header with LF', () => reply(200, {}, [], [['X', 'a\nSet-Cookie: b']]), /control/],
  ['a header with a null character', () => reply(200, {}, [], [['X', 'a\u0000']]), /control/],
  ['a header outside of latin1', () => reply(200, {}, [], [['X', '€']]), /control/],
  ['a header that is a number', () => reply(200, {}, [], [['Content-Length', 5 as never]]), /got 5/],
  ['a length of its own', () => reply(200, 'x', [], [['content-length', '100']]), /frames the message/],
  ['a coding of its own', () => reply(200, 'x', [], [['Transfer-Encoding', 'chunked']]), /frames the message/],
  ['a Node stream', () => reply(200, Readable.from(['x'])), /stream or a promise/],
  ['a web stream', () => reply(200, new ReadableStream()), /stream/],
  ['a web Response', () => reply(200, new Response('x')), /stream/],
  ['a Blob', () => reply(200, new Blob(['x'])), /stream/],
  ['an async iterator', () => reply(200, (async function* () {})()), /stream/],
  ['a promise that was not awaited', () => reply(200, Promise.resolve({ id: 1 })), /promise/],
  ['an ArrayBuffer', () => reply(200, new ArrayBuffer(2)), /bytes must be a Uint8Array/],
  ['a Float64Array', () => reply(200, new Float64Array(2)), /bytes must be a Uint8Array/],
  ['a BigInt', () => reply(200, { n: 1n }), /body is not JSON: .*BigInt/],
  ['a cycle', () => reply(200, cycle), /body is not JSON: .*circular/],
  ['a function', () => reply(200, () => {}), /body is not JSON \(got a function\)/],
  ['a symbol', () => reply(200, Symbol('x')), /body is not JSON \(got Symbol\(x\)\)/],
  [
    'a toJSON that throws',
    () =>
      reply(200, {
        toJSON() {
          throw new Error('no')
        },
      }),
    /body is not JSON: no/,
  ],
])('%s is REPLY_INVALID', (_, make, message) => {
  expect(make).toThrow(
    expect.objectContaining({ name: 'KernelError', code: 'REPLY_INVALID', message: expect.stringMatching(message) }),
  )
})
