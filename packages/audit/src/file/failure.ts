import { isKeelsonError } from '@keelson/kernel'
import { AuditError } from '../error.ts'

/** No room, or no more than somebody allowed: nothing is broken. */
const FULL = new Set<unknown>(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** What an error of the file system is called. */
export function codeOf(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | null)?.code
}

/** The disk has no room for it. */
export function isFull(error: unknown): boolean {
  return FULL.has(codeOf(error))
}

/** An error of the file system as callers see it; others, of what callers pass in, stay as they are. */
export function storeFailure(dir: string, error: unknown): Error {
  if (!(error instanceof Error) || isKeelsonError(error) || codeOf(error) === undefined) return error as Error
  if (isFull(error)) return new AuditError('STORE_FULL', `no room on the disk of ${dir}`, { cause: error })
  return new AuditError('STORE_UNAVAILABLE', `the files in ${dir} do not answer: ${codeOf(error)}`, {
    cause: error,
  })
}
