import type { Duration } from '@keelson/kernel'

/** Which message it is: `op` says of what kind. */
export interface InboxCall {
  readonly scope: string
  readonly op: string
  readonly key: string
  /** How long it is remembered, from its completion. */
  readonly retain?: Duration
}

/**
 * Remembers what was received. `work` runs once per key; one that throws frees the key. `createIdempotency()` of
 * `@keelson/idempotency` is one as it stands.
 */
export interface Inbox {
  /** `busy`: ms until it is worth to ask again. `unknown`: a person has to look whether `work` has run. */
  consume(
    call: InboxCall,
    work: () => Promise<void>,
  ): Promise<'processed' | 'duplicate' | { readonly busy: number } | { readonly unknown: true }>
}
