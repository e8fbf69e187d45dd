/** Who asks. */
export type WireUser = 'ann' | 'bob'

/**
 * A server that runs, in any language. Its limits are those of the wire document: 500 operations, 1,048,576 bytes, 65,536 a
 * record, 60 s of drift. It has two collections,
 *
 * - `task` with the fields `team`, `title`, `done`, and `budget`, which is strict; its records are in the scope of their
 *   team, 'red' or 'blue', as they say; one that names no team is in that of 'blue'
 * - `note` with the field `text`, in the scope of everybody
 *
 * and two users: ann sees everybody's and both teams', bob everybody's and that of blue.
 */
export interface WireServer {
  /** What `/push` stands behind, such as 'http://127.0.0.1:8080/sync'. */
  readonly url: string
  /** What makes a request that of a user: credentials. */
  headers(user: WireUser): Readonly<Record<string, string>>
  /** For subjects that have 'rebase': from now on every cursor is of another history, as after a restored backup. */
  rebase?(): Promise<void>
}
