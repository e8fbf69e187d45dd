import type { Case } from '@keelson/kernel/conformance'
import type { ClientStore, StoreChange } from '../../client/store.ts'
import { byKey, onPlace, type ClientStage } from '../client-stage.ts'
import type { ClientStoreUnderTest } from '../client-store-under-test.ts'

const STEPS = 150
const KEYS = Array.from({ length: 8 }, (_, i) => `k${i}`)

/** Updates by chance, some at once, next to a model of one map; `again` now and then answers another store. */
async function play(
  stage: ClientStage,
  again: (store: ClientStore) => Promise<ClientStore>,
): Promise<ReadonlyMap<string, unknown>> {
  const model = new Map<string, unknown>()
  const below = (n: number): number => Math.floor(stage.random() * n)
  const some = (): string[] => Array.from({ length: below(4) }, () => KEYS[below(KEYS.length)]!)

  function update(store: ClientStore, step: number): Promise<void> {
    const keys = some()
    const changes: StoreChange[] = some().map((key, i) => [key, below(3) === 0 ? undefined : { step, i }])
    const throws = below(8) === 0
    return store
      .update(keys, (values) => {
        stage.equal(
          values,
          keys.map((key) => model.get(key)),
          `step ${step}`,
        )
        if (throws) throw new Error('by chance')
        for (const [key, value] of changes) {
          if (value === undefined) model.delete(key)
          else model.set(key, value)
        }
        return changes
      })
      .catch((error: unknown) => {
        if ((error as Error).message !== 'by chance') throw error
      })
  }

  let store = await stage.open()
  for (let step = 0; step < STEPS; step++) {
    await Promise.all(Array.from({ length: 1 + below(4) }, () => update(store, step)))
    if (below(10) === 0) store = await again(store)
  }
  stage.equal(
    await stage.read(store, ...KEYS),
    KEYS.map((key) => model.get(key)),
  )
  await store.close()
  return model
}

export const chanceCases: readonly Case<ClientStoreUnderTest>[] = [
  onPlace('updates by chance read and leave what one map would', async (stage) => {
    await play(stage, async (store) => store)
  }),

  onPlace(
    'the same, when it is opened again now and then',
    async (stage) => {
      const model = await play(stage, async (store) => {
        await store.close()
        return stage.open()
      })
      stage.equal((await stage.load()).found, byKey(model))
    },
    'kept',
  ),

  onPlace(
    'the same, when it is cut off now and then',
    async (stage) => {
      const model = await play(stage, async () => {
        await stage.crash()
        return stage.open()
      })
      stage.equal((await stage.load()).found, byKey(model))
    },
    'crash',
  ),
]
