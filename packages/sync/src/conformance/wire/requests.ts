import type { Case } from '@keelson/kernel/conformance'
import type { WireServer } from '../wire-server.ts'
import { task, told, wireCase } from './stage.ts'

const MAX_BYTES = 1_048_576
const MAX_OPS = 500

/** What no operation is: each is refused alone. */
const MALFORMED: Readonly<Record<string, unknown>> = {
  'no object': 7,
  null: null,
  'no id of its own': { op: undefined },
  'an id of its own that is too long': { op: 'x'.repeat(65) },
  'an id of its own with a blank': { op: 'a b' },
  'no collection': { c: undefined },
  'an unknown collection': { c: 'nothing' },
  'a collection of the language': { c: 'constructor' },
  'no record': { id: undefined },
  'an empty record': { id: '' },
  'a record that is too long': { id: 'x'.repeat(129) },
  'a record with a slash': { id: 'a/b' },
  'a record that is a number': { id: 7 },
  'an unknown type': { t: 'merge' },
  'no stamp': { h: undefined },
  'a stamp in capitals': { h: '0MPUFZEO0-0001-K3' },
  'a stamp of milliseconds': { h: 1_795_348_000_914 },
  'a stamp without its node': { h: '0mpufzeo0-0001' },
  'fields that are a list': { set: ['title'] },
  'an unknown field': { set: { ...task, color: 'red' } },
  'a field of the language': { set: JSON.parse('{"team":"blue","__proto__":{"admin":true}}') },
  'a name of the language inside': { set: { ...task, title: JSON.parse('{"__proto__":1}') } },
  'a text with U+0000': { set: { ...task, title: 'a\u0000b' } },
  'an integer over 2^53': { set: { ...task, title: 2 ** 53 } },
  'a field twice taken away': { unset: ['title', 'title'], set: undefined },
  'a field set and taken away': { unset: ['title'] },
  'what is taken away as a text': { unset: 'title', set: undefined },
  'an unknown field taken away': { unset: ['color'], set: undefined },
  'a delete with fields': { t: 'delete' },
  'a tag that is none': { s: "' or true --" },
  'a tag that is too short': { s: 'abc' },
  'what was seen as a number': { seen: 7 },
  'a base that is none': { base: { budget: 7 } },
  'what it waits for as a number': { dep: 7 },
  'an unknown member': { force: true },
}

