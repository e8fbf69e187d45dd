import type { ClientStore } from '../../client/store.ts'
import type { ClientStoreUnderTest } from '../client-store-under-test.ts'
import type { SoundPlace } from './sound-place.ts'

/** What is otherwise in a place. */
export type PlaceFault = (place: SoundPlace) => Partial<ClientStoreUnderTest>

/** Which methods of a good store are other ones. */
export function inStore(wrong: (store: ClientStore, place: SoundPlace) => Partial<ClientStore>): PlaceFault {
  return (place) => ({
    async open() {
      const store = await place.open()
      return { ...store, ...wrong(store, place) }
    },
  })
}

/** Every value that is written is another one. */
export const writes = (wrong: (value: unknown) => unknown): PlaceFault =>
  inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, (values) =>
        decide(values).map(([key, value]) => [key, value === undefined ? undefined : wrong(value)]),
      ),
  }))

/** Every key is another one, and is told as that. */
export const names = (wrong: (key: string) => string): PlaceFault =>
  inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys.map(wrong), (values) => decide(values).map(([key, value]) => [wrong(key), value])),
  }))

export const pause = (): Promise<void> => new Promise((resolve) => setTimeout(resolve))
