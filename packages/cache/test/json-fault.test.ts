import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { jsonFault } from '../src/json-fault.ts'

class Account {
  readonly id = 1
}
class Rows extends Array<number> {}
const cycle: Record<string, unknown> = {}
cycle['self'] = cycle

describe('jsonFault', () => {
  it('finds none in what JSON carries back equal', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(jsonFault(value)).toBeUndefined()
      }),
    )
  })

  it.each([
    [{ at: new Date() }, 'an instance of Date at "at"'],
    [{ list: [1, new Map()] }, 'an instance of Map at "1"'],
    [{ account: new Account() }, 'an instance of Account at "account"'],
    [10n, 'a bigint'],
    [{ rate: NaN }, 'NaN at "rate"'],
    [[Infinity], 'Infinity at "0"'],
    [[undefined], 'undefined at "0"'],
    [Array(1), 'undefined at "0"'],
    [{ fn() {} }, 'a function at "fn"'],
    [cycle, 'a cycle at "self"'],
    [{ ['__proto__']: new Date() }, 'an instance of Date at "__proto__"'],
    [{ [Symbol('x')]: 1 }, 'a member named by a symbol'],
    [{ toJSON: () => 1 }, 'an object with toJSON()'],
    [{ found: /b/.exec('abc') }, 'an array with members of its own'],
    [new Rows(), 'an instance of Rows'],
  ])('names what is wrong with %o', (value, fault) => {
    expect(jsonFault(value)).toBe(fault)
  })

  it('allows members that are undefined, and one object at two places', () => {
    const shared = { a: 1 }
    expect(jsonFault({ a: undefined, b: shared, c: [shared] })).toBeUndefined()
  })

  it('ends before the stack does', () => {
    let deep: unknown = 1
    for (let i = 0; i < 10_000; i++) deep = [deep]
    expect(jsonFault(deep)).toBe('more than 200 levels')
  })
})