/** Requests that are none, as a whole and in part. */
export const requestCases: readonly Case<WireServer>[] = [
  wireCase('one malformed operation is refused alone, with what is wrong', async ({ device, name, equal, ok }) => {
    const one = device('ann')
    const words = Object.keys(MALFORMED)
    const ops = words.flatMap((word, i) => {
      const wrong = MALFORMED[word]
      const good = one.op(name(`good${i}`), 'put')
      const isOp = typeof wrong === 'object' && wrong !== null
      return [good, isOp ? { ...one.op(name(`bad${i}`), 'put'), ...wrong } : (wrong as object)]
    })
    const results = await one.push(...ops)
    for (const [i, word] of words.entries()) {
      equal(told([results[2 * i]!]), ['applied'], `before ${word}`)
      equal(told([results[2 * i + 1]!]), ['rejected invalid'], word)
      ok(typeof results[2 * i + 1]!.detail === 'string', `it says why: ${word}`)
    }
    await one.pull()
    for (const [i, word] of words.entries()) {
      equal([one.rec(name(`good${i}`))?.doc, one.rec(name(`bad${i}`))], [task, undefined], word)
    }
  }),

  wireCase('what is too large, or nested too deep, is refused alone', async ({ device, name, equal }) => {
    const one = device('ann')
    const large = one.op(name('t1'), 'put', { set: { ...task, title: 'x'.repeat(65_536) } })
    const deep = JSON.parse(`${'['.repeat(2_000)}${']'.repeat(2_000)}`) as unknown
    const results = await one.push(
      large,
      one.op(name('t2'), 'put', { set: { ...task, title: deep } }),
      one.op(name('t3'), 'put'),
    )
    equal(told(results), ['rejected too-large', 'rejected invalid', 'applied'])
  }),

  wireCase('a push that is none is a problem that names what is wrong, and does nothing', async (stage) => {
    const { device, name, ask, refused, equal, ok } = stage
    const one = device('ann')
    const { client } = one
    const ops = [one.op(name('t1'), 'put')]
    const wrong: readonly (readonly [unknown, string])[] = [
      [{ v: 1, ops }, '"client"'],
      [{ v: 1, client: 'a b', ops }, '"client"'],
      [{ v: 1, client: 'x'.repeat(65), ops }, '"client"'],
      [{ v: 1, client }, '"ops"'],
      [{ v: 1, client, ops: {} }, '"ops"'],
      [{ v: 1, client, ops: Array(MAX_OPS + 1).fill(0) }, '"ops"'],
      [{ v: 1, client, ops, sentAt: 'now' }, '"sentAt"'],
      [{ v: 1, client, ops, force: true }, '"force"'],
      ['[]', 'object'],
      ['{"v":1,', ''],
    ]
    for (const [body, named] of wrong) {
      const reply = await ask('ann', '/push', body)
      // A parser in front may be the one that finds what is no JSON.
      if (named === '') equal(reply.status, 400)
      else ok(String(refused(reply, 400, 'request-invalid').detail).includes(named), named)
    }
    await one.pull()
    equal(one.rec(name('t1')), undefined)
  }),

  wireCase('a pull that is none is a problem that names what is wrong', async ({ device, ask, refused, ok }) => {
    const one = device('ann')
    await one.pull()
    const wrong: readonly (readonly [object, string])[] = [
      [{ v: 1 }, '"cursor"'],
      ...[0, -1, 1.5, '10', null].map((limit) => [{ v: 1, cursor: null, limit }, '"limit"'] as const),
      [{ v: 1, cursor: null, waitMs: -1 }, '"waitMs"'],
      [{ v: 1, cursor: null, collections: [] }, '"collections"'],
      [{ v: 1, cursor: null, collections: ['nothing'] }, '"collections"'],
      [{ v: 1, cursor: null, hs: 1 }, '"hs"'],
      [{ v: 1, cursor: null, client: '' }, '"client"'],
      [{ v: 1, cursor: null, since: 0 }, '"since"'],
    ]
    for (const [body, named] of wrong) {
      ok(String(refused(await ask('ann', '/pull', body), 400, 'request-invalid').detail).includes(named), named)
    }
    const { cursor } = one
    const none = ['', 'x', "' or true --", `${cursor}x`, cursor!.slice(0, -3), cursor!.slice(3), 7, { floor: 0 }]
    for (const one of none) refused(await ask('ann', '/pull', { v: 1, cursor: one }), 400, 'cursor-invalid')
  }),

  wireCase('another version is refused with those that are spoken', async ({ device, ask, refused, equal }) => {
    const { client } = device('ann')
    for (const v of [0, 2, '1', null, undefined]) {
      const push = await ask('ann', '/push', { v, client, ops: [] })
      equal(refused(push, 400, 'version-unsupported').supported, [1])
      const pull = await ask('ann', '/pull', { v, cursor: null })
      equal(refused(pull, 400, 'version-unsupported').supported, [1])
    }
  }),

  wireCase('a body that is too large is refused with its limit, and does nothing', async (stage) => {
    const { device, name, ask, refused, equal } = stage
    const one = device('ann')
    const ops = Array.from({ length: 30 }, (_, i) =>
      one.op(name(`t${i}`), 'put', { set: { ...task, title: 'x'.repeat(40_000) } }),
    )
    refused(await ask('ann', '/push', { v: 1, client: one.client, ops }), 413, 'body-too-large')
    const spare = JSON.stringify({ v: 1, client: one.client, ops: [] }).length
    let bytes = spare
    const fitting = ops.filter((op) => (bytes += JSON.stringify(op).length + 1) <= MAX_BYTES)
    equal(
      told(await one.push(...fitting)),
      fitting.map(() => 'applied'),
    )
    await one.pull()
    equal(ops.filter((_, i) => one.rec(name(`t${i}`)) !== undefined).length, fitting.length)
  }),

  wireCase('nobody is refused', async ({ server, ok }) => {
    for (const [path, method] of [
      ['/push', 'POST'],
      ['/pull', 'POST'],
      ['/conflicts', 'GET'],
    ] as const) {
      const body =
        method === 'GET' ? {} : { body: '{"v":1,"cursor":null}', headers: { 'Content-Type': 'application/json' } }
      const { status } = await fetch(server.url + path, { method, ...body })
      ok(status === 401 || status === 403, `${path} for nobody is ${status}`)
    }
  }),
]
