import type { Files } from '@keelson/kernel/files'
import type { DeadRow, DeadRows } from '../store.ts'
import { openStateFile } from './state-file.ts'

type Dead = DeadRow & { readonly again: boolean }

/** `DeadRows` of one log. */
export type DeadLetters = { [K in keyof DeadRows]: OfLog<DeadRows[K]> }
type OfLog<F> = F extends (log: string, ...rest: infer A) => infer R ? (...rest: A) => R : never

/** The dead letters of one log, all in one file: there are few, or something is very wrong. */
export async function openDeadLetters(files: Files, folder: string): Promise<DeadLetters> {
  const file = await openStateFile<readonly Dead[]>(files, folder, 'dead', [])

  async function counted(change: (all: readonly Dead[]) => { readonly all: readonly Dead[]; readonly count: number }) {
    let count = 0
    await file.update((all) => {
      const changed = change(all)
      count = changed.count
      return count === 0 ? all : changed.all
    })
    return count
  }

  return {
    bury: (rows) =>
      file.update((all) => {
        const bySinkAndIndex = new Map(all.map((dead) => [keyOf(dead), dead]))
        for (const row of rows) bySinkAndIndex.set(keyOf(row), { ...row, again: false })
        return [...bySinkAndIndex.values()].sort(bySink)
      }),
    async list({ sink, again, after, limit }) {
      return file.value
        .filter((dead) => sink === undefined || dead.sink === sink)
        .filter((dead) => again !== true || dead.again)
        .filter((dead) => after === undefined || bySink(dead, after) > 0)
        .slice(0, limit)
    },
    unbury: ({ sink, ids }) =>
      counted((all) => {
        const isMeant = (dead: Dead) => !dead.again && isOf(dead, sink, ids)
        return {
          all: all.map((dead) => (isMeant(dead) ? { ...dead, again: true } : dead)),
          count: all.filter(isMeant).length,
        }
      }),
    remove: ({ sink, ids }) =>
      counted((all) => {
        const left = all.filter((dead) => !isOf(dead, sink, ids))
        return { all: left, count: all.length - left.length }
      }),
    async count() {
      const counts: Record<string, number> = {}
      for (const { sink } of file.value) counts[sink] = (counts[sink] ?? 0) + 1
      return counts
    },
  }
}

type Place = Pick<DeadRow, 'sink' | 'index'>

function keyOf({ sink, index }: Place): string {
  return `${index} ${sink}`
}

function bySink(a: Place, b: Place): number {
  if (a.sink !== b.sink) return a.sink < b.sink ? -1 : 1
  return a.index - b.index
}

function isOf(dead: Dead, sink: string | undefined, ids: readonly string[] | undefined): boolean {
  return (sink === undefined || dead.sink === sink) && (ids === undefined || ids.includes(dead.id))
}
