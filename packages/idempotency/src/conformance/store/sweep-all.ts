import type { Stage } from '../stage.ts'

/** Removes what other cases left, at most `limit` at a time. Fails when that has no end. */
export async function sweepAll({ store, ok }: Stage, limit: number): Promise<number> {
  let removed = 0
  for (let sweeps = 0; ; sweeps++) {
    const count = await store.sweep!(limit)
    ok(count >= 0 && count <= limit, `${count} removed, at most ${limit} were to be`)
    if (count === 0) return removed
    removed += count
    ok(sweeps < 10_000, 'sweep goes on for ever')
  }
}
