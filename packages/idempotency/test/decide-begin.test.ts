import { expect, test } from 'vitest'
import { decideBegin, type StoredRecord } from '../src/decide-begin.ts'
import type { Fingerprint } from '../src/fingerprint.ts'

const print = (byte: number, alg: Fingerprint['alg'] = 'json'): Fingerprint => ({
  alg,
  digest: new Uint8Array(32).fill(byte),
})
const record = (more: Partial<StoredRecord>): StoredRecord => ({
  state: 'done',
  fingerprint: print(1),
  operationId: 'op',
  attempt: 3,
  expired: false,
  leaseLeftMs: 0,
  answer: new Uint8Array([7]),
  ...more,
})

test.each([
  [
    'expired: taken as a first attempt, whatever it says',
    record({ expired: true, fingerprint: print(2) }),
    { kind: 'take', attempt: 1 },
  ],
  ['done: its answer', record({}), { kind: 'done', bytes: new Uint8Array([7]), operationId: 'op', attempt: 3 }],
  ['another payload: refused', record({ fingerprint: print(2) }), { kind: 'mismatch' }],
  [
    'another payload in flight: refused',
    record({ state: 'inflight', leaseLeftMs: 50, fingerprint: print(2) }),
    { kind: 'mismatch' },
  ],
  [
    'another payload on a tombstone: refused',
    record({ state: 'tombstone', fingerprint: print(2) }),
    { kind: 'mismatch' },
  ],
  ['another alg is not comparable', record({ fingerprint: print(2, 'raw') }), { kind: 'done' }],
  ['tombstone: never runs again', record({ state: 'tombstone' }), { kind: 'tombstone' }],
  ['unknown: stays so', record({ state: 'unknown' }), { kind: 'unknown' }],
  [
    'a living lease: busy for what is left',
    record({ state: 'inflight', leaseLeftMs: 50 }),
    { kind: 'busy', leaseLeftMs: 50 },
  ],
  ['a lapsed lease: taken as the next attempt', record({ state: 'inflight' }), { kind: 'take', attempt: 4 }],
  ['nothing: taken', undefined, { kind: 'take', attempt: 1 }],
  [
    'my own claim: mine again, lapsed or not',
    record({ state: 'inflight', operationId: 'mine', leaseLeftMs: 50 }),
    { kind: 'mine' },
  ],
  ['my own claim, but done: its answer', record({ operationId: 'mine' }), { kind: 'done' }],
])('%s', (_, held, answer) => {
  expect(decideBegin(held, { fingerprint: print(1), operationId: 'mine', onLapsed: 'take' })).toMatchObject(answer)
})

test('who only reports never takes a lapsed record, but an expired one', () => {
  const reporter = { operationId: 'mine', onLapsed: 'report' } as const
  expect(decideBegin(record({ state: 'inflight' }), reporter)).toEqual({ kind: 'lapsed', attempt: 3 })
  expect(decideBegin(record({ state: 'inflight', expired: true }), reporter)).toEqual({ kind: 'take', attempt: 1 })
})

test('without a fingerprint nothing is compared', () => {
  expect(decideBegin(record({}), { onLapsed: 'take' }).kind).toBe('done')
  const { fingerprint: _, ...bare } = record({})
  expect(decideBegin(bare, { fingerprint: print(1), onLapsed: 'take' }).kind).toBe('done')
})
