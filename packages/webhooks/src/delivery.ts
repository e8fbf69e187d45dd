/** Open: `pending` and `delivering`. The others are final until somebody retries or redrives. */
export type DeliveryStatus = 'pending' | 'delivering' | 'succeeded' | 'dead' | 'cancelled'

/** Why a delivery ended without success. */
export type DeadReason = 'exhausted' | 'refused' | 'gone' | 'poison' | 'expired'

/** Why an open delivery waits although it is due; 'key': its endpoint's secret cannot be decrypted. */
export type Held = 'paused' | 'disabled' | 'breaker' | 'key'

/** One event on its way to one endpoint. */
export interface Delivery {
  /** 'dl_…'; sorts by the time of routing. */
  readonly id: string
  readonly scope: string
  readonly event: string
  readonly type: string
  /** An endpoint's id, or 'fn:<name>' for a handler. */
  readonly endpoint: string
  readonly status: DeliveryStatus
  /** 'erased' is a cancelled delivery whose event was erased; the others are of dead ones. */
  readonly reason: null | DeadReason | 'erased'
  readonly held: null | Held
  /** Attempts that were spent, over all its lives. */
  readonly attempts: number
  readonly nextAttemptAt: Date | null
  readonly createdAt: Date
  readonly finishedAt: Date | null
}

/** What a request over the network came to. */
export type SendOutcome =
  | 'success'
  | 'status'
  | 'redirect'
  | 'timeout'
  | 'dns'
  | 'connect'
  | 'tls'
  | 'reset'
  | 'protocol'
  | 'refused'
  | 'proxy'

/** 'crashed': its process ended without saying how; 'stale': it said so after its lease. */
export type AttemptOutcome = SendOutcome | 'crashed' | 'stale'

/** One try of a delivery. */
export interface Attempt {
  /** As it was counted. A crashed attempt is not: the one that repeats it has the same number. */
  readonly number: number
  readonly at: Date
  readonly durationMs: number
  readonly outcome: AttemptOutcome
  readonly status: number | null
  readonly remoteAddress: string | null
  /** At most `keepResponseBytes`; null for refused. */
  readonly response: string | null
  readonly error: string | null
}
