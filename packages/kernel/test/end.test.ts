import { expect, test } from 'vitest'
import { endOf } from '../src/index.ts'

test('2xx and 3xx commit, 4xx is remembered, 5xx and refusals that may pass roll back', () => {
  const table: Record<string, number[]> = { commit: [], remember: [], rollback: [] }
  for (let status = 200; status <= 599; status++) table[endOf(status)]!.push(status)
  const range = (from: number, to: number): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i)
  const passing = [401, 403, 408, 409, 425, 429]
  expect(table).toEqual({
    commit: range(200, 399),
    remember: range(400, 499).filter((status) => !passing.includes(status)),
    rollback: [...passing, ...range(500, 599)],
  })
})
