import type { Case } from '@keelson/kernel/conformance'
import { onStage, told } from '../stage.ts'
import type { StoreUnderTest } from '../store-under-test.ts'

/** Each two of which some database takes for one: by case, accents, spelling, blanks at an end, or length. */
const SCOPES = ['Oslo', 'oslo', 'Oslo ', 'Osl\u00f3', 'Oslo\u0301', `${'o'.repeat(80)}1`, `${'o'.repeat(80)}2`]
/** The same without blanks and accents. */
const IDS = ['Oslo', 'oslo', 'oslo.', `${'o'.repeat(120)}1`, `${'o'.repeat(120)}2`]

/** A name is itself and no other. */
export const nameCases: readonly Case<StoreUnderTest>[] = [
  onStage('scopes that only look alike are apart', async (stage) => {
    const { store, scope: own, change, pull, equal } = stage
    const scopes = SCOPES.map((name) => `${own}/${name}`)
    for (const scope of scopes) await change({ t: 'put', id: 'a', scope, set: { of: scope } })
    for (const scope of scopes) {
      const { rows } = await pull({ scopes: [{ name: scope, isKnown: false }] })
      equal(told(rows), [['a', { of: scope }]])
    }
    for (const scope of scopes) equal((await store.forget({ scope }, 'n0')).records, 1, JSON.stringify(scope))
  }),

  onStage('records that only look alike are apart', async ({ change, push, key, pull, equal }) => {
    for (const id of IDS) await change({ t: 'put', id, set: { of: id } })
    equal(
      told((await pull()).rows).toSorted(([a], [b]) => IDS.indexOf(a) - IDS.indexOf(b)),
      IDS.map((id) => [id, { of: id }]),
    )
    for (const id of IDS) equal(told((await push({}, { keys: [key(id)] })).records), [[id, { of: id }]])
  }),

  onStage('devices and operations that only look alike are apart', async ({ store, client, push, equal }) => {
    const [device, other] = [`${client}.a`, `${client}.A`]
    await push({ results: [{ op: 'op-a', fp: 'f1', result: '{}' }] }, { client: device })
    equal(await store.client(other), undefined)
    equal((await push({}, { client: device, ops: ['op-A'] })).results.size, 0)
    equal((await push({}, { client: other, ops: ['op-a'] })).results.size, 0)
    equal((await push({}, { client: device, ops: ['op-a'] })).results.size, 1)
  }),
]
