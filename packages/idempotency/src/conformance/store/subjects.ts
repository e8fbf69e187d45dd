import { randomBytes } from 'node:crypto'
import type { Case } from '@keelson/kernel/conformance'
import type { SubjectRecord } from '../../store.ts'
import { bytes, done, LONG_MS, print, SHORT_MS, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** More than any page of a store. */
const MANY = 120
/** Before any claim, on any clock. */
const LONG_AGO_MS = Date.UTC(2020, 0)

const someSubject = (): Uint8Array => new Uint8Array(randomBytes(16))

async function all({ store }: Stage, subject: Uint8Array, how: 'export' | 'erase'): Promise<SubjectRecord[]> {
  const records: SubjectRecord[] = []
  for await (const record of store.ofSubject!(subject, how)) records.push(record)
  return records
}

const told = (records: readonly SubjectRecord[]): string[] =>
  records.map(({ ref, kind, bytes: held }) => `${hex(ref)} ${kind} ${hex(held)}`).toSorted()
const hex = (of: Uint8Array): string => Buffer.from(of).toString('hex')

/** What of a person is told, and taken away. */
export const subjectCases: readonly Case<StoreUnderTest>[] = [
  storeCase(
    "a subject's answers and checkpoints are exported, nobody else's, and looking changes nothing",
    async (stage) => {
      const { store, someRef, ended, lapsed, won, equal, ok } = stage
      const [subject, other] = [someSubject(), someSubject()]
      const [answered, saved, flying] = [someRef(), someRef(), someRef()]
      await ended(answered, done(0, 255, 10), { subject })
      const own = await won(saved, { subject })
      equal(await store.touch(saved, own, LONG_MS, bytes(7)), 'ok')
      await won(flying, { subject })
      await ended(someRef(), { kind: 'tombstone' }, { subject })
      await ended(someRef(), done(1), { subject: other })
      await ended(someRef(), done(2))
      await lapsed(someRef(), { subject })
      const expected = [`${hex(answered)} answer 00ff0a`, `${hex(saved)} checkpoint 07`].toSorted()
      for (let looks = 0; looks < 2; looks++) {
        const records = await all(stage, subject, 'export')
        equal(told(records), expected)
        for (const { at, op = 'POST /orders' } of records) {
          ok(at > LONG_AGO_MS && at < 2 * Date.now(), `claimed at ${at} ms of a wall clock`)
          equal(op, 'POST /orders')
        }
      }
      equal((await store.peek(flying))?.state, 'inflight')
      equal(await all(stage, someSubject(), 'export'), [])
    },
    'ofSubject',
  ),

  storeCase(
    'what is erased is a tombstone: its key stays claimed, for any payload, and its bytes are gone',
    async (stage) => {
      const { store, someRef, ended, equal } = stage
      const [subject, other] = [someSubject(), someSubject()]
      const [mine, theirs] = [someRef(), someRef()]
      await ended(mine, done(1, 2, 3), { subject, fingerprint: print(1) })
      await ended(theirs, done(4), { subject: other, fingerprint: print(1) })
      equal(told(await all(stage, subject, 'erase')), [`${hex(mine)} answer 010203`])
      const view = (await store.peek(mine))!
      equal([view.state, view.bytes, view.op ?? ''], ['tombstone', 0, ''])
      equal(await stage.kindOf(mine, { fingerprint: print(1) }), 'tombstone')
      equal(await stage.kindOf(mine, { fingerprint: print(2) }), 'tombstone', 'a digest of the payload tells of it')
      equal(told(await all(stage, subject, 'erase')), [], 'a repeat finds nothing')
      equal(await all(stage, subject, 'export'), [])
      stage.sameBytes(await stage.answerOf(theirs), bytes(4))
    },
    'ofSubject',
  ),

  storeCase(
    'a run whose lease is alive is left to its owner, one that has lapsed is not run again',
    async (stage) => {
      const { store, someRef, won, leaseIsOver, equal } = stage
      const subject = someSubject()
      const [alive, late] = [someRef(), someRef()]
      const own = await won(alive, { subject })
      equal(await store.touch(alive, own, LONG_MS, bytes(1)), 'ok')
      const lost = await won(late, { subject })
      equal(await store.touch(late, lost, SHORT_MS, bytes(2)), 'ok')
      await leaseIsOver(late)
      equal(told(await all(stage, subject, 'erase')), [`${hex(late)} checkpoint 02`])
      equal(await stage.kindOf(late), 'tombstone')
      equal(await store.settle(late, lost, done(9), LONG_MS), 'lost')
      equal(await store.settle(alive, own, done(5), LONG_MS), 'ok')
      equal(told(await all(stage, subject, 'erase')), [`${hex(alive)} answer 05`])
      const free = someRef()
      const { attempt } = await stage.lapsed(free, { subject })
      await all(stage, subject, 'erase')
      equal([attempt, (await won(free)).attempt], [1, 2], 'what has saved nothing runs again')
    },
    'ofSubject',
  ),

  storeCase(
    'what has expired is not exported',
    async (stage) => {
      const { store, someRef, won, recordIsGone, equal } = stage
      const subject = someSubject()
      const ref = someRef()
      const own = await won(ref, { subject })
      equal(await store.settle(ref, own, done(1), SHORT_MS), 'ok')
      await recordIsGone(ref)
      equal(await all(stage, subject, 'export'), [])
    },
    'ofSubject',
  ),

  storeCase(
    'of what has expired and is not swept yet, too, nothing stays',
    async (stage) => {
      const { store, someRef, won, recordIsGone, equal } = stage
      const subject = someSubject()
      const ref = someRef()
      const own = await won(ref, { subject })
      equal(await store.settle(ref, own, done(1), SHORT_MS), 'ok')
      await recordIsGone(ref)
      equal(told(await all(stage, subject, 'erase')), [`${hex(ref)} answer 01`])
      equal(await all(stage, subject, 'erase'), [])
    },
    'ofSubject',
    'sweep',
  ),

  storeCase(
    'of many records none is missed',
    async (stage) => {
      const { someRef, ended, equal } = stage
      const subject = someSubject()
      const refs = Array.from({ length: MANY }, someRef)
      await Promise.all(refs.map((ref) => ended(ref, done(1), { subject })))
      const expected = refs.map((ref) => `${hex(ref)} answer 01`).toSorted()
      equal(told(await all(stage, subject, 'export')), expected)
      equal(told(await all(stage, subject, 'erase')), expected)
      equal(new Set(await Promise.all(refs.map((ref) => stage.kindOf(ref)))), new Set(['tombstone']))
    },
    'ofSubject',
  ),
]
