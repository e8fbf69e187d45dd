import { checkOptions, opt, type Duration } from '@keelson/kernel'
import { CacheError, optionFailure } from './error.ts'
import { checkTags } from './tag.ts'

/** What a loader may know and say. */
export interface LoadContext<T> {
  /** Aborts when nobody waits any more, at the load's `timeout`, or when the cache is closed. */
  readonly signal: AbortSignal
  /** What is kept of this key and has only turned stale. */
  readonly previous?: { readonly value: T; readonly version: string }
  /** More tags of the entry. */
  tag(...tags: string[]): void
  /** Another time to live. */
  ttl(duration: Duration): void
  /** Do not store the value. */
  skip(): void
  /** The value is still `previous`'s: it is kept for another time to live. */
  notModified(): T
}

/** What a loader said while it ran. */
export interface LoadNotes {
  readonly context: LoadContext<any>
  readonly tags: readonly string[]
  readonly ttlMs: number | undefined
  readonly skipped: boolean
}

export function loadNotes(
  signal: AbortSignal,
  previous: { readonly value: unknown; readonly version: string } | undefined,
  maxTtl: number,
): LoadNotes {
  const notes = { tags: [] as string[], ttlMs: undefined as number | undefined, skipped: false }
  const context: LoadContext<unknown> = {
    signal,
    ...(previous === undefined ? {} : { previous }),
    tag(...tags) {
      notes.tags.push(...checkTags(tags, { implicit: false }))
    },
    ttl(duration) {
      const spec = { ttl: opt.required(opt.duration(undefined, { min: 1, max: maxTtl })) }
      notes.ttlMs = checkOptions('ctx.ttl()', { ttl: duration }, spec, optionFailure).ttl
    },
    skip() {
      notes.skipped = true
    },
    notModified() {
      if (previous !== undefined) return previous.value
      throw new CacheError('INPUT_INVALID', 'notModified() needs a previous value: there was none')
    },
  }
  return Object.assign(notes, { context })
}
