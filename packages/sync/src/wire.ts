import type { Json } from './json.ts'
import type { Stamp } from './stamp.ts'

/*
 * What travels, version 1. Clients in other languages speak it: names and meanings here are a promise. `s` is the tag of
 * a scope, which tells nothing of its name; `h` a stamp; `now` and `sentAt` are ms since 1970.
 */

/** One edit of one record. The server knows it again by `op`, in whatever push it comes. */
export interface Op {
  readonly op: string
  /** Collection. */
  readonly c: string
  readonly id: string
  readonly t: 'put' | 'patch' | 'delete'
  /** By the clock of the device. */
  readonly h: Stamp
  readonly set?: Readonly<Record<string, Json>>
  readonly unset?: readonly string[]
  /** Absent: the record of this id among all that the caller may see. */
  readonly s?: string
  /** The record's `h` that the user saw as they edited it. */
  readonly seen?: Stamp
  /** For strict fields: their stamps as they were read, or the record's `h`. */
  readonly base?: Stamp | Readonly<Record<string, Stamp>>
  /** An op that must be applied before. */
  readonly dep?: string
}

/** What a device sends. */
export interface PushRequest {
  readonly v: 1
  readonly client: string
  /** By the clock that made the stamps. */
  readonly sentAt?: number
  readonly schema?: number
  readonly ops: readonly Op[]
}

/** Why an op came to nothing, or to less than was meant. */
export type OpCode =
  | 'gone'
  | 'stale-base'
  | 'expired'
  | 'scope-lost'
  | 'invariant'
  | 'op-reuse'
  | 'clock-drift'
  | 'invalid'
  | 'forbidden'
  | 'too-large'
  | 'dependency'
  | 'busy'
  | 'new-node'

/** What became of an op. */
export interface OpResult {
  readonly op: string
  /** 'retry' is not remembered: the same op may be sent again. Everything else is final. */
  readonly status: 'applied' | 'superseded' | 'conflict' | 'rejected' | 'retry'
  readonly code?: OpCode | (string & {})
  /** The stamp that it counts with. */
  readonly h?: Stamp
  /** Fields of it that a newer write has; `['*']`: the record was deleted or written later as a whole. */
  readonly lost?: readonly string[]
  /** The record as it is, where it is not what the op made of it; null: it is gone. */
  readonly rec?: Rec | null
  /** It was here before: this is what became of it then. */
  readonly replay?: true
  readonly retryAfterMs?: number
  /** The id of a stored conflict. */
  readonly conflict?: string
  /** For people; a replay has none. */
  readonly detail?: string
}

/** As many results as ops, in their order. */
export interface PushResponse {
  readonly v: 1
  readonly now: number
  readonly results: readonly OpResult[]
}

/** What a device asks for. */
export interface PullRequest {
  readonly v: 1
  readonly client?: string
  /** Null: everything, from the beginning. */
  readonly cursor: string | null
  readonly collections?: readonly string[]
  readonly limit?: number
  readonly waitMs?: number
  readonly schema?: number
  /** Stamps of fields too. */
  readonly hs?: boolean
}

/** A record. */
export interface Rec {
  readonly id: string
  readonly s: string
  readonly h: Stamp
  readonly doc: Readonly<Record<string, Json>>
  readonly hs?: Readonly<Record<string, Stamp>>
}

/** A record that is not there any more: deleted, out of the caller's sight, or erased for good. */
export interface Deleted {
  readonly id: string
  readonly s: string
  readonly h: Stamp
  readonly why: 'deleted' | 'scope' | 'erased'
}

/** What happened in one collection. That something is new to the device is a hint. */
export interface Changes {
  readonly created: readonly Rec[]
  readonly updated: readonly Rec[]
  readonly deleted: readonly Deleted[]
}

/** One page. Behind the last page of a snapshot the device has nothing that was not in it. */
export interface PullResponse {
  readonly v: 1
  readonly now: number
  readonly mode: 'delta' | 'snapshot'
  readonly changes: Readonly<Record<string, Changes>>
  /** Scopes that the caller may not see any more: the device forgets their records. */
  readonly dropped?: readonly string[]
  readonly cursor: string
  readonly more: boolean
}
