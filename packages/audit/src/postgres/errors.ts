import { AuditError } from '../error.ts'

/** SQLSTATEs of our functions. */
export const ENTRY_INVALID = 'KEA01'
export const STORE_CORRUPT = 'KEA02'

/** The server lives, but takes nothing now: read only, as a standby is; over its own time limit; without room; a broken disk. */
const AWAY = /^(25006|57014|53\w{3}|58\w{3})$/

/** Errors of an append over a connection of our own: what the server cannot take now goes elsewhere, or again. */
export function readAppendError(error: unknown): unknown {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string }
  if (typeof code !== 'string' || !AWAY.test(code)) return readError(error)
  return new AuditError('STORE_UNAVAILABLE', `Postgres takes no entries: ${message} (${code})`, { cause: error })
}

/** Errors of our functions as what the port throws; others as they are. */
export function readError(error: unknown): unknown {
  const { code, message } = (error ?? {}) as { code?: unknown; message?: string }
  if (code === ENTRY_INVALID) return new AuditError('ENTRY_INVALID', message!, { cause: error })
  if (code === STORE_CORRUPT) return new AuditError('STORE_CORRUPT', message!, { cause: error })
  return error
}
