import { systemClock } from '@keelson/kernel'
import { prepared, type Ask } from '@keelson/kernel/postgres'

/** Of one step: what it writes is locked for a moment. */
const BLOCKS = 200
/** Until what others held may be free. */
const PAUSE_MS = 100

/** Begins a new era, with `always` or where the history is another one. Answers its number. */
export function createRebasing(schema: string, ask: Ask): (always: boolean) => Promise<number> {
  const sql = {
    adopt: `select * from ${schema}.sync_adopt($1::float8::bigint, $2::integer)`,
    rebase: `select ${schema}.sync_rebase($1::boolean)::float8 as era`,
  }

  /** One pass over all versions. Answers how many were not of this history. */
  async function adopt(): Promise<number> {
    let found = 0
    for (let from: number | null = 0; from !== null;) {
      const rows: readonly Adopted[] = await ask<Adopted>(prepared(sql.adopt, [from, BLOCKS]))
      found += rows[0]!.strange
      from = rows[0]!.next
    }
    return found
  }

  return async (always) => {
    // Before the era begins: until then nobody has a snapshot of it that could miss them. Pushes go on.
    while ((await adopt()) > 0) await systemClock.sleep(PAUSE_MS)
    const [row] = await ask<{ era: number }>(prepared(sql.rebase, [always]))
    return row!.era
  }
}

interface Adopted {
  readonly strange: number
  readonly next: number | null
}
