import type { Case, Contender, Figures } from '../../src/case.ts'
import { startChild } from '../../src/child.ts'

const SHARED = 'keelson, 5 tags shared by a hundred each'

/** What an entry takes. */
export function l1Heap(): Case[] {
  return [
    {
      name: 'heap of an entry over its key and value, 100,000 of them',
      note: 'tags of their own are counted with their text and their index',
      exact: true,
      contenders: [
        heapOf('keelson, no tags', { of: 'keelson', tags: 'none' }),
        heapOf(SHARED, { of: 'keelson', tags: 'shared' }),
        heapOf('keelson, 5 tags of its own', { of: 'keelson', tags: 'own' }),
        heapOf('bentocache, no tags', { of: 'bentocache', tags: 'none' }),
        heapOf('bentocache, 5 tags shared by a hundred each', { of: 'bentocache', tags: 'shared' }),
        heapOf('bentocache, 5 tags of its own', { of: 'bentocache', tags: 'own' }),
      ],
      targets: [{ of: SHARED, figure: 'bytes', atMost: 260 }],
    },
  ]
}

function heapOf(name: string, what: object): Contender {
  return {
    name,
    async open() {
      const child = await startChild(new URL('heap.ts', import.meta.url), [], { execArgv: ['--expose-gc'] })
      return { run: () => child.ask<Figures>(what), close: () => child.stop() }
    },
  }
}
