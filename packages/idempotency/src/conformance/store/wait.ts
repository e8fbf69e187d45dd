import type { Case } from '@keelson/kernel/conformance'
import type { RefDigest } from '../../ref.ts'
import { bytes, done, LONG_MS, SHORT_MS, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'
import { storeCase } from './store-case.ts'

/** What a store opens at its first wait is open: after this a message cannot be missed for that reason. */
async function isListening({ store, someRef, comes }: Stage): Promise<void> {
  await comes(store.wait!(someRef(), AbortSignal.abort()), 'a wait whose signal was aborted does not end')
}

/** Each way in which a record ends for those who wait. */
const ENDS: Record<string, (stage: Stage, ref: RefDigest) => Promise<() => Promise<unknown>>> = {
  ...Object.fromEntries(
    ([done(1), { kind: 'tombstone' }, { kind: 'release' }, { kind: 'unknown' }, { kind: 'lapse' }] as const).map(
      (as) => [
        as.kind,
        async ({ store, won }: Stage, ref: RefDigest) => {
          const own = await won(ref)
          return () => store.settle(ref, own, as, LONG_MS)
        },
      ],
    ),
  ),
  async 'a late end'({ store, lapsed }, ref) {
    const own = await lapsed(ref)
    return () => store.settle(ref, own, done(1), LONG_MS)
  },
  async forget({ store, lapsed }, ref) {
    await lapsed(ref)
    return () => store.clear(ref, 'forget')
  },
  async retry({ store, ended }, ref) {
    await ended(ref, { kind: 'unknown' })
    return () => store.clear(ref, 'retry')
  },
  async 'an operator’s answer'({ store, lapsed }, ref) {
    await lapsed(ref)
    return () => store.clear(ref, { bytes: bytes(1) })
  },
}

/** A wait may end at any time; it must end when the record has. */
export const waitCases: readonly Case<StoreUnderTest>[] = [
  storeCase(
    'who waits is woken by each end',
    async (stage) => {
      const { store, someRef, comes } = stage
      await isListening(stage)
      for (const [name, prepare] of Object.entries(ENDS)) {
        const ref = someRef()
        const end = await prepare(stage, ref)
        const stop = new AbortController()
        const waiting = store.wait!(ref, stop.signal)
        await end()
        await comes(waiting, `${name} has not woken who waits`)
        stop.abort()
      }
    },
    'wait',
  ),

  storeCase(
    'a hundred who wait are all woken',
    async (stage) => {
      const { store, someRef, won, comes } = stage
      await isListening(stage)
      const ref = someRef()
      const own = await won(ref)
      const stop = new AbortController()
      const waiting = Array.from({ length: 100 }, () => store.wait!(ref, stop.signal))
      await store.settle(ref, own, done(1), LONG_MS)
      await comes(Promise.all(waiting), 'somebody still waits')
      stop.abort()
    },
    'wait',
  ),

  storeCase(
    'a signal ends its own wait, at once or later, and no other',
    async (stage) => {
      const { store, someRef, won, comes } = stage
      await isListening(stage)
      const ref = someRef()
      const own = await won(ref)
      await comes(store.wait!(ref, AbortSignal.abort()), 'an aborted signal does not end a wait')
      const [mine, others] = [new AbortController(), new AbortController()]
      const [stopped, woken] = [store.wait!(ref, mine.signal), store.wait!(ref, others.signal)]
      mine.abort()
      await comes(stopped, 'the signal does not end the wait')
      await store.settle(ref, own, done(1), LONG_MS)
      await comes(woken, 'another’s signal has taken the wake-up away')
      others.abort()
    },
    'wait',
  ),

  storeCase(
    'who waits for a ref that is free, or for the second time, is woken too',
    async (stage) => {
      const { store, someRef, won, comes } = stage
      await isListening(stage)
      const ref = someRef()
      const stop = new AbortController()
      for (let round = 0; round < 3; round++) {
        const waiting = store.wait!(ref, stop.signal)
        await store.settle(ref, await won(ref, { leaseMs: SHORT_MS }), { kind: 'release' }, LONG_MS)
        await comes(waiting, `not woken in round ${round}`)
      }
      stop.abort()
    },
    'wait',
  ),
]
