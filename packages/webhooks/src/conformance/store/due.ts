import { setTimeout as sleep } from 'node:timers/promises'
import type { Case } from '@keelson/kernel/conformance'
import { failed, laneRules, LONG_MS, nextId, newEvent, SCOPE, SHORT_MS, storeCase, type Stage } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

const NOBODY = { handlers: [] }

/** Counts the wakes that come; the store has said that it listens. */
async function listening({ peer }: Stage): Promise<{ woken(): number; stop(): Promise<void> }> {
  let count = 0
  const stop = await peer.onWake(() => count++)
  return { woken: () => count, stop }
}

/** When there is something to do. */
export const dueCases: readonly Case<StoreUnderTest>[] = [
  storeCase('nothing is due in an empty store', async ({ store, endpoint, equal }) => {
    equal(await store.nextDue(NOBODY), null)
    await endpoint()
    equal(await store.nextDue(NOBODY), null)
  }),

  storeCase('next is what may be routed, claimed or reaped', async (stage) => {
    const { store, endpoint, publish, route, claimOne, settled, equal, ok } = stage
    const to = await endpoint({ leaseMs: 2 * LONG_MS })
    const inMs = async () => (await store.nextDue(NOBODY))!
    await publish({ endpoint: to.id })
    equal(await inMs(), 0, 'an event is to be routed')
    await route()
    equal(await inMs(), 0, 'a delivery is to be claimed')
    const claim = await claimOne()
    ok((await inMs()) > LONG_MS && (await inMs()) <= 2 * LONG_MS, 'a lease is to be reaped')
    await settled(claim, failed(LONG_MS))
    ok((await inMs()) > LONG_MS / 2 && (await inMs()) <= LONG_MS, 'a retry')
    await publish({ scope: 'other' })
    equal(await inMs(), 0)
    await store.takeUnrouted(10, LONG_MS / 2)
    ok((await inMs()) > 0 && (await inMs()) <= LONG_MS / 2, 'somebody routes it')
  }),

  storeCase('next is a lease that ends', async (stage) => {
    const { store, endpoint, deliver, claimOne, until } = stage
    await deliver(await endpoint({ leaseMs: SHORT_MS }))
    await claimOne()
    await until('a lease is over', async () => (await store.nextDue(NOBODY)) === 0)
    await stage.reaped(1)
  }),

  storeCase('what a claim would pass over is not due', async (stage) => {
    const { store, endpoint, deliver, ended, claimOne, equal } = stage
    const paused = await endpoint({}, { state: 'paused' })
    await deliver(paused)
    equal(await store.nextDue(NOBODY), null, 'a paused lane')
    await store.pause('other', true)
    await deliver(await endpoint({}, { scope: 'other' }))
    equal(await store.nextDue(NOBODY), null, 'a paused scope')
    const full = await endpoint({ leaseMs: LONG_MS })
    await deliver(full)
    await claimOne()
    await deliver(full)
    equal((await store.nextDue(NOBODY))! > LONG_MS / 2, true, 'a full lane')
    const suspect = await endpoint()
    await ended(suspect, { signal: { kind: 'success', fast: false } })
    await deliver(suspect)
    equal(await store.nextDue(NOBODY), 0)
    await store.pause(null, true)
    equal((await store.nextDue(NOBODY))! > LONG_MS / 2, true, 'all are paused')
  }),

  storeCase('what waits for a handler is due to who has it', async (stage) => {
    const { store, publish, route, equal } = stage
    await store.registerHandlers([{ name: 'mail', types: ['**'], scope: null, rules: laneRules() }])
    await publish({})
    await route()
    equal(await store.nextDue(NOBODY), null)
    equal(await store.nextDue({ handlers: ['bill'] }), null)
    equal(await store.nextDue({ handlers: ['bill', 'mail'] }), 0)
  }),

  storeCase('who waits hears of an event, of its deliveries, and of what goes again', async (stage) => {
    const { store, endpoint, publish, route, claimOne, settled, ended, equal, ok } = stage
    const to = await endpoint()
    const { woken, stop } = await listening(stage)
    const hears = async (what: string, act: () => Promise<unknown>) => {
      const before = woken()
      await act()
      // Word comes in real time, whatever the store's time is.
      for (let waits = 0; woken() === before; waits++) {
        ok(waits < 2_000, `it hears of ${what}`)
        await sleep(10)
      }
    }
    await hears('an event', () => publish({ endpoint: to.id }))
    await hears('a delivery', () => route())
    const claim = await claimOne()
    await hears('a retry', async () => {
      await settled(claim, failed(LONG_MS))
      await store.deliveries.retry(SCOPE, claim.token.delivery)
    })
    const id = await ended(await endpoint())
    await hears('one that goes again', () => store.deliveries.retry(SCOPE, id))
    await store.pause(SCOPE, true)
    await hears('a scope that goes on', () => store.pause(SCOPE, false))
    const { revision } = await store.audience(SCOPE)
    const matched = { revision, deliveries: [{ id: nextId('dl'), endpoint: to.id }] }
    await hears('an event that was matched', () => store.publish([newEvent({ matched })]))
    await stop()
    const before = woken()
    await publish({})
    await sleep(SHORT_MS)
    equal(woken(), before, 'not after it has stopped')
  }),

  storeCase('a scope that is paused keeps what it has, and goes on where it was', async (stage) => {
    const { store, peer, endpoint, deliver, claimIds, delivery, equal } = stage
    const [to, theirs] = [await endpoint(), await endpoint({}, { scope: 'other' })]
    const before = await deliver(to)
    await peer.pause(SCOPE, true)
    const after = await deliver(to)
    const later = await endpoint()
    const late = await deliver(later)
    const other = await deliver(theirs)
    equal(await claimIds(), [other], 'other scopes go on')
    for (const id of [before, after, late]) equal((await delivery(id)).held, 'paused')
    equal((await stage.seen(to)).state, 'active')
    await store.pause(SCOPE, false)
    equal((await delivery(late)).held, null)
    equal((await claimIds()).toSorted(), [before, late])
  }),

  storeCase('all scopes that are paused go on together', async (stage) => {
    const { store, peer, endpoint, deliver, claimIds, equal } = stage
    const [to, theirs] = [await endpoint(), await endpoint({}, { scope: 'other' })]
    const a = await deliver(to)
    await peer.pause(null, true)
    const b = await deliver(theirs)
    equal(await claimIds(), [])
    await store.pause(SCOPE, true)
    await store.pause(null, false)
    equal(await claimIds(), [b], 'a scope that is paused by itself stays so')
    await store.pause(SCOPE, false)
    equal(await claimIds(), [a])
  }),

  storeCase('a pause holds handlers too, and lets what is in flight end', async (stage) => {
    const { store, publish, route, endpoint, claim, claimIds, settled, delivery, equal } = stage
    await store.registerHandlers([{ name: 'mail', types: ['**'], scope: null, rules: laneRules() }])
    const to = await endpoint()
    const flying = await stage.deliver(to)
    const [mine] = await claim({ handlers: ['mail'] })
    await store.pause(SCOPE, true)
    await publish({})
    await route()
    equal(await claimIds({ handlers: ['mail'] }), [])
    await settled(mine!)
    equal((await delivery(flying)).status, 'succeeded')
    await store.pause(SCOPE, false)
    equal((await claimIds({ handlers: ['mail'] })).length, 2)
  }),

  storeCase('an endpoint that is paused stays so when its scope goes on', async (stage) => {
    const { store, endpoint, deliver, claimIds, equal } = stage
    await deliver(await endpoint({}, { state: 'paused' }))
    await store.pause(SCOPE, true)
    await store.pause(SCOPE, false)
    equal(await claimIds(), [])
  }),
]
