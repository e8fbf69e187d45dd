import type { Statement } from '@keelson/kernel'
import { prepared } from '@keelson/kernel/postgres'

/** Our own limit, and back to what the session had: a pool may set one for its statements. */
const TAKE =
  "select set_config('keelson.lock_timeout', current_setting('lock_timeout'), true), set_config('lock_timeout', $1, true)"
const GIVE_BACK = "select set_config('lock_timeout', current_setting('keelson.lock_timeout'), true)"

/** `statements` under a limit for the locks that they wait for, in ms. PGlite has one connection: nobody holds a lock. */
export function underLockTimeout(
  kind: 'pg' | 'pglite' | 'custom',
  limitMs: number,
  statements: readonly Statement[],
): Statement[] {
  if (kind === 'pglite') return [...statements]
  // 0 would wait for ever.
  const values = [String(Math.max(1, Math.round(limitMs)))]
  return [prepared(TAKE, values), ...statements, prepared(GIVE_BACK)]
}

/** 55P03 lock_not_available; 57014 query_canceled, where the session's statement_timeout is shorter. */
export function isLockTimeout(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  return code === '55P03' || code === '57014'
}
