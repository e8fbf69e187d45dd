import { expect, test } from 'vitest'
import { append, createLinkedList, remove, valuesOf } from '../src/linked-list.ts'

test('values stay in their order, whichever of them go', () => {
  const list = createLinkedList<string>()
  const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((value) => append(list, value))
  remove(b!)
  expect([...valuesOf(list)]).toEqual(['a', 'c', 'd'])
  remove(a!)
  remove(d!)
  expect([...valuesOf(list)]).toEqual(['c'])
  remove(c!)
  expect(list).toEqual({ first: undefined, last: undefined })
  append(list, 'e')
  // Removed once, whatever has come since.
  remove(c!)
  expect([...valuesOf(list)]).toEqual(['e'])
})
