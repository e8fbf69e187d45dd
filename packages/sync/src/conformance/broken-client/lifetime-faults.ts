import type { ClientStore } from '../../client/store.ts'
import { inStore, pause, type PlaceFault } from './fault.ts'

/** Writes that are still to come: a crash takes them. */
function later(): { run(work: () => Promise<void>): Promise<void>; drop(): void } {
  let life = 0
  return {
    async run(work) {
      const born = life
      await pause()
      if (born === life) await work()
    },
    drop: () => void life++,
  }
}

/** What `wrong` makes of each call's changes is written some time after the call has resolved. */
const resolvesEarly: PlaceFault = (place) => {
  const writing = later()
  return {
    async open() {
      const store = await place.open()
      const unwritten = new Map<string, unknown>()
      return {
        ...store,
        async update(keys, decide) {
          await store.update(keys, (values) => {
            const changes = decide(values.map((one, i) => (unwritten.has(keys[i]!) ? unwritten.get(keys[i]!) : one)))
            for (const [key, value] of changes) unwritten.set(key, value)
            void writing.run(async () => {
              place.held.set('', '')
              place.held.delete('')
              for (const [key, value] of changes) {
                if (value === undefined) place.held.delete(key)
                else place.held.set(key, JSON.stringify(value))
              }
            })
            return []
          })
        },
      }
    },
    async crash() {
      writing.drop()
      await place.crash()
    },
  }
}

/** The second half of the changes comes a moment later; the call waits for it. */
const inTwoHalves: PlaceFault = (place) => {
  const writing = later()
  return {
    async open() {
      const store = await place.open()
      let turn: Promise<unknown> = Promise.resolve()
      return {
        ...store,
        update(keys, decide) {
          const updated = turn.then(async () => {
            let rest: ReturnType<typeof decide> = []
            await store.update(keys, (values) => {
              const changes = decide(values)
              const half = Math.ceil(changes.length / 2)
              rest = changes.slice(half)
              return changes.slice(0, half)
            })
            if (rest.length > 0) await writing.run(() => store.update([], () => rest))
          })
          turn = updated.catch(() => {})
          return updated
        },
      }
    },
    async crash() {
      writing.drop()
      await place.crash()
    },
  }
}

const loads = (wrong: (entries: (readonly [string, unknown])[]) => Iterable<readonly [string, unknown]>): PlaceFault =>
  inStore((store) => ({ load: async () => wrong([...(await store.load())]) }))

export const lifetimeFaults: Readonly<Record<string, PlaceFault>> = {
  'an update resolves before it is written': resolvesEarly,
  'an update is written in two halves': inTwoHalves,
  'a crash takes the last update': (place) => {
    let last: readonly string[] = []
    return {
      ...inStore((store) => ({
        update: (keys, decide) =>
          store.update(keys, (values) => {
            const changes = decide(values)
            if (changes.length > 0) last = changes.map(([key]) => key)
            return changes
          }),
      }))(place),
      async crash() {
        for (const key of last) place.held.delete(key)
        await place.crash()
      },
    }
  },
  'what was removed comes back': (place) => {
    const ever = new Map<string, string>()
    return {
      async open() {
        for (const [key, json] of ever) if (!place.held.has(key)) place.held.set(key, json)
        const store = await place.open()
        return {
          ...store,
          async update(keys, decide) {
            await store.update(keys, decide)
            for (const [key, json] of place.held) ever.set(key, json)
          },
        }
      },
    }
  },
  'nothing is kept': (place) => ({
    async open() {
      place.held.clear()
      return place.open()
    },
  }),
  'a load tells the first ten thousand': loads((entries) => entries.slice(0, 10_000)),
  'a load tells texts': loads((entries) => entries.map(([key, value]) => [key, JSON.stringify(value)])),
  'a load tells what is null not': loads((entries) => entries.filter(([, value]) => value !== null)),
  'a place is never empty': loads((entries) => [...entries, ['version', 1]]),
  'closed, it answers': (place) => ({
    open: async () => ({ ...(await place.open()), close: async () => {} }),
  }),
  'closed, it still loads': (place) => {
    return {
      async open() {
        const store = await place.open()
        return { ...store, load: async () => Array.from(place.held, ([key, json]) => [key, JSON.parse(json)]) }
      },
    }
  },
  'closed, it is silent': inStore((store) => {
    let isClosed = false
    return {
      update: async (keys, decide) => (isClosed ? undefined : store.update(keys, decide)),
      load: async () => (isClosed ? [] : store.load()),
      async close() {
        isClosed = true
        await store.close()
      },
    }
  }),
  'it is closed once': inStore((store) => {
    let isClosed = false
    return {
      async close() {
        if (isClosed) throw new Error('the store is closed')
        isClosed = true
        await store.close()
      },
    }
  }),
  'what is under way at close is written in part': (place) => {
    let open: ClientStore | undefined
    return {
      async open() {
        const store = (open = await place.open())
        let isClosed = false
        return {
          ...store,
          update: (keys, decide) =>
            store.update(keys, (values) => {
              const changes = decide(values)
              void Promise.resolve().then(() => {
                const [, second] = changes
                if (isClosed && second !== undefined) place.held.delete(second[0])
              })
              return changes
            }),
          async close() {
            isClosed = true
            await open?.close()
          },
        }
      },
    }
  },
}
