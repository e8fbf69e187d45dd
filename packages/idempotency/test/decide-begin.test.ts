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
])('%s', (_, held, answer) => {
  expect(decideBegin(held, print(1))).toMatchObject(answer)
})

test('without a fingerprint nothing is compared', () => {
  expect(decideBegin(record({}), undefined).kind).toBe('done')
  const { fingerprint: _, ...bare } = record({})
  expect(decideBegin(bare, print(1)).kind).toBe('done')
})
