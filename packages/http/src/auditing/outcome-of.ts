import type { EntryInput } from '@keelson/audit'

/** What came of something. */
export type Outcome = NonNullable<EntryInput['outcome']>

/**
 * What came of a request, by the status of its answer; undefined when it was broken off. To a handler that writes to a
 * client which has left, its stream breaks: a 5xx then says nothing of what was done.
 */
export function outcomeOf(status: number | undefined, hasLeft: boolean): Outcome {
  if (status === undefined) return 'unknown'
  if (status < 400) return 'success'
  return status >= 500 && hasLeft ? 'unknown' : 'failure'
}
