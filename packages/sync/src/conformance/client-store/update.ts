import type { Case } from '@keelson/kernel/conformance'
import { onPlace } from '../client-stage.ts'
import type { ClientStoreUnderTest } from '../client-store-under-test.ts'

const add = ([n]: readonly unknown[]): number => ((n as number | undefined) ?? 0) + 1

export const updateCases: readonly Case<ClientStoreUnderTest>[] = [
  onPlace('values come in the order of their keys, and are undefined where there is nothing', async (stage) => {
    const { open, read, write, equal } = stage
    const store = await open()
    await write(store, ['b', 2], ['a', 1], ['c', 3])
    equal(await read(store, 'c', 'x', 'a', 'b', 'c'), [3, undefined, 1, 2, 3])
    equal(await read(store), [])
  }),

  onPlace('undefined removes, also what is not there, and nothing else does', async ({ open, read, write, equal }) => {
    const store = await open()
    const values = { null: null, false: false, zero: 0, text: '', array: [], object: {} }
    await write(store, ...Object.entries(values), ['gone', 1])
    await write(store, ['gone', undefined], ['never', undefined])
    equal(await read(store, 'gone', 'never', ...Object.keys(values)), [undefined, undefined, ...Object.values(values)])
    await write(store, ['gone', 'again'])
    equal(await read(store, 'gone'), ['again'])
  }),

  onPlace('all changes of a call are made, in their order, also of keys that it did not read', async (stage) => {
    const { open, read, equal } = stage
    const store = await open()
    await store.update(['a'], () => [
      ['a', 1],
      ['b', 2],
      ['a', 3],
      ['c', 4],
      ['b', undefined],
      ['d', undefined],
      ['d', 5],
    ])
    equal(await read(store, 'a', 'b', 'c', 'd'), [3, undefined, 4, 5])
  }),

  onPlace('when `decide` throws, the call rejects with it, and nothing is written', async (stage) => {
    const { open, read, write, equal, ok } = stage
    const store = await open()
    await write(store, ['a', 1])
    const reason = new Error('I have decided otherwise')
    const found = await store
      .update(['a'], () => {
        throw reason
      })
      .then(
        () => 'it resolved',
        (error: unknown) => error,
      )
    ok(found === reason, `expected what was thrown, got ${String(found)}`)
    equal(await read(store, 'a'), [1])
    await write(store, ['a', 2])
    equal(await read(store, 'a'), [2])
  }),

  onPlace('one that throws takes no other with it', async ({ open, read, equal, together }) => {
    const store = await open()
    const ended = await together(20, async (i) => {
      const updated = store.update(['n'], (values) => {
        if (i % 3 === 0) throw new Error('not this one')
        return [['n', add(values)]]
      })
      return updated.then(
        () => 'done',
        () => 'refused',
      )
    })
    equal(
      ended,
      Array.from({ length: 20 }, (_, i) => (i % 3 === 0 ? 'refused' : 'done')),
    )
    equal(await read(store, 'n'), [13])
  }),

  onPlace('of a hundred at once each sees what those before have written', async (stage) => {
    const { open, read, equal, together } = stage
    const store = await open()
    const seen: number[] = []
    await together(100, () =>
      store.update(['n'], (values) => {
        seen.push(add(values))
        return [['n', add(values)]]
      }),
    )
    equal(await read(store, 'n'), [100])
    equal(
      [...new Set(seen)].sort((a, b) => a - b),
      Array.from({ length: 100 }, (_, i) => i + 1),
    )
  }),

  onPlace('what goes from key to key is never in both, or in none', async ({ open, read, equal, together }) => {
    const store = await open()
    const keys = ['a', 'b', 'c']
    await store.update([], () => keys.map((key) => [key, 100]))
    await together(90, (i) => {
      const [from, to] = [keys[i % 3]!, keys[(i * i + 1) % 3]!]
      return store.update([from, to], ([had, has]) =>
        from === to
          ? []
          : [
              [from, (had as number) - 1],
              [to, (has as number) + 1],
            ],
      )
    })
    const left = (await read(store, ...keys)) as number[]
    equal(
      left.reduce((sum, n) => sum + n, 0),
      300,
    )
  }),

  onPlace('calls are decided in the order they were made', async ({ open, read, equal, together }) => {
    const store = await open()
    await together(30, (i) =>
      store.update(['list', `own/${i}`], ([list]) => [['list', [...((list as number[] | undefined) ?? []), i]]]),
    )
    equal(await read(store, 'list'), [Array.from({ length: 30 }, (_, i) => i)])
  }),

  onPlace('what resolved is what the next call reads', async ({ open, read, write, equal }) => {
    const store = await open()
    for (let n = 0; n < 30; n++) {
      await write(store, ['n', n], [`k/${n}`, n], [`k/${n - 3}`, undefined])
      equal(await read(store, 'n', `k/${n}`, `k/${n - 3}`), [n, n, undefined])
    }
  }),
]
