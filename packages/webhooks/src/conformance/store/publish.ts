import type { Case } from '@keelson/kernel/conformance'
import type { NewEvent, StoredEvent } from '../../store.ts'
import { LONG_MS, newEvent, nextId, SCOPE, storeCase } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** Events as they are written and read. */
export const publishCases: readonly Case<StoreUnderTest>[] = [
  storeCase('an event is kept with all that it says, its bytes as they were', async ({ store, now, equal, ok }) => {
    const body = new Uint8Array(256).map((_, i) => i)
    const event = newEvent({
      body,
      key: 'order 1',
      channel: 'eu',
      subject: 'ada',
      correlationId: 'corr-1',
      traceparent: '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      endpoint: 'ep_none',
    })
    const beforeMs = await now()
    equal(await store.publish([event]), ['fresh'])
    const afterMs = await now()
    const { createdAtMs, ...kept } = (await store.events.get(SCOPE, event.id))!
    const { digest: _, ...said } = event
    equal({ ...kept, body: [...kept.body] }, { ...said, body: [...body], erased: false })
    ok(createdAtMs >= beforeMs && createdAtMs <= afterMs, 'by its own clock')
  }),

  storeCase('an event without options has none', async ({ store, publish, equal }) => {
    const [event] = await publish({ body: new Uint8Array() })
    const { createdAtMs: _, body, ...kept } = (await store.events.get(SCOPE, event!.id))!
    equal([...body], [])
    equal(kept, { scope: SCOPE, id: event!.id, type: 'shipment.created', erased: false })
  }),

  storeCase('the same event again is a duplicate, another one of its id a conflict: the first stays', async (stage) => {
    const { store, peer, equal, route, endpoint, claim } = stage
    await endpoint()
    const event = newEvent()
    const other = newEvent({ id: event.id, body: Buffer.from('other') })
    equal(await store.publish([event]), ['fresh'])
    equal(await peer.publish([other, { ...event, body: Buffer.from('later') }]), ['conflict', 'duplicate'])
    equal((await route()).length, 1)
    equal(await store.publish([event, other]), ['duplicate', 'conflict'], 'routed, too')
    equal(await route(), [])
    const [claimed] = await claim()
    equal([...claimed!.event.body], [...event.body])
    equal([...(await store.events.get(SCOPE, event.id))!.body], [...event.body])
  }),

  storeCase('an id twice in one call is one event', async ({ store, equal, route, endpoint }) => {
    await endpoint()
    const event = newEvent()
    const other = newEvent({ id: event.id, body: Buffer.from('other') })
    equal(await store.publish([event, event, other, newEvent()]), ['fresh', 'duplicate', 'conflict', 'fresh'])
    equal((await route()).length, 2)
  }),

  storeCase('an id is of one scope', async ({ store, equal }) => {
    const event = newEvent()
    const theirs = newEvent({ scope: 'other', id: event.id, body: Buffer.from('theirs') })
    equal(await store.publish([event, theirs]), ['fresh', 'fresh'])
    equal([...(await store.events.get('other', event.id))!.body], [...Buffer.from('theirs')])
    equal(await store.events.get('third', event.id), null)
  }),

  storeCase('an event is the same to routers, to senders, and to who reads it', async (stage) => {
    const { store, endpoint, publish, claimOne, equal } = stage
    const { id } = await endpoint()
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`
    const said = { channel: 'orders', key: 'k', subject: 'ada', endpoint: id, correlationId: 'c-1', traceparent }
    const [{ id: event }] = (await publish(said)) as [NewEvent]
    const told = (found: StoredEvent | null | undefined) => found && { ...found, body: [...found.body] }
    const expected = told(await store.events.get(SCOPE, event))
    const [unrouted] = await store.takeUnrouted(10, LONG_MS)
    equal(told(unrouted?.event), expected)
    equal((await store.events.bySubject(SCOPE, 'ada', { limit: 10 })).map(told), [expected])
    const matched = { revision: unrouted!.revision, deliveries: [{ id: nextId('dl'), endpoint: id }] }
    equal(await store.route([{ scope: SCOPE, event, token: unrouted!.token, matched }]), ['ok'])
    equal(told((await claimOne()).event), expected)
  }),

  storeCase('of forty callers with one id one is fresh', async ({ store, peer, together, equal, ok }) => {
    const event = newEvent()
    const kinds = await together(40, (i) =>
      (i % 2 === 0 ? store : peer).publish([i % 4 === 0 ? event : { ...event, digest: 'f'.repeat(64) }]),
    )
    const counts = Object.groupBy(kinds.flat(), (kind) => kind)
    equal(counts.fresh?.length, 1)
    ok([10, 30].includes((counts.conflict ?? []).length), 'the others are repeats or conflicts with the first')
  }),

  storeCase('a call without events does nothing', async ({ store, equal }) => {
    equal(await store.publish([]), [])
    equal(await store.takeUnrouted(10, 1_000), [])
  }),

  storeCase('what was matched by the audience of now is routed at once', async (stage) => {
    const { store, endpoint, equal, claimIds, delivery } = stage
    const { id } = await endpoint()
    const { revision } = await store.audience(SCOPE)
    const dl = nextId('dl')
    const event = newEvent({ matched: { revision, deliveries: [{ id: dl, endpoint: id }] } })
    equal(await store.publish([event]), ['fresh'])
    equal(await store.takeUnrouted(10, 1_000), [])
    const { status, endpoint: to, event: of, type } = await delivery(dl)
    equal([status, to, of, type], ['pending', id, event.id, event.type])
    equal(await claimIds(), [dl])
    const again = { ...event, matched: { revision, deliveries: [{ id: nextId('dl'), endpoint: id }] } }
    equal(await store.publish([again]), ['duplicate'])
    equal(await claimIds(), [], 'a duplicate is not routed again')
  }),

  storeCase('what was matched by another audience is routed anew', async (stage) => {
    const { store, endpoint, equal, route, claim } = stage
    const first = await endpoint()
    const { revision } = await store.audience(SCOPE)
    const second = await endpoint()
    const dl = nextId('dl')
    const event = newEvent({ matched: { revision, deliveries: [{ id: dl, endpoint: first.id }] } })
    equal(await store.publish([event]), ['fresh'])
    equal(await store.deliveries.get(SCOPE, dl), null)
    equal((await route()).length, 2)
    equal((await claim()).map(({ token }) => token.endpoint).toSorted(), [first.id, second.id])
  }),

  storeCase('what was matched does not overtake what is still unrouted in its scope', async (stage) => {
    const { store, endpoint, publish, equal } = stage
    const { id } = await endpoint()
    const theirs = await endpoint({}, { scope: 'other' })
    const [slow] = await publish({})
    const matched = async (scope: string, to: string) => ({
      revision: (await store.audience(scope)).revision,
      deliveries: [{ id: nextId('dl'), endpoint: to }],
    })
    const quick = newEvent({ matched: await matched(SCOPE, id) })
    const other = newEvent({ scope: 'other', matched: await matched('other', theirs.id) })
    equal(await store.publish([quick, other]), ['fresh', 'fresh'])
    const taken = await store.takeUnrouted(10, 1_000)
    equal(
      taken.map(({ event }) => event.id),
      [slow!.id, quick.id],
    )
  }),
]
