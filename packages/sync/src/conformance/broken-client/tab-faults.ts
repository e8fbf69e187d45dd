import { inStore, type PlaceFault } from './fault.ts'

export const tabFaults: Readonly<Record<string, PlaceFault>> = {
  'nobody is told': inStore(() => ({ watch: () => () => {} })),
  'a tab is told what it has written itself': inStore((store) => {
    const own = new Set<(keys: readonly string[]) => void>()
    return {
      async update(keys, decide) {
        let changed: string[] = []
        await store.update(keys, (values) => {
          const changes = decide(values)
          changed = changes.map(([key]) => key)
          return changes
        })
        for (const fn of own) fn(changed)
      },
      watch(fn) {
        own.add(fn)
        const stop = store.watch!(fn)
        return () => {
          own.delete(fn)
          stop()
        }
      },
    }
  }),
  'of a call one key is told': inStore((store) => ({ watch: (fn) => store.watch!((keys) => fn(keys.slice(0, 1))) })),
  'removals are not told': inStore((store, { held }) => ({
    watch: (fn) => store.watch!((keys) => fn(keys.filter((key) => held.has(key)))),
  })),
  'all keys are told': inStore((store, { held }) => ({ watch: (fn) => store.watch!(() => fn([...held.keys(), 'a'])) })),
  'who has stopped is told': inStore((store) => ({
    watch(fn) {
      store.watch!(fn)
      return () => {}
    },
  })),
  'who stops stops all': inStore((store) => {
    const stops: (() => void)[] = []
    return {
      watch(fn) {
        stops.push(store.watch!(fn))
        return () => stops.forEach((stop) => stop())
      },
    }
  }),
  'what is told before the load is over is lost': inStore((store) => {
    let isLoaded = false
    return {
      async load() {
        const entries = [...(await store.load())]
        await new Promise((resolve) => setTimeout(resolve, 5))
        isLoaded = true
        return entries
      },
      watch: (fn) =>
        store.watch!((keys) => {
          if (isLoaded) fn(keys)
        }),
    }
  }),
  'a tab reads what it knows': inStore((store) => {
    const known = new Map<string, unknown>()
    return {
      update: (keys, decide) =>
        store.update(keys, (values) => {
          const changes = decide(values.map((one, i) => (known.has(keys[i]!) ? known.get(keys[i]!) : one)))
          for (const [key, value] of changes) known.set(key, value)
          return changes
        }),
    }
  }),
  'a tab that is closed closes all': (place) => ({
    async open() {
      const store = await place.open()
      return {
        ...store,
        async close() {
          await store.close()
          await place.crash()
        },
      }
    },
  }),
}
