import { inStore, pause, type PlaceFault } from './fault.ts'

export const updateFaults: Readonly<Record<string, PlaceFault>> = {
  'values come in the order of the alphabet': inStore((store) => ({
    update: (keys, decide) => store.update([...keys].sort(), decide),
  })),
  'a key that is asked twice comes once': inStore((store) => ({
    update: (keys, decide) => store.update([...new Set(keys)], decide),
  })),
  'what is not there is null': inStore((store) => ({
    update: (keys, decide) => store.update(keys, (values) => decide(values.map((one) => one ?? null))),
  })),
  'nothing is removed': inStore((store) => ({
    update: (keys, decide) => store.update(keys, (values) => decide(values).filter(([, value]) => value !== undefined)),
  })),
  'null removes': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, (values) => decide(values).map(([key, value]) => [key, value ?? undefined])),
  })),
  'what is false removes': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, (values) =>
        decide(values).map(([key, value]) => [key, value === false || value === 0 || value === '' ? undefined : value]),
      ),
  })),
  'the first change of a key counts': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, (values) => {
        const changes = decide(values)
        return changes.filter(([key], i) => changes.findIndex(([other]) => other === key) === i)
      }),
  })),
  'removals come last': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, (values) => {
        const changes = decide(values)
        return [...changes.filter(([, one]) => one !== undefined), ...changes.filter(([, one]) => one === undefined)]
      }),
  })),
  'only what was read is written': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, (values) => decide(values).filter(([key]) => keys.length === 0 || keys.includes(key))),
  })),
  'at most a hundred changes are made': inStore((store) => ({
    update: (keys, decide) => store.update(keys, (values) => decide(values).slice(0, 100)),
  })),
  'what decide throws is swallowed': inStore((store) => ({
    update: (keys, decide) => store.update(keys, decide).catch(() => {}),
  })),
  'what decide throws is wrapped': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, decide).catch((cause: unknown) => {
        throw new Error('the update has failed', { cause })
      }),
  })),
  'what decide throws removes what it read': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, decide).catch(async (error: unknown) => {
        await store.update([], () => keys.map((key) => [key, undefined]))
        throw error
      }),
  })),
  'one that throws ends it': inStore((store) => ({
    update: (keys, decide) =>
      store.update(keys, decide).catch(async (error: unknown) => {
        await store.close()
        throw error
      }),
  })),
  'it reads, then writes': inStore((store) => ({
    async update(keys, decide) {
      let changes: ReturnType<typeof decide> = []
      await store.update(keys, (values) => {
        changes = decide(values)
        return []
      })
      await pause()
      await store.update([], () => changes)
    },
  })),
  'its changes are made one after the other': inStore((store) => ({
    async update(keys, decide) {
      let changes: ReturnType<typeof decide> = []
      await store.update(keys, (values) => {
        changes = decide(values)
        return changes.slice(0, 1)
      })
      for (const change of changes.slice(1)) {
        await pause()
        await store.update([], () => [change])
      }
    },
  })),
  'calls overtake each other': inStore((store) => {
    let calls = 0
    return {
      async update(keys, decide) {
        if (calls++ % 4 === 0) await pause()
        await store.update(keys, decide)
      },
    }
  }),
  'it reads what was there when it was opened': inStore((store, { held }) => {
    const before = new Map(held)
    return {
      update: (keys, decide) =>
        store.update(keys, () =>
          decide(
            keys.map((key) => {
              const json = before.get(key)
              return json === undefined ? undefined : JSON.parse(json)
            }),
          ),
        ),
    }
  }),
}
