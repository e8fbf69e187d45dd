import type { Problem, Verdict } from '../audit.ts'

/** What a log is checked with. */
export interface Witnesses {
  readonly keys: readonly string[]
  /** Checkpoints that were kept elsewhere. */
  readonly against: readonly string[]
}

/** What was found; of a broken tree less is known. */
export interface Found {
  readonly ok: boolean
  readonly origin?: string
  readonly size?: number
  /** So many entries the newest checkpoint vouches for. */
  readonly signed?: number
  /** Base64. */
  readonly root?: string
  readonly integrity: Verdict['integrity']
  readonly completeness?: Verdict['completeness']
  readonly coverage?: Verdict['coverage']
  readonly problems: readonly (Omit<Problem, 'code'> & { readonly code: string })[]
}

/** With the newest checkpoint of a log that is in order. */
export interface Checked {
  readonly found: Found
  readonly checkpoint?: string
}
