import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { context, type Effect, type EffectContext, type Statement } from '../../src/index.ts'
import { effectContext, effectStatements, runAfterCommit } from '../../src/postgres/index.ts'
import { virtualClock } from '../../src/testing/index.ts'

const ctx: EffectContext = { operationId: 'op-1', now: 0 }
const textsOf = (effects: readonly Effect[], bestEffort = false): string[] =>
  effectStatements(effects, ctx, { bestEffort }).statements.map(({ text }) => text)

/** An effect that combines: one statement with the labels of all of its kind. */
class Entry implements Effect {
  readonly kind: string
  readonly label: string
  constructor(kind: string, label: string) {
    this.kind = kind
    this.label = label
  }
  statements(): Statement[] {
    return [{ text: this.label }]
  }
  combine(others: readonly Effect[]): Statement[] {
    return [{ text: [this, ...others].map((other) => (other as Entry).label).join('+') }]
  }
}
const plain = (label: string, kind = 'plain'): Effect => ({
  kind,
  statements: () => [{ text: label }, { text: `${label}'` }],
})

describe('effects become statements', () => {
  test('in their order, each knowing its kind', () => {
    const { statements } = effectStatements(
      [plain('a', 'x.a'), { kind: 'x.b', statements: () => [{ text: 'b', values: [1] }] }],
      ctx,
      { bestEffort: false },
    )
    expect(statements).toEqual([
      { text: 'a', kind: 'x.a' },
      { text: "a'", kind: 'x.a' },
      { text: 'b', values: [1], kind: 'x.b' },
    ])
  })

  test('every method gets the context', () => {
    const seen: EffectContext[] = []
    const note = (given: EffectContext): [] => {
      seen.push(given)
      return []
    }
    effectStatements(
      [
        { kind: 'a', statements: note },
        { kind: 'b', combine: (_, given) => note(given) },
      ],
      ctx,
      { bestEffort: false },
    )
    expect(seen).toEqual([ctx, ctx])
  })

  test('those of one kind that combine are one statement, at the place of the first', () => {
    const effects = [
      plain('p'),
      new Entry('k', '1'),
      plain('q'),
      new Entry('l', 'x'),
      new Entry('k', '2'),
      new Entry('k', '3'),
    ]
    expect(textsOf(effects)).toEqual(['p', "p'", '1+2+3', 'q', "q'", 'x'])
  })

  test('one of them alone is combined with none; statements without combine stay beside', () => {
    expect(textsOf([new Entry('k', '1'), plain('p', 'k')])).toEqual(['1', 'p', "p'"])
  })

  test('an effect that is given twice happens twice', () => {
    const twice = new Entry('k', 'same')
    expect(textsOf([twice, twice, new Entry('k', 'other')])).toEqual(['same+same+other'])
    const once = plain('p')
    expect(textsOf([once, once])).toEqual(['p', "p'", 'p', "p'"])
  })

  test('a thousand of a kind are one statement, and combine is called once', () => {
    let calls = 0
    class Counted extends Entry {
      override combine(others: readonly Effect[]): Statement[] {
        calls++
        return super.combine(others)
      }
    }
    const [text, ...rest] = textsOf(Array.from({ length: 1_000 }, (_, i) => new Counted('k', String(i))))
    expect([calls, rest]).toEqual([1, []])
    expect(text!.split('+')).toEqual(Array.from({ length: 1_000 }, (_, i) => String(i)))
  })

  test('whatever the mix: nothing is dropped or doubled, order is kept, one statement a kind', () => {
    const one = fc.record({ kind: fc.constantFrom('a', 'b', 'c'), combines: fc.boolean() })
    fc.assert(
      fc.property(fc.array(one, { maxLength: 12 }), (mix) => {
        const effects = mix.map(({ kind, combines }, i) =>
          combines ? new Entry(kind, String(i)) : { kind, statements: () => [{ text: String(i) }] },
        )
        const groups = textsOf(effects).map((text) => text.split('+').map(Number))
        expect(groups.flat().toSorted((a, b) => a - b)).toEqual(mix.map((_, i) => i))
        const firsts = groups.map(([first]) => first!)
        expect(firsts).toEqual(firsts.toSorted((a, b) => a - b))
        for (const group of groups) {
          expect(group).toEqual(group.toSorted((a, b) => a - b))
          expect(new Set(group.map((i) => mix[i]!.kind)).size).toBe(1)
        }
        const combined = mix.filter(({ combines }) => combines)
        const expected = mix.length - combined.length + new Set(combined.map(({ kind }) => kind)).size
        expect(groups.length).toBe(expected)
      }),
    )
  })
})

