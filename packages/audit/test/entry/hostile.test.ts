import { describe, expect, test, vi } from 'vitest'
import { createEntryMaker } from '../../src/entry/make-entry.ts'
import { base, failure, made, nowMs } from './support.ts'

const dataOf = (data: object) => made({ data }).document['audit'].data as unknown
const changesOf = (now: object) =>
  made({ old: {}, new: now }).document['audit'].changes as { path: string; new: unknown }[]

describe('what has a meaning in JSON gets it', () => {
  class Row {
    id = 1
    get computed() {
      return 'no member'
    }
  }
  const bare = Object.assign(Object.create(null) as object, { a: 1 })
  test.each([
    ['a bigint', 12345678901234567890n, '12345678901234567890'],
    ['a Date', new Date(0), '1970-01-01T00:00:00.000Z'],
    ['minus zero', -0, 0],
    ['a lone surrogate', 'a\ud800b\udc00', 'a\ufffdb\ufffd'],
    ['a pair of surrogates', 'a\u{1f6a2}b', 'a\u{1f6a2}b'],
    ['controls', '\u0000\u001f\u007f\u0085\u2028\u2029"\\/', '\u0000\u001f\u007f\u0085\u2028\u2029"\\/'],
    ['an instance', new Row(), { id: 1 }],
    ['no prototype', bare, { a: 1 }],
    ['members that are undefined', { a: undefined, b: 1 }, { b: 1 }],
    ['symbols as names', { [Symbol('s')]: 1, b: 1 }, { b: 1 }],
    ['toJSON', { toJSON: (key: string) => ({ key }) }, { key: 'x' }],
    ['toJSON that answers a Date', { toJSON: () => new Date(0) }, '1970-01-01T00:00:00.000Z'],
    ['toJSON that is no function', { toJSON: 'text', a: 1 }, { toJSON: 'text', a: 1 }],
    ['a URL', new URL('http://a/b'), 'http://a/b'],
    ['a Proxy', new Proxy({ a: [1] }, {}), { a: [1] }],
    ['the same object twice', ((one) => [one, one])({ a: 1 }), [{ a: 1 }, { a: 1 }]],
  ])('%s', (_, value, expected) => {
    expect(dataOf({ x: value })).toEqual({ x: expected })
    expect(changesOf({ x: value })).toEqual([{ path: '/x', new: expected }])
  })

  test('names that are no names elsewhere are plain data', () => {
    const odd = JSON.parse('{"__proto__":{"a":1},"constructor":2,"hasOwnProperty":3,"":4}') as object
    expect(made({ data: odd }).text).toContain('"data":{"__proto__":{"a":1},"constructor":2,"hasOwnProperty":3,"":4}')
    expect(changesOf(odd).map(({ path }) => path)).toEqual(['/__proto__', '/constructor', '/hasOwnProperty', '/'])
    const { text } = made({ old: {}, new: { x: odd } })
    expect(text).toContain('"new":{"__proto__":{"a":1},"constructor":2')
  })

  test('names that differ by half a character only stay two', () => {
    const { text } = made({ data: { 'a\ud800': 1, 'a\ud801': 2 } })
    expect(text).toContain('"data":{"a\ufffd":1,"a\ufffd(2)":2}')
  })
})

const cycle = (): unknown => {
  const one: Record<string, unknown> = {}
  one['list'] = [{ one }]
  return one
}
const deep = (levels: number): unknown => (levels === 0 ? 1 : [deep(levels - 1)])
const wide = (levels: number): unknown => {
  let one: unknown = {}
  for (let i = 0; i < levels; i++) one = [one, one]
  return one
}

describe('what has none is refused, with its place', () => {
  test.each([
    ['NaN', NaN, 'is NaN'],
    ['Infinity', -Infinity, 'is -Infinity'],
    ['a function', () => 1, 'is a function'],
    ['a symbol', Symbol('s'), 'is a symbol'],
    ['an invalid Date', new Date(NaN), 'is an invalid Date'],
    ['a Map', new Map([['a', 1]]), 'is a Map'],
    ['a Set', new Set([1]), 'is a Set'],
    ['a Promise', Promise.resolve(1), 'is a Promise'],
    ['a RegExp', /x/, 'is a RegExp'],
    ['an Error', new Error('secret'), 'is an Error'],
    ['a boxed number', new Number(1), 'is a boxed primitive'],
    ['a Buffer', Buffer.from('x'), 'is bytes'],
    ['a typed array', new Float64Array(1), 'is bytes'],
    ['an ArrayBuffer', new ArrayBuffer(1), 'is bytes'],
    ['a hole', [1, , 2], '/1" is undefined'], // oxlint-disable-line no-sparse-arrays
    ['undefined in an array', [undefined], '/0" is undefined'],
    ['a cycle', cycle(), '/list/0/one" is a cycle'],
    ['201 levels', deep(201), 'is deeper than 200 levels'],
    ['100,000 levels', deep100k(), 'is deeper than 200 levels'],
    ['more paths than time', wide(150), /more than 100000 objects|larger than an entry/],
    ['toJSON that answers itself', ((one: any) => (one.toJSON = () => one))({ a: 1 })(), /toJSON|function/],
  ])('%s', (_, value, message) => {
    for (const input of [{ data: { x: value } }, { old: {}, new: { x: value } }]) {
      expect(() => made(input)).toThrow(
        expect.objectContaining({
          name: 'AuditError',
          message: typeof message === 'string' ? expect.stringContaining(message) : expect.stringMatching(message),
        }),
      )
    }
  })

  test('200 levels are fine', () => {
    expect(made({ data: { x: deep(199) } }).document['audit'].data).toEqual({ x: deep(199) })
  })
})

