import type { Case } from '@keelson/kernel/conformance'
import { onPlace } from '../client-stage.ts'
import type { ClientStoreUnderTest } from '../client-store-under-test.ts'

const add = ([n]: readonly unknown[]): number => ((n as number | undefined) ?? 0) + 1

export const tabCases: readonly Case<ClientStoreUnderTest>[] = [
  onPlace(
    'what one tab has written the others read at once',
    async ({ open, read, write, equal }) => {
      const [here, there] = [await open(), await open()]
      for (let n = 0; n < 10; n++) {
        await write(here, ['n', n], [`here/${n}`, n])
        equal(await read(there, 'n', `here/${n}`), [n, n])
        await write(there, ['n', -n], [`here/${n}`, undefined])
        equal(await read(here, 'n', `here/${n}`), [0 - n || 0, undefined])
      }
    },
    'tabs',
  ),

  onPlace(
    'of a hundred calls of three tabs none is lost',
    async ({ open, read, equal, together }) => {
      const tabs = await together(3, () => open())
      await together(100, (i) => tabs[i % 3]!.update(['n'], (values) => [['n', add(values)]]))
      for (const tab of tabs) equal(await read(tab, 'n'), [100])
    },
    'tabs',
  ),

  onPlace(
    'a tab loads what others have written, also while it loads, or is told of it',
    async ({ open, bare, equal, together, write }) => {
      const writer = await open()
      await write(writer, ['before', 1])
      const tab = await bare()
      const known = new Set<string>()
      const stop = tab.watch!((keys) => {
        for (const key of keys) known.add(key)
      })
      const writing = together(10, (i) => write(writer, [`k/${i}`, i]))
      const loading = tab.load()
      await together(20, (i) => write(writer, [`k/${10 + i}`, i]))
      for (const [key] of await loading) known.add(key)
      await writing
      await write(writer, ['after', 1])
      for (let looks = 0; !known.has('after') && looks < 2_000; looks++)
        await new Promise((resolve) => setTimeout(resolve, 5))
      equal([...known].sort(), ['after', 'before', ...Array.from({ length: 30 }, (_, i) => `k/${i}`)].sort())
      stop()
    },
    'tabs',
  ),

  onPlace(
    'a tab is told the keys that others write and remove, and reads them then',
    async ({ open, read, write, until, equal, ok }) => {
      const [here, there] = [await open(), await open()]
      const told = new Set<string>()
      const stop = here.watch!((keys) => {
        for (const key of keys) told.add(key)
      })
      await write(there, ['a', 1], ['b', 2])
      await until('both keys are told', () => told.has('a') && told.has('b'))
      equal(await read(here, 'a', 'b'), [1, 2])
      told.clear()
      await write(there, ['a', undefined])
      await until('the removal is told', () => told.has('a'))
      equal(await read(here, 'a'), [undefined])
      ok(!told.has('b'), 'b was told, and nobody wrote it')
      stop()
    },
    'tabs',
  ),

  onPlace(
    'a tab is not told what it has written itself',
    async ({ open, write, until, equal }) => {
      const [here, there] = [await open(), await open()]
      const told: string[] = []
      const stop = here.watch!((keys) => told.push(...keys))
      await write(here, ['own', 1])
      await write(there, ['other', 1])
      await write(here, ['own', undefined])
      await write(there, ['last', 1])
      await until('the last key is told', () => told.includes('last'))
      equal([...new Set(told)].sort(), ['last', 'other'])
      stop()
    },
    'tabs',
  ),

  onPlace(
    'who has stopped is told nothing more, and the others are',
    async ({ open, write, until, equal }) => {
      const [here, there] = [await open(), await open()]
      const told = { first: [] as string[], second: [] as string[] }
      const stop = here.watch!((keys) => told.first.push(...keys))
      const stopToo = here.watch!((keys) => told.second.push(...keys))
      await write(there, ['a', 1])
      await until('both are told', () => told.first.length > 0 && told.second.length > 0)
      stop()
      stop()
      await write(there, ['b', 1])
      await until('the second is told', () => told.second.includes('b'))
      equal(told.first, ['a'])
      stopToo()
    },
    'tabs',
  ),

  onPlace(
    'a tab that is closed takes no other with it',
    async ({ open, read, write, until, equal }) => {
      const [here, there, third] = [await open(), await open(), await open()]
      const told = new Set<string>()
      const stop = here.watch!((keys) => {
        for (const key of keys) told.add(key)
      })
      await third.close()
      await write(there, ['a', 1])
      await until('it is told', () => told.has('a'))
      stop()
      await there.close()
      equal(await read(here, 'a'), [1])
      await write(here, ['b', 2])
      equal(await read(await open(), 'a', 'b'), [1, 2])
    },
    'tabs',
  ),
]