describe('an effect without statements', () => {
  const loose: Effect = { kind: 'mail.send', perform: async () => {} }

  test('is EFFECT_NOT_TRANSACTIONAL, which names it and the way out', () => {
    expect(() => textsOf([plain('a'), loose])).toThrow(
      expect.objectContaining({
        code: 'EFFECT_NOT_TRANSACTIONAL',
        retryable: false,
        message: expect.stringMatching(/^effect 'mail\.send' has no statements.*bestEffort: true/),
      }),
    )
  })

  test('is performed under bestEffort', () => {
    const { statements, perform } = effectStatements([plain('a'), loose], ctx, { bestEffort: true })
    expect([statements.length, perform]).toEqual([2, [loose]])
  })
})

describe('replay hints', () => {
  test('are collected with their kind, also of effects that were combined', () => {
    const effects = [
      { ...plain('a', 'x'), replayHint: { id: 1 } },
      new Entry('k', '1'),
      Object.assign(new Entry('k', '2'), { replayHint: 'two' }),
    ]
    expect(effectStatements(effects, ctx, { bestEffort: false }).hints).toEqual([
      { kind: 'x', hint: { id: 1 } },
      { kind: 'k', hint: 'two' },
    ])
  })

  const cycle: { self?: unknown } = {}
  cycle.self = cycle
  test.each<[string, unknown]>([
    ['2001 bytes', 'x'.repeat(1_999)],
    ['over 2000 bytes in fewer characters', 'é'.repeat(1_200)],
    ['a function', () => {}],
    ['a cycle', cycle],
    ['a BigInt', 1n],
  ])('%s: EFFECT_INVALID', (_, replayHint) => {
    expect(() => textsOf([{ ...plain('a', 'cache.drop'), replayHint }])).toThrow(
      expect.objectContaining({
        code: 'EFFECT_INVALID',
        message: expect.stringMatching(/^effect 'cache\.drop': replayHint must be at most 2000 bytes/),
      }),
    )
  })

  test('2000 bytes are enough', () => {
    const hint = 'é'.repeat(999)
    expect(effectStatements([{ ...plain('a'), replayHint: hint }], ctx, { bestEffort: false }).hints).toEqual([
      { kind: 'plain', hint },
    ])
  })
})

test.each<[string, unknown, RegExp]>([
  ['null', null, /an effect must be an object with a "kind" \(got null\)/],
  ['undefined', undefined, /got undefined/],
  ['text', 'audit', /got 'audit'/],
  ['a promise that was not awaited', Promise.resolve(plain('a')), /got an object/],
  ['an effect without a kind', { statements: () => [] }, /"kind"/],
  ['an empty kind', { kind: '' }, /"kind"/],
  [
    'statements that are no function',
    { kind: 'x.y', statements: [] },
    /^effect 'x\.y': "statements" must be a function \(got an array of 0\)$/,
  ],
  [
    'afterCommit that is no function',
    { ...plain('a', 'x.y'), afterCommit: true },
    /^effect 'x\.y': "afterCommit" must be a function \(got true\)$/,
  ],
  [
    'statements that answer one',
    { kind: 'x.y', statements: () => ({ text: 'a' }) },
    /^effect 'x\.y': statements must be an array \(got an object\)$/,
  ],
  ['statements that answer a promise', { kind: 'x.y', statements: async () => [] }, /must be an array/],
  ['combine that answers text', { kind: 'x.y', combine: () => 'select 1' }, /must be an array \(got 'select 1'\)/],
  [
    'a statement that is text',
    { kind: 'x.y', statements: () => ['select 1'] },
    /^effect 'x\.y': a statement must be \{ text, values\?, name\? \}$/,
  ],
  ['a statement that is null', { kind: 'x.y', statements: () => [null] }, /a statement must be/],
  [
    'a statement that would end the unit',
    { kind: 'x.y', statements: () => [{ text: '/* x */ commit' }] },
    /^effect 'x\.y': .*commit' would end the unit of work$/,
  ],
  ['a name that is no text', { kind: 'x.y', statements: () => [{ text: 'a', name: 7 }] }, /a statement must be/],
  [
    'values that are no array',
    { kind: 'x.y', statements: () => [{ text: 'a', values: { 1: 1 } }] },
    /a statement must be/,
  ],
])('%s is EFFECT_INVALID, in any place', (_, bad, message) => {
  for (const effects of [[bad], [plain('a'), bad], [new Entry('k', '1'), bad, new Entry('k', '2')]]) {
    expect(() => textsOf(effects as Effect[], true)).toThrow(
      expect.objectContaining({ name: 'KernelError', code: 'EFFECT_INVALID', message: expect.stringMatching(message) }),
    )
  }
})

