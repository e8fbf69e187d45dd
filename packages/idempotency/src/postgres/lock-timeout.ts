import type { Statement } from '@keelson/kernel'
import { prepared } from '@keelson/kernel/postgres'

/** Our own limit, $1 in ms: what a SELECT lists. The session's own is kept: a pool may set one for its statements. */
export const TAKE =
  "set_config('keelson.lock_timeout', current_setting('lock_timeout'), true), set_config('lock_timeout', $1, true)"
/** Back to what the session had. */
export const GIVE_BACK = "set_config('lock_timeout', current_setting('keelson.lock_timeout'), true)"

/** $1 of TAKE. 0 would wait for ever. */
export function lockLimit(limitMs: number): string {
  return String(Math.max(1, Math.round(limitMs)))
}

/** `statements` under a limit for the locks that they wait for, in ms. PGlite has one connection: nobody holds a lock. */
export function underLockTimeout(
  kind: 'pg' | 'pglite' | 'custom',
  limitMs: number,
  statements: readonly Statement[],
): Statement[] {
  if (kind === 'pglite') return [...statements]
  return [prepared(`select ${TAKE}`, [lockLimit(limitMs)]), ...statements, prepared(`select ${GIVE_BACK}`)]
}

/** 55P03 lock_not_available; 57014 query_canceled, where the session's statement_timeout is shorter. */
export function isLockTimeout(error: unknown): boolean {
  const code = (error as { code?: unknown } | null)?.code
  return code === '55P03' || code === '57014'
}
