import { systemClock } from '@keelson/kernel'
import { type Ask, prepared } from '@keelson/kernel/postgres'
import { pruneSql, sweepSql } from './prune.sql.ts'

const EVERY_MS = 60_000
const BATCH = 5_000

/** Removes what nobody needs any more, behind writes and never behind reads. */
export interface Upkeep {
  /** Starts a round unless one has begun within a minute. Its failure is the next one's matter. */
  due(): void
  /** A round now, until nothing is left. */
  run(): Promise<void>
  /** Resolves when no round is under way. */
  settled(): Promise<void>
}

export function createUpkeep(
  name: string,
  { ask, schema, maxTtlMs, maxLoadMs }: { ask: Ask; schema: string; maxTtlMs: number; maxLoadMs: number },
): Upkeep {
  const prune = prepared(pruneSql(schema), [name, maxTtlMs + maxLoadMs, BATCH])
  const sweep = prepared(sweepSql(schema), [name, BATCH])
  // The first round is not the first write's: processes that start together would all begin with it.
  let lastMs = systemClock.monotonic() - Math.random() * EVERY_MS
  let underWay: Promise<void> = Promise.resolve()

  async function run(): Promise<void> {
    for (const batch of [prune, sweep]) {
      let count: number
      do [{ count }] = (await ask<{ count: number }>(batch)) as [{ count: number }]
      while (count === BATCH)
    }
  }

  return {
    run,
    due() {
      const nowMs = systemClock.monotonic()
      if (nowMs - lastMs < EVERY_MS) return
      lastMs = nowMs
      underWay = underWay.then(run).catch(() => {})
    },
    settled: () => underWay,
  }
}
