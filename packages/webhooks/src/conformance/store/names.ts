import type { Case } from '@keelson/kernel/conformance'
import { LOOKALIKES, nextId, SCOPE, storeCase } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** Of an event: no blanks, no accents. */
const IDS = ['Oslo', 'oslo', 'oslo.', `${'o'.repeat(100)}1`, `${'o'.repeat(100)}2`]

/** A name is itself and no other. */
export const nameCases: readonly Case<StoreUnderTest>[] = [
  storeCase('scopes and ids that only look alike are apart', async ({ store, endpoint, publish, equal }) => {
    const names = [...LOOKALIKES.map((scope) => ({ scope, id: 'ev_1' })), ...IDS.map((id) => ({ scope: SCOPE, id }))]
    for (const scope of LOOKALIKES) await endpoint({}, { scope, id: 'ep_1', config: scope })
    for (const name of names) await publish({ ...name, body: Buffer.from(JSON.stringify(name)) })
    for (const name of names) {
      const found = await store.events.get(name.scope, name.id)
      equal(found && Buffer.from(found.body).toString(), JSON.stringify(name))
    }
    for (const scope of LOOKALIKES) {
      const rows = await store.endpoints.list(scope, { limit: 100 })
      equal(
        rows.map(({ config }) => config),
        [scope],
      )
      equal(await store.endpoints.remove(scope, 'ep_1'), true, JSON.stringify(scope))
    }
  }),

  storeCase('subjects, principals and correlations that only look alike are apart', async (stage) => {
    const { store, publish, equal } = stage
    for (const name of LOOKALIKES) {
      await publish({ subject: name }, { correlationId: name })
      const key = { keyId: nextId('key'), scope: SCOPE, principal: name, sealed: new Uint8Array([1]) }
      await store.signingKeys.insert(key, null)
    }
    for (const name of LOOKALIKES) {
      const of = JSON.stringify(name)
      equal((await store.events.bySubject(SCOPE, name, { limit: 100 })).length, 1, `events of subject ${of}`)
      equal((await store.events.trace(name)).length, 1, `events of correlation ${of}`)
      equal((await store.signingKeys.list(SCOPE, name)).length, 1, `keys of principal ${of}`)
      equal(await store.events.erase(SCOPE, name, 100), { events: 1, cancelled: 0 }, `erased of subject ${of}`)
    }
  }),

  storeCase('keys that only look alike do not wait for each other', async (stage) => {
    const { endpoint, widen, deliver, claimIds, equal } = stage
    const to = await endpoint({ concurrency: LOOKALIKES.length })
    await widen(to, LOOKALIKES.length)
    const made: string[] = []
    for (const key of LOOKALIKES) made.push(await deliver(to, { key }))
    const claimed: string[] = []
    for (const _ of made) claimed.push(...(await claimIds()))
    equal(claimed.toSorted(), made.toSorted())
  }),
]