function deep100k(): unknown {
  let one: unknown = 1
  for (let i = 0; i < 100_000; i++) one = { one }
  return one
}

describe('code of the caller', () => {
  const boom = new Error('boom: 4111111111111111')
  const throwing = {
    get a(): unknown {
      throw boom
    },
  }

  test('that throws is named by its place, without its words', () => {
    const traps = ['getPrototypeOf', 'ownKeys', 'get', 'getOwnPropertyDescriptor'] as const
    const proxies = traps.map(
      (trap) =>
        new Proxy(
          { a: { b: 1 } },
          {
            [trap]: () => {
              throw boom
            },
          },
        ),
    )
    const values = [
      throwing,
      {
        toJSON: () => {
          throw boom
        },
      },
      ...proxies,
    ]
    for (const value of values) {
      for (const input of [
        { data: { x: value } },
        { data: value },
        { old: value },
        { new: [value] },
        { where: value },
        { actor: value },
      ]) {
        const error = thrownBy(() => made(input))
        expect(error).toEqual(expect.objectContaining({ code: 'ENTRY_INVALID' }))
        expect((error as Error).message).not.toContain('boom')
      }
    }
    expect(() => made({ data: { x: { y: [throwing] } } })).toThrow(
      expect.objectContaining({ message: 'entry: "data/x/y/0/a" could not be read', cause: boom }),
    )
    const make = createEntryMaker({})
    for (const input of [throwing, ...proxies])
      expect(() => make(input, { nowMs })).toThrow(failure('ENTRY_INVALID', 'entry: '))
  })

  test('is called once', () => {
    const calls = new Map<string, number>()
    const count = (name: string) => calls.set(name, (calls.get(name) ?? 0) + 1)
    const counted = <T extends object>(name: string, value: T): T =>
      new Proxy(value, {
        get(target, key, receiver) {
          // What is there by the language, and no member.
          if (typeof key === 'string' && Object.hasOwn(target, key) && key !== 'length') count(`${name}.${key}`)
          const member = Reflect.get(target, key, receiver) as unknown
          return typeof member === 'object' && member !== null && typeof key === 'string'
            ? counted(`${name}.${key}`, member)
            : member
        },
      })
    const toJSON = vi.fn(() => ({ a: 1 }))
    made(
      counted('entry', {
        ...base,
        actor: { type: 'user', id: 'u', name: 'n', roles: ['a', 'b'] },
        target: { type: 'user', id: 'u', name: 'n' },
        where: { ip: '1.2.3.4', userAgent: 'a', session: 's', requestId: 'r', method: 'm', route: 'r' },
        reason: 'r',
        outcome: 'success',
        old: { a: [{ b: 1 }], same: { x: 1 } },
        new: { a: [{ b: 2 }], same: { x: 1 } },
        data: { list: [1, { c: 'x' }], toJSON: 'text', own: { toJSON } },
        at: nowMs,
      }),
    )
    expect([...calls].filter(([, n]) => n !== 1)).toEqual([])
    expect(calls.size).toBeGreaterThan(35)
    expect(toJSON).toHaveBeenCalledTimes(1)
  })

  test('that makes an entry itself while one is made harms neither', () => {
    const make = createEntryMaker({})
    const inner = {
      get a() {
        return make({ ...base, data: { pin: 1, n: 2 } }, { nowMs }).row.bytes.length
      },
    }
    const outer = JSON.parse(
      Buffer.from(make({ ...base, data: { before: { token: 1 }, inner, after: 1 } }, { nowMs }).row.bytes).toString(),
    )
    expect(outer.audit.data).toEqual({ before: { token: '[redacted]' }, inner: { a: expect.any(Number) }, after: 1 })
    expect(outer.audit.redacted).toEqual(['/audit/data/before/token'])
  })

  test('that nearly filled the stack gets an error', () => {
    const at = (depth: number): unknown => {
      try {
        return at(depth + 1)
      } catch {
        return thrownBy(() => made({ data: { x: deep(150) } }))
      }
    }
    const error = at(0)
    if (error !== undefined) expect(error).toBeInstanceOf(Error)
  })
})

function thrownBy(work: () => unknown): unknown {
  try {
    work()
  } catch (error) {
    return error
  }
}

test('objects of the caller are left as they were', () => {
  const data = Object.freeze({ a: Object.freeze([1, { token: 'x' }]), b: 'y' })
  const before = JSON.stringify(data)
  made({ data, old: data, new: { ...data, b: 2 } })
  expect(JSON.stringify(data)).toBe(before)
})
