import { expect, test } from 'vitest'
import { decideMove, STATUSES, type Mover, type Status } from '../src/domain/status.ts'

const moves = (by: Mover): [Status, Status][] =>
  STATUSES.flatMap((from) =>
    STATUSES.filter((to) => decideMove(by, from, to) === 'moves').map((to): [Status, Status] => [from, to]),
  )

test('a merchant holds a parcel back until the carrier has it', () => {
  expect(moves('merchant')).toEqual([
    ['booked', 'held'],
    ['held', 'booked'],
  ])
})

test('the carrier collects what is not held, and brings back what it has', () => {
  expect(moves('carrier')).toEqual([
    ['booked', 'in-transit'],
    ['in-transit', 'returned'],
  ])
})

test('who says again what is true is not refused', () => {
  for (const status of STATUSES) expect(decideMove('carrier', status, status)).toBe('is there')
})
