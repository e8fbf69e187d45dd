import { describe, expect, test } from 'vitest'
import { createAudiences, listenersOf, match, type Matchable } from '../src/audiences.ts'
import type { EndpointConfig } from '../src/endpoint-config.ts'
import type { Audience } from '../src/store.ts'

type Listening = Partial<EndpointConfig>

/** Whether an endpoint gets an event. */
function gets(own: Listening, event: Partial<Matchable> & { about?: unknown }): boolean {
  const { about = null, ...rest } = event
  const config = JSON.stringify({ url: 'https://a.example', types: ['**'], ...own })
  const listeners = listenersOf({ revision: '7', endpoints: [{ id: 'ep_1', config }], handlers: [] })
  const { revision, deliveries } = match(
    { type: 'a.b', data: () => JSON.parse(JSON.stringify(about)), ...rest },
    listeners,
  )
  expect(revision).toBe('7')
  return deliveries.length === 1 && deliveries[0]!.endpoint === 'ep_1' && /^dl_[0-9a-f]{32}$/.test(deliveries[0]!.id)
}

test('types', () => {
  expect(gets({}, {})).toBe(true)
  expect(gets({ types: ['b', 'a.*'] }, {})).toBe(true)
  expect(gets({ types: ['b', 'a'] }, {})).toBe(false)
})

test('channels: without any all events, with some only theirs', () => {
  expect(gets({}, { channel: 'x' })).toBe(true)
  expect(gets({ channels: ['x', 'y'] }, { channel: 'y' })).toBe(true)
  expect(gets({ channels: ['x', 'y'] }, { channel: 'z' })).toBe(false)
  expect(gets({ channels: ['x'] }, {})).toBe(false)
})

describe('filters', () => {
  test('all paths must hold, by value and type', () => {
    const filter = { 'order.state': ['paid', 'sent'], 'order.n': [1, null] }
    expect(gets({ filter }, { about: { order: { state: 'paid', n: 1 } } })).toBe(true)
    expect(gets({ filter }, { about: { order: { state: 'sent', n: null } } })).toBe(true)
    expect(gets({ filter }, { about: { order: { state: 'paid', n: '1' } } })).toBe(false)
    expect(gets({ filter }, { about: { order: { state: 'paid' } } })).toBe(false)
    expect(gets({ filter }, { about: { order: { n: 1 } } })).toBe(false)
    expect(gets({ filter: {} }, { about: 1 })).toBe(true)
    expect(gets({ filter: { ok: [false] } }, { about: { ok: false } })).toBe(true)
  })

  test('a path leads through lists, and to nothing that the data does not have itself', () => {
    expect(gets({ filter: { 'a.0.b': ['x'] } }, { about: { a: [{ b: 'x' }] } })).toBe(true)
    for (const about of [{}, 'text', 1, null, [], { a: 'text' }]) {
      for (const path of ['a', 'a.b', 'length', 'a.length', '__proto__', 'constructor.name', 'toString']) {
        expect(gets({ filter: { [path]: [null, 0, 'Object'] } }, { about })).toBe(false)
      }
    }
    const own = JSON.parse('{"__proto__":{"x":1}}') as object
    expect(gets({ filter: { '__proto__.x': [1] } }, { about: own })).toBe(true)
  })

  test('the data is read only where a filter is', () => {
    const data = () => {
      throw new Error('read')
    }
    expect(gets({ channels: ['x'] }, { channel: 'x', data })).toBe(true)
    expect(gets({ filter: { a: [1] }, channels: ['x'] }, { channel: 'y', data })).toBe(false)
    expect(() => gets({ filter: { a: [1] } }, { data })).toThrow('read')
  })
})

test('an event to one endpoint goes there and nowhere else, whatever that listens to', () => {
  expect(gets({ types: ['b'], channels: ['x'] }, { endpoint: 'ep_1' })).toBe(true)
  expect(gets({}, { endpoint: 'ep_2' })).toBe(false)
})

test('handlers listen by type', () => {
  const listeners = listenersOf({
    revision: '1',
    endpoints: [],
    handlers: [
      { name: 'mail', types: ['a.**'] },
      { name: 'count', types: ['b'] },
    ],
  })
  const of = (type: string) => match({ type, data: () => null }, listeners).deliveries.map(({ endpoint }) => endpoint)
  expect([of('a.b'), of('b'), of('c')]).toEqual([['fn:mail'], ['fn:count'], []])
})

test('types that are made up at run time do not fill the memory, and match all the same', () => {
  const config = JSON.stringify({ url: 'https://a.example', types: ['t.*'] })
  const listeners = listenersOf({ revision: '1', endpoints: [{ id: 'ep_1', config }], handlers: [] })
  for (let i = 0; i < 3_000; i++) expect(listeners.ofType(`t.${i}`)).toHaveLength(1)
  expect(listeners.ofType('t.1')).toBe(listeners.ofType('t.1'))
  expect(listeners.ofType('t.2999')).not.toBe(listeners.ofType('t.2999'))
})

describe('audiences that were read', () => {
  function reading() {
    const asked: string[] = []
    const revisions = new Map<string, string>()
    const audiences = createAudiences(async (scope): Promise<Audience> => {
      asked.push(scope)
      const revision = revisions.get(scope) ?? '1'
      return { revision, endpoints: [], handlers: [] }
    })
    return { asked, revisions, audiences }
  }

  test('are read once a revision, however many ask at once', async () => {
    const { asked, revisions, audiences } = reading()
    expect(audiences.known('a')).toBeUndefined()
    await Promise.all(Array.from({ length: 50 }, () => audiences.get('a', '1')))
    expect(asked).toEqual(['a'])
    expect(audiences.known('a')!.revision).toBe('1')
    await audiences.get('a', '1')
    expect(asked).toEqual(['a'])
    revisions.set('a', '2')
    expect((await audiences.get('a', '2')).revision).toBe('2')
    expect(asked).toEqual(['a', 'a'])
  })

  test('are read anew once they are forgotten, also while one is being read, which is not kept', async () => {
    const answers: ((revision: string) => void)[] = []
    const audiences = createAudiences(async () => {
      const revision = await new Promise<string>((resolve) => answers.push(resolve))
      return { revision, endpoints: [], handlers: [] }
    })
    const early = audiences.get('a', '1')
    audiences.forget('a')
    const late = audiences.get('a', '')
    answers[1]!('2')
    expect((await late).revision).toBe('2')
    answers[0]!('1')
    expect((await early).revision).toBe('1')
    expect(audiences.known('a')!.revision).toBe('2')
  })

  test('a read that failed is read again', async () => {
    let fails = true
    const audiences = createAudiences(async () => {
      if (fails) throw new Error('away')
      return { revision: '1', endpoints: [], handlers: [] }
    })
    await expect(audiences.get('a', '1')).rejects.toThrow('away')
    fails = false
    expect((await audiences.get('a', '1')).revision).toBe('1')
  })

  test('are kept for a bounded number of scopes, the latest', async () => {
    const { audiences } = reading()
    for (let i = 0; i < 1_200; i++) await audiences.get(`s${i}`, '1')
    expect(audiences.known('s0')).toBeUndefined()
    expect(audiences.known('s1199')).toBeDefined()
    expect(audiences.known('s200')).toBeDefined()
    expect(audiences.known('s199')).toBeUndefined()
  })
})