describe('the context of a unit', () => {
  test('has an operation id of its own, the time, and what the request says of itself', () => {
    const clock = virtualClock({ now: 1_000 })
    const request = {
      correlationId: 'c1',
      traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
      principal: { id: 'u1' },
      tenant: 'not taken over',
      deadline: 5,
    }
    const [first, second] = context.run(request, () => [
      effectContext({ scope: 'm1', op: 'POST /x', clock }),
      effectContext({ clock }),
    ])
    expect(first).toEqual({
      operationId: expect.stringMatching(/^[0-9a-f-]{36}$/),
      scope: 'm1',
      op: 'POST /x',
      correlationId: 'c1',
      traceparent: request.traceparent,
      principal: { id: 'u1' },
      now: 1_000,
    })
    expect(second.operationId).not.toBe(first.operationId)
    expect(effectContext({ operationId: 'mine', clock })).toEqual({ operationId: 'mine', now: 1_000 })
  })
})

describe('after the commit', () => {
  const hook = (kind: string, afterCommit: () => void | Promise<void>): Effect => ({ ...plain('a', kind), afterCommit })
  function run(
    effects: Effect[],
    timeout?: number,
  ): { done: Promise<void>; logged: [string, object][]; clock: ReturnType<typeof virtualClock> } {
    const clock = virtualClock()
    const logged: [string, object][] = []
    const silent = () => {}
    const logger = {
      debug: silent,
      info: silent,
      error: silent,
      warn: (fields: object, message: string) => void logged.push([message, fields]),
    }
    return {
      logged,
      clock,
      done: runAfterCommit(effects, ctx, { logger, clock, ...(timeout === undefined ? {} : { timeout }) }),
    }
  }

  test('all hooks start together and get the context; the slowest is awaited', async () => {
    const started: string[] = []
    const slow = Promise.withResolvers<void>()
    const effects = [
      hook('a', () => {
        started.push('a')
        return slow.promise
      }),
      plain('none'),
      hook('b', () => void started.push('b')),
    ]
    const { done, clock } = run(effects)
    expect(started).toEqual(['a', 'b'])
    let ended = false
    void done.then(() => (ended = true))
    await clock.advance(1_999)
    expect(ended).toBe(false)
    slow.resolve()
    await clock.advance(0)
    expect([ended, clock.pending()]).toEqual([true, 0])
  })

  test('one that hangs is awaited no longer than its time', async () => {
    const { done, clock, logged } = run([hook('a', () => new Promise(() => {}))], 300)
    await clock.advance(300)
    await done
    expect(logged).toEqual([['afterCommit hooks took too long and go on unawaited', { operationId: 'op-1' }]])
  })

  test('one that throws, now or later, is logged with its kind and changes nothing', async () => {
    const own = new Error('own')
    const seen: string[] = []
    const effects = [
      hook('sync', () => {
        throw own
      }),
      hook('async', async () => {
        throw own
      }),
      hook('good', () => void seen.push('good')),
    ]
    const { done, logged } = run(effects)
    await done
    expect(seen).toEqual(['good'])
    expect(logged).toEqual([
      ['afterCommit failed', { err: own, kind: 'sync', operationId: 'op-1' }],
      ['afterCommit failed', { err: own, kind: 'async', operationId: 'op-1' }],
    ])
  })

  test('without hooks there is nothing to wait for', async () => {
    const { done, clock } = run([plain('a')])
    await done
    expect(clock.pending()).toBe(0)
  })
})
