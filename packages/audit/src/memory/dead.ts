import type { DeadRow, DeadRows } from '../store.ts'

/** Dead letters of one log in memory; each call is for that log. */
export function createMemoryDead(): DeadRows {
  const rows = new Map<string, DeadRow & { again: boolean }>()
  const sorted = () =>
    [...rows.values()].toSorted((a, b) => (a.sink === b.sink ? a.index - b.index : a.sink < b.sink ? -1 : 1))

  return {
    async bury(_, given) {
      for (const row of given) rows.set(`${row.index}/${row.sink}`, { ...row, again: false })
    },
    async list(_, { sink, again, after, limit }) {
      const isBehind = (row: DeadRow): boolean =>
        after === undefined || row.sink > after.sink || (row.sink === after.sink && row.index > after.index)
      return sorted()
        .filter((row) => (sink === undefined || row.sink === sink) && (again !== true || row.again) && isBehind(row))
        .slice(0, limit)
        .map((row) => ({ ...row }))
    },
    async unbury(_, { sink, ids }) {
      let began = 0
      for (const row of rows.values()) {
        if ((sink !== undefined && row.sink !== sink) || (ids !== undefined && !ids.includes(row.id))) continue
        if (!row.again) began++
        row.again = true
      }
      return began
    },
    async remove(_, { sink, ids }) {
      let removed = 0
      for (const [key, row] of rows) {
        if ((sink !== undefined && row.sink !== sink) || !ids.includes(row.id)) continue
        rows.delete(key)
        removed++
      }
      return removed
    },
    async count() {
      const counts: Record<string, number> = {}
      for (const { sink } of rows.values()) counts[sink] = (counts[sink] ?? 0) + 1
      return counts
    },
  }
}
